"""Checks of the policy layer: whether safeguards ran, what they said, and whether that held.

What the team may declare: ``required_stages`` (list of policy stages that every delivered answer passes).
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from strataline.examine.check import HITS, Check, Found, Unknown
from strataline.examine.facts import Facts

SECOND = 10**9
PRESENT = 0.95
"""A stage that so great a part of the delivered answers passed is one that all were to pass."""
COVERED_S = 300
"""So near, before and after, a filter must have logged others for its silence to say something."""
NEAR_S = 10
"""So near a decision that belongs to no request, or a line that could not be read, may be the one that is missed."""
NEAR_THRESHOLD = 0.05
PATH_SHARE = 0.8
PATH_LEAST = 20
SUBJECTS = 20

DECISION = (
    *("event_id", "request", "source", "service", "t", "seq", "call", "sure", "policy_name", "policy_stage"),
    *("policy_mode", "verdict", "enforced", "score", "threshold", "input_hash", "stops", "acts", "broke", "ran"),
)
"""What rules look at of `Facts.verdicts`: wide rows are slow to sort."""

FIRST_TOKEN = "first token"  # noqa: S105 - no secret
RECEIVED = "text received"
HELD = ("block", "challenge")


def later(a: str, b: str) -> pl.Expr:
    """How much later `a` is than `b` beyond what both clocks may be off (ns).

    `a` and `b` are prefixes of ``…t``, ``…clock``, ``…offset`` and ``…doubt``. Above 0: later. Null where a time, or
    the bound of a clock, is unknown; two times of one clock need no bound.
    """
    gap = pl.col(f"{a}t") - pl.col(f"{b}t")
    same = (pl.col(f"{a}clock") == pl.col(f"{b}clock")) & (pl.col(f"{a}offset") == pl.col(f"{b}offset"))
    return gap - pl.when(same).then(0).otherwise(pl.col(f"{a}doubt") + pl.col(f"{b}doubt"))


def showing(rows: pl.DataFrame, *events: str) -> pl.DataFrame:
    """`HITS` of `rows`: one for each request, in their order, with the events in the columns `events`."""
    if rows.is_empty():
        return HITS.to_frame()
    first = rows.unique("request", keep="first", maintain_order=True)
    listed = first.select("request", events=pl.concat_list(pl.col(one).cast(pl.String) for one in events))
    return listed.with_columns(pl.col("events").list.drop_nulls().list.unique(maintain_order=True))


def middle_ms(values: pl.Series) -> int:
    """The median of `values` (ns), in milliseconds; 0 of none."""
    median = values.cast(pl.Float64).median()
    return round(median / 1e6) if isinstance(median, float) else 0


def _in_order(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.sort("t", "event_id", nulls_last=True)


def ended_as_blocked(facts: Facts) -> pl.DataFrame:
    """The ``request`` of each record by which the application says that it blocked something."""
    rows = facts.of("prompt", columns=("request", "kind", "outcome"))
    return rows.filter((pl.col("kind") == "prompt.blocked") | (pl.col("outcome") == "blocked")).select("request")


def displayed(facts: Facts) -> pl.DataFrame:
    """Verdicts on output that were to be acted on, beside each display of that answer.

    Returns:
        request, ``event_id``, ``verdict`` and ``of_call`` of the verdict, ``shown`` (event id of the display), and
        ``despite``: the verdict blocks, and it is the answer that was shown.
    """
    judged = _in_order(facts.judged.filter("acts"))
    shown = _in_order(facts.displays.filter("answer"))
    pairs = judged.select("request", "event_id", "verdict", "output_hash", "of_call", "of_answer", "of_completed").join(
        shown.select("request", "of_answer", "of_basis", shown="event_id", shown_hash="output_hash"),
        on=["request", "of_answer"],
        maintain_order="left_right",
    )
    # The gateway says that it cut the call off, or the application that it did not pass the answer on: then only its
    # id or its text shows that it was.
    kept = facts.once(ended_as_blocked)
    said = ~pl.col("of_completed") | pl.col("request").is_in(kept["request"].drop_nulls().unique().implode())
    replaced = (pl.col("shown_hash") == pl.col("output_hash")).fill_null(value=False)
    despite = pl.col("verdict").is_in(HELD) & ~replaced & (~said | (pl.col("of_basis") != "only"))
    return pairs.select("request", "event_id", "verdict", "of_call", "shown", despite=despite)


def _delivered_despite_block(facts: Facts) -> Sequence[Found] | Unknown:
    pairs = facts.once(displayed)
    judged = _in_order(facts.judged.filter("acts"))
    columns = ("event_id", "request", "outcome", "output_hash")
    answered = facts.of("prompt", "prompt.responded", "prompt.answered", columns=columns).filter(
        pl.col("outcome").fill_null("ok") == "ok", pl.col("output_hash").is_not_null()
    )
    sent = judged.drop_nulls("of_hash").join(
        answered.select("request", of_hash="output_hash", sent="event_id"), on=["request", "of_hash"]
    )
    compared = pl.concat([pairs["request"], sent["request"]])
    if compared.is_empty():
        return Unknown(
            "no request has a verdict on its output and a record that shows which response was displayed",
            ("ui.response_id", "ui.output_hash", "policy.input_hash"),
        )
    despite = pairs.filter("despite")
    kept = facts.once(ended_as_blocked)
    known = pl.concat([facts.renders["request"], kept["request"]]).drop_nulls().unique().implode()
    unseen = sent.filter(pl.col("verdict").is_in(HELD), ~pl.col("request").is_in(known))
    return [
        Found(showing(despite, "event_id", "shown"), compared, subject="display"),
        Found(
            showing(unseen, "event_id", "sent"),
            compared,
            subject="application",
            statement="The filter recorded `block` on an output of {n:request}; the application's record of what it"
            " answered holds the same text. The display is not in the supplied logs.",
        ),
    ]


def _not_evaluated(facts: Facts) -> Sequence[Found] | Unknown:
    turns = facts.requests.filter(pl.col("kind") == "turn")
    # A job may be a turn whose opening record was lost, and its first verdicts with it.
    asked = turns if turns.height else facts.requests
    gone = facts.reached.select(
        "request", reach=pl.coalesce("delivered", "shown"), t=pl.coalesce("delivered_t", "shown_t")
    )
    gone = gone.join(asked.select("request"), on="request", how="semi").sort("t", "request", nulls_last=True)
    tied = facts.verdicts.select(DECISION).filter(pl.col("request").is_not_null())
    found = [_said_unevaluated(tied, gone)]
    stages, share = _stages(facts, tied, gone)
    found += [_silent(facts, str(stage), gone, share, alone=len(stages) == 1) for stage in stages[:SUBJECTS]]
    if not stages and not found[0].hits.height:
        return Unknown(
            f"no stage is declared, and none is recorded for {PRESENT:.0%} of the delivered answers",
            ("declared.required_stages",),
        )
    return found


def _said_unevaluated(tied: pl.DataFrame, gone: pl.DataFrame) -> Found:
    """Answers of which the filter itself says that nothing was evaluated, and no other verdict stands beside."""
    stage = pl.col("policy_stage").fill_null("")
    ran = tied.filter("ran").select("request", stage=stage).unique()
    said = _in_order(tied.filter(pl.col("verdict") == "not_evaluated").with_columns(stage=stage))
    said = said.join(ran, on=["request", "stage"], how="anti", maintain_order="left").join(gone, on="request")
    return Found(
        showing(said, "event_id", "reach"),
        tied.join(gone, on="request", how="semi")["request"],
        subject="said by the filter",
        status="OBS",
        statement="The filter recorded that it evaluated nothing in {n:request}; delivery continued.",
    )


def _stages(facts: Facts, tied: pl.DataFrame, gone: pl.DataFrame) -> tuple[list[str], pl.DataFrame]:
    """Stages that every delivered answer was to pass, and of each the share that passed it."""
    usual = (
        gone
        if facts.affected is None
        else gone.join(facts.affected.baseline.to_frame("request"), on="request", how="semi")
    )
    there = tied.filter(pl.col("verdict") != "not_evaluated", pl.col("policy_stage").is_not_null())
    share = (
        there.join(usual, on="request", how="semi")
        .group_by(stage="policy_stage")
        .agg(share=pl.col("request").n_unique() / max(usual.height, 1))
        .sort("stage")
    )
    declared = facts.declared.get("required_stages")
    if isinstance(declared, Sequence) and not isinstance(declared, str):
        return sorted({str(stage) for stage in declared}), share
    return share.filter(pl.col("share") >= PRESENT)["stage"].to_list(), share


def _silent(facts: Facts, stage: str, gone: pl.DataFrame, share: pl.DataFrame, *, alone: bool) -> Found:
    """Answers without a verdict of `stage`, while its log covers their minutes and holds no stray that may be one."""
    verdicts = facts.verdicts.select(DECISION).filter(pl.col("policy_stage") == stage)
    tied = verdicts.filter(pl.col("verdict") != "not_evaluated")["request"].drop_nulls().unique()
    timed = gone.drop_nulls("t")
    logged = verdicts.select(t="t").drop_nulls().sort("t").with_columns(other="t")
    covered = timed
    for side in ("backward", "forward"):
        covered = covered.join_asof(logged, on="t", strategy=side, tolerance=COVERED_S * SECOND).drop_nulls("other")
        covered = covered.drop("other")
    # What another stage stopped before a model answered, no model's answer followed: there was nothing to evaluate.
    covered = covered.join(_stopped_before_an_answer(facts, stage), on="request", how="anti", maintain_order="left")
    missed = covered.filter(~pl.col("request").is_in(tied.implode()))
    near = NEAR_S * SECOND
    strays = _strays(facts, verdicts).select(t=pl.col("lo") - near, until=pl.col("hi") + near).sort("t", "until")
    strays = strays.with_columns(pl.col("until").cum_max())
    unsure = missed.join_asof(strays, on="t").filter(pl.col("t") <= pl.col("until"))
    candidates = facts.links((pl.col("relation") == "member") & ~pl.col("taken"), "from_event", "to_request")
    of_none = verdicts.filter(pl.col("request").is_null())["event_id"]
    listed = candidates.filter(pl.col("from_event").is_in(of_none.implode()))["to_request"]
    unsure_of = pl.concat([unsure["request"], listed]).drop_nulls().unique().implode()
    silent = missed.filter(~pl.col("request").is_in(unsure_of))
    told = covered.filter(~pl.col("request").is_in(unsure_of) | pl.col("request").is_in(tied.implode()))
    part = share.filter(pl.col("stage") == stage)["share"]
    return Found(
        showing(silent, "reach"),
        told["request"],
        {"stage": stage},
        subject=None if alone else stage,
        parameters={"share_with_stage": f"{part[0]:.3f}" if part.len() else "0"},
    )


def _stopped_before_an_answer(facts: Facts, stage: str) -> pl.DataFrame:
    """The ``request`` of each in which a stage other than `stage` held the turn, and no model call ended well after."""
    held = facts.verdicts.select(DECISION).filter(
        pl.col("verdict").is_in(HELD) & (pl.col("policy_stage") != stage) & pl.col("enforced").fill_null(value=True)
    )
    held = held.drop_nulls(["request", "seq"]).group_by("request").agg(held=pl.col("seq").min())
    answered = facts.responses.filter("completed").drop_nulls("request").group_by("request").agg(pl.col("seq").max())
    rows = held.join(answered, on="request", how="left")
    return rows.filter((pl.col("seq") < pl.col("held")).fill_null(value=True)).select("request")


def _strays(facts: Facts, verdicts: pl.DataFrame) -> pl.DataFrame:
    """Between which times (``lo``, ``hi``; ns) a decision of `verdicts` may be missing.

    Its line could not be read, it belongs to no request, or it was tied by time to one that holds another.
    """
    lost = facts.tables["rejects"].select("source", "offset").sort("offset")
    places = facts.of("policy", columns=("source", "offset", "t")).rename({"t": "at"}).drop_nulls("at").sort("offset")
    places = places.filter(pl.col("source").is_in(verdicts["source"].unique().implode()))
    before, after = (
        lost.join_asof(places, on="offset", by="source", strategy=side, check_sortedness=False)["at"]
        for side in ("backward", "forward")
    )
    around = pl.DataFrame({"before": before, "after": after}, schema={"before": pl.Int64, "after": pl.Int64})
    several = pl.len().over("request") > 1
    alone = verdicts.filter(pl.col("request").is_null() | (several & ~pl.col("sure").fill_null(value=False)))
    return pl.concat(
        [
            alone.select(lo="t", hi="t"),
            around.select(lo=pl.min_horizontal("before", "after"), hi=pl.max_horizontal("before", "after")),
        ]
    ).drop_nulls()


def _failed_open(facts: Facts) -> list[Found]:
    tied = facts.verdicts.select(DECISION).filter(pl.col("request").is_not_null())
    broke = _in_order(facts.verdicts.select(DECISION).filter(pl.col("broke") & ~pl.col("stops")))
    reached = facts.reached.select("request", reach=pl.coalesce("shown", "delivered"))
    found = broke.join(reached, on="request", maintain_order="left").drop_nulls("reach")
    open_ = found.filter(pl.col("policy_mode").str.contains(r"(?i)open|allow").fill_null(value=False))
    marked, every = open_["request"].n_unique(), found["request"].n_unique()
    mode = "not recorded" if not marked else "open" if marked == every else f"open in {marked:,} of them"
    untied = broke["request"].null_count()
    values = {"mode": mode, "untied": untied}
    more = " {untied:evaluation} that ended so belong to no request." if untied > 1 else ""
    more = " One evaluation that ended so belongs to no request." if untied == 1 else more
    check = _FAILED_OPEN + more
    # The same text, or the same call, was stopped when it was evaluated again.
    stops = tied.filter("stops", "acts", "ran").select(
        "request", "policy_stage", "input_hash", "call", "seq", again="event_id"
    )
    after = pl.concat(
        [
            found.drop_nulls(key)
            .join(stops.drop_nulls(key), on=["request", "policy_stage", key], nulls_equal=True, suffix="_again")
            .select("request", "event_id", "again", "reach", "seq", "seq_again")
            for key in ("input_hash", "call")
        ]
    )
    after = after.filter(pl.col("seq_again") > pl.col("seq")).sort("seq", "event_id", "again")
    return [
        Found(
            showing(after, "event_id", "again", "reach"),
            tied["request"],
            subject="stopped when evaluated again",
            attention="RU",
            statement="The filter's evaluation ended in an error or ran out of time in {n:request}, delivery continued,"
            " and a later evaluation of the same content recorded a verdict that stops it.",
        ),
        Found(showing(found, "event_id", "reach"), tied["request"], values, statement=check),
    ]


_FAILED_OPEN = (
    "The filter's evaluation ended in an error or ran out of time in {n:request}, and delivery continued. The logged"
    " failure mode is {mode}."
)


def _shown_before(facts: Facts) -> Sequence[Found] | Unknown:
    judged = facts.judged.filter("acts")
    shown = facts.displays.filter("answer").drop_nulls("of_answer").sort("t", "event_id", nulls_last=True)
    first = shown.unique(["request", "of_answer"], keep="first", maintain_order=True).select(
        "request", "of_answer", shown="event_id", s_t="t", s_clock="clock", s_offset="clock_offset", s_doubt="doubt"
    )
    blocks = pl.col("verdict").is_in(HELD)
    # A stream is evaluated piece by piece: what matters is the first verdict, or the first that blocks.
    verdicts = judged.with_columns(blocks=blocks, v_t="decided").sort(~blocks, "decided", "event_id", nulls_last=True)
    verdicts = verdicts.unique(["request", "of_answer"], keep="first", maintain_order=True).select(
        "request", "event_id", "of_answer", "blocks", "v_t", v_clock="clock", v_offset="clock_offset", v_doubt="doubt"
    )
    pairs = verdicts.join(first, on=["request", "of_answer"]).with_columns(late=later("v_", "s_")).drop_nulls("late")
    before = pairs.filter(pl.col("late") > 0).sort("v_t", "event_id")
    begun = facts.once(stream_begun)
    streamed = begun["request"].n_unique()
    if pairs.is_empty() and not streamed:
        return Unknown(
            "no verdict on an output stands beside the display, or the first token, of that answer with times that"
            " can be compared",
            ("ui.response_id", "ui.output_hash", "model.first_token_time", "policy.event_time"),
        )
    early = begun.filter(pl.col("basis").is_not_null())
    by_token = early.filter(pl.col("basis") == FIRST_TOKEN)
    found = [
        Found(
            showing(rows, "event_id", "shown"),
            pairs["request"],
            {
                "d": middle_ms(rows["v_t"] - rows["s_t"]),
                "bound": middle_ms((rows["v_t"] - rows["s_t"]) - rows["late"]),
            },
            subject=subject,
            attention=attention,
        )
        for rows, subject, attention in (
            (before.filter("blocks"), "shown before a block", "RU"),
            (before.filter(~pl.col("blocks")), "shown before another verdict", "SG"),
        )
    ]
    begun_before = Found(
        showing(early, "event_id", "shows", "also"),
        begun["request"],
        {
            "tokens": by_token["request"].n_unique(),
            "texts": early.filter(pl.col("basis") == RECEIVED)["request"].n_unique(),
            "d": middle_ms(by_token["gap"]),
            "bound": middle_ms(by_token["bound"]),
        },
        subject="delivery begun before a block",
        attention="RU",
        statement=_begun_said(early),
    )
    return [begun_before, *found]


def _begun_said(early: pl.DataFrame) -> str:
    """The sentence on streams that had begun, as far as each basis holds of any."""
    ways = {
        FIRST_TOKEN: "in {tokens:request} the first token precedes the verdict, by {d} ms in the middle one (clock"
        " bound ±{bound} ms)",
        RECEIVED: "in {texts:request} the application's record counts text of a stream that broke off, and the turn"
        " ended as blocked",
    }
    met = set(early["basis"])
    how = "; ".join(words for basis, words in ways.items() if basis in met)
    return (
        "Delivery of {n:response} as a stream had begun before the filter's verdict `block` on the output: " + how + "."
        " What a person saw of it is not in the supplied logs."
    )


def stream_begun(facts: Facts) -> pl.DataFrame:
    """Streamed answers of which a verdict on the output says block: when their delivery had begun.

    Returns:
        One row for each request: request, ``event_id`` (the first such verdict), ``of_call`` (the model call that it is
        about), ``decided`` (ns), its ``clock``, ``clock_offset``, ``doubt``, ``basis`` (first token: it precedes the
        verdict by more than the clocks may be off; text received: the application's record counts text of a stream
        that broke off, and the turn ended as blocked; null: delivery is not seen to have begun), ``shows`` (the event
        that shows it), ``also`` (the record that the turn was ended), ``gap`` and ``bound`` (ns; of the first token).
        By the time of the verdict.
    """
    blocks = facts.judged.filter("acts", pl.col("verdict").is_in(HELD)).sort("decided", "event_id", nulls_last=True)
    tokens = blocks.with_columns(
        v_t="decided",
        v_clock="clock",
        v_offset="clock_offset",
        v_doubt="doubt",
        s_t="of_first",
        s_clock="of_clock",
        s_offset="of_offset",
        s_doubt="of_doubt",
    ).with_columns(late=later("v_", "s_"), gap=pl.col("decided") - pl.col("of_first"))
    tokens = tokens.filter(pl.col("of_stream").fill_null(value=False), pl.col("late") > 0)
    tokens = tokens.select(
        "request",
        "event_id",
        "of_call",
        "decided",
        "clock",
        "clock_offset",
        "doubt",
        "gap",
        basis=pl.lit(FIRST_TOKEN),
        shows="of_call",
        also=pl.lit(None, pl.String),
        bound=pl.col("gap") - pl.col("late"),
    )
    verdicts = blocks.unique("request", keep="first", maintain_order=True)
    asked = facts.of("prompt", "prompt.received", columns=("request", "stream")).filter("stream")["request"]
    streamed = pl.concat([asked, blocks.filter("of_stream")["request"]]).unique().implode()
    verdicts = verdicts.filter(pl.col("request").is_in(streamed))
    plain = verdicts.select(
        *("request", "event_id", "of_call", "decided", "clock", "clock_offset", "doubt"),
        gap=pl.lit(None, pl.Int64),
    )
    received = plain.join(_received_and_blocked(facts), on="request", maintain_order="left").with_columns(
        bound=pl.lit(None, pl.Int64)
    )
    nothing = plain.with_columns(
        basis=pl.lit(None, pl.String), shows=pl.lit(None, pl.String), also=pl.lit(None, pl.String), bound=pl.col("gap")
    )
    columns = tokens.columns
    every = pl.concat([tokens, received.select(columns), nothing.select(columns)])
    return every.unique("request", keep="first", maintain_order=True).sort("decided", "event_id", nulls_last=True)


def _received_and_blocked(facts: Facts) -> pl.DataFrame:
    """Turns in which the application got text of a stream that broke off, and ended as blocked.

    Where the stream came to its end, the application may have held it back and asked the filter itself.

    Returns:
        request, ``basis``, ``shows`` (the record that counts the text), ``also`` (the one that ends the turn).
    """
    columns = ("request", "seq", "event_id", "kind", "outcome", "output_chars", "output_hash")
    rows = facts.of("prompt", columns=columns)
    ended = rows.filter((pl.col("kind") == "prompt.responded") & (pl.col("outcome") == "blocked"))[
        "request"
    ].drop_nulls()
    rows = rows.filter(pl.col("request").is_in(ended.unique().implode())).sort("request", "seq", "event_id")
    ends = pl.col("kind") == "prompt.responded"
    # A turn that was sent again has several tries; each goes up to where the application ended it.
    rows = rows.with_columns(attempt=ends.cum_sum().over("request") - ends)
    text = (pl.col("kind") == "prompt.answered") & ((pl.col("output_chars") > 0) | pl.col("output_hash").is_not_null())
    text = text & (pl.col("outcome").fill_null("ok") == "ok")
    stopped = ends & (pl.col("outcome") == "blocked")
    tries = rows.group_by("request", "attempt", maintain_order=True).agg(
        shows=pl.col("event_id").filter(text.fill_null(value=False)).last(),
        also=pl.col("event_id").filter(stopped.fill_null(value=False)).last(),
        broke=(pl.col("kind") == "prompt.error").any(),
    )
    tries = tries.filter("broke").drop_nulls(["shows", "also"]).unique("request", keep="first", maintain_order=True)
    return tries.select("request", "shows", "also", basis=pl.lit(RECEIVED))


def _transform_not_reflected(facts: Facts) -> Sequence[Found] | Unknown:
    judged = _in_order(facts.judged.filter("acts"))
    before = judged.select(
        *("request", "event_id", "verdict", "output_hash", "of_call"),
        # What the filter got is what it transformed, where its record holds both.
        before=pl.when(pl.col("output_hash").is_not_null() & pl.col("input_hash").is_not_null())
        .then("input_hash")
        .otherwise(pl.coalesce("of_hash", "input_hash")),
    )
    shown = facts.renders.select("request", "event_id", "t", "answer", "output_hash").filter("answer")
    shown = _in_order(shown.drop_nulls(["request", "output_hash"]))
    pairs = before.drop_nulls("before").join(
        shown.select("request", shown="event_id", shown_hash="output_hash"), on="request", maintain_order="left"
    )
    if pairs.is_empty():
        return Unknown(
            "no request holds the hash of a filtered text and that of the text shown",
            ("ui.output_hash", "policy.input_hash", "model.output_hash"),
        )
    kept = pairs.filter(
        pl.col("verdict") == "redact",
        pl.col("shown_hash") == pl.col("before"),
        (pl.col("output_hash") != pl.col("before")).fill_null(value=True),
    )
    return [Found(showing(kept, "event_id", "shown", "of_call"), pairs["request"])]


def _partly_evaluated(facts: Facts) -> Sequence[Found] | Unknown:
    judged = facts.judged.filter("ran").drop_nulls("of_answer")
    key = ["request", "of_answer"]
    seen = (
        _in_order(judged)
        .group_by(key, maintain_order=True)
        .agg(
            pl.col("event_id").first(),
            pl.col("of_call").first(),
            pl.col("of_hash").first(),
            pl.col("of_chars").first(),
            # Pieces of a stream add up; a record without a length leaves the sum unknown.
            evaluated=pl.when(pl.col("input_chars").null_count() == 0).then(pl.col("input_chars").sum()),
            hashes=pl.col("input_hash").drop_nulls().unique(),
            unhashed=pl.col("input_hash").null_count(),
            redacted=(pl.col("verdict") == "redact").any(),
            pieces=pl.len(),
        )
    )
    lengths = judged.drop_nulls("input_chars").group_by(key).agg(longest=pl.col("input_chars").sum())
    seen = seen.join(lengths, on=key, how="left", maintain_order="left").drop("evaluated")
    shown = _in_order(facts.displays.filter("answer").drop_nulls("of_answer"))
    shown = shown.unique(key, keep="last", maintain_order=True).select(
        *key, shown="event_id", shown_chars="output_chars", shown_hash="output_hash"
    )
    pairs = seen.join(shown, on=key, how="left", maintain_order="left")
    # What was delivered is what was shown, else what the call gave.
    pairs = pairs.with_columns(
        whole=pl.when("redacted").then("of_chars").otherwise(pl.coalesce("shown_chars", "of_chars"))
    )
    went = facts.reached["request"].implode()
    pairs = pairs.filter(pl.col("request").is_in(went))
    sized = pairs.drop_nulls(["longest", "whole"])
    hashed = pairs.filter(pl.col("hashes").list.len() > 0, pl.col("unhashed") == 0).drop_nulls("of_hash")
    if sized.is_empty() and hashed.is_empty():
        return Unknown(
            "no delivered response has the length or hash of what was evaluated beside its own",
            ("policy.input_chars", "policy.input_hash", "model.output_hash", "ui.output_chars"),
        )
    short = sized.filter(pl.col("longest") < pl.col("whole"))
    same = pl.col("hashes").list.contains(pl.col("of_hash")) | pl.col("hashes").list.contains(pl.col("shown_hash"))
    # Pieces of a stream have hashes of their own: together they are the whole, as far as lengths tell.
    other = hashed.filter(~same.fill_null(value=False), pl.col("pieces") == 1).join(short, on=key, how="anti")
    compared = pl.concat([sized["request"], hashed["request"]])
    return [
        Found(
            showing(short, "event_id", "shown", "of_call"),
            compared,
            {"a": _middle(short["longest"]), "b": _middle(short["whole"])},
            subject="length",
        ),
        Found(
            showing(other, "event_id", "of_call", "shown"),
            compared,
            subject="hash",
            statement="The text that was evaluated and the response differ by hash in {n:request}.",
        ),
    ]


def _middle(values: pl.Series) -> int:
    median = values.cast(pl.Float64).median()
    return round(median) if isinstance(median, float) else 0


def _watched_block(facts: Facts) -> Sequence[Found] | Unknown:
    tied = facts.verdicts.select(DECISION).filter(pl.col("request").is_not_null())
    if tied.filter(pl.col("policy_mode").is_not_null() | pl.col("enforced").is_not_null()).is_empty():
        return Unknown(
            "no verdict says in which mode it was given, or whether it was acted on",
            ("policy.policy_mode", "policy.enforced"),
        )
    reached = facts.reached.select("request", reach=pl.coalesce("shown", "delivered"))
    watched = _in_order(tied.filter(~pl.col("acts"))).join(reached, on="request", maintain_order="left")
    blocks = watched.filter(pl.col("verdict").is_in(HELD))
    return [Found(showing(blocks, "event_id", "reach"), watched["request"])]


def _near_or_conflicting(facts: Facts) -> Sequence[Found] | Unknown:
    tied = _in_order(facts.verdicts.select(DECISION).filter(pl.col("request").is_not_null()))
    scored = tied.drop_nulls(["score", "threshold"]).filter(pl.col("verdict") == "allow")
    near = scored.filter((pl.col("score") - pl.col("threshold")).abs() <= NEAR_THRESHOLD * pl.col("threshold").abs())
    by = ["input_hash", "policy_stage", "policy_name", "service"]
    hashed = tied.filter("ran").drop_nulls("input_hash")
    several = pl.col("verdict").n_unique().over(by) > 1
    differing = hashed.filter(several).sort("input_hash", "t", "event_id", nulls_last=True)
    if scored.is_empty() and hashed.is_empty():
        return Unknown(
            "no verdict has a score with its threshold, or the hash of what it is on",
            ("policy.score", "policy.threshold", "policy.input_hash"),
        )
    pair = [
        pl.col("event_id").first().over(by),
        pl.col("event_id").filter(pl.col("verdict") != pl.col("verdict").first()).first().over(by).alias("other"),
    ]
    differing = differing.with_columns(own="event_id").with_columns(pair)
    return [
        Found(
            showing(near, "event_id"),
            scored["request"],
            {"score": _number(near["score"]), "threshold": _number(near["threshold"])},
            subject="near the threshold",
        ),
        Found(
            showing(differing, "own", "event_id", "other"),
            hashed["request"],
            {"texts": differing.select(by).n_unique() if differing.height else 0},
            subject="different verdicts on one text",
            statement="{texts:text} had different verdicts by the same filter at the same stage, in {n:request}.",
        ),
    ]


def _number(values: pl.Series) -> str:
    median = values.median()
    return f"{median:.4g}" if isinstance(median, float) else ""


def _coverage_by_path(facts: Facts) -> Sequence[Found] | Unknown:
    verdicts = facts.verdicts.select(DECISION).filter(pl.col("verdict") != "not_evaluated").drop_nulls("request")
    output = verdicts.filter(pl.col("policy_stage") == "output")
    verdicts = output if output.height else verdicts
    first = _in_order(verdicts).unique("request", keep="first", maintain_order=True)
    gone = facts.reached.select("request", reach=pl.coalesce("delivered", "shown")).join(
        first.select("request", verdict_id="event_id"), on="request", how="left", maintain_order="left"
    )
    gone = gone.with_columns(evaluated=pl.col("verdict_id").is_not_null())
    overall = gone["evaluated"].mean()
    paths = _paths(facts).join(gone, on="request")
    known = paths["request"]
    if known.is_empty() or not isinstance(overall, float):
        return Unknown(
            "nothing says by which path a delivered response came",
            ("model.cache", "model.fallback", "model.stream", "ui.client_version"),
        )
    table = (
        paths.group_by("path")
        .agg(n=pl.len(), k=pl.col("evaluated").sum())
        .with_columns(share=pl.col("k") / pl.col("n"))
        .filter(pl.col("n") >= PATH_LEAST, pl.col("share") < PATH_SHARE * overall)
        .sort("share", "path")
    )
    found = []
    for path, n, k, share in table.head(SUBJECTS).iter_rows():
        without = paths.filter((pl.col("path") == path) & ~pl.col("evaluated")).sort("request")
        found.append(
            Found(
                showing(without, "reach"),
                paths.filter(pl.col("path") == path)["request"],
                {"x": f"{share:.1%}", "y": f"{overall:.1%}", "path": path},
                subject=path,
                parameters={"evaluated": f"{k} of {n}", "overall": f"{int(gone['evaluated'].sum())} of {gone.height}"},
            )
        )
    if table.height > SUBJECTS:
        rest = paths.join(table[SUBJECTS:], on="path", how="semi").filter(~pl.col("evaluated")).sort("request")
        found.append(
            Found(
                showing(rest, "reach"),
                rest["request"],
                {"k": table.height - SUBJECTS, "y": f"{overall:.1%}"},
                subject="further paths",
                statement="In {k:path} more evaluations exist for a smaller part than overall ({y}).",
            )
        )
    return found or [Found(HITS.to_frame(), known)]


def _paths(facts: Facts) -> pl.DataFrame:
    """Request and ``path``: the ways by which responses came, as their last call and their page say."""
    calls = facts.responses.select("request", "last", "cache", "fallback", "stream", "finish_reason")
    calls = calls.filter(pl.col("last") & pl.col("request").is_not_null())
    hit = pl.col("cache").str.to_lowercase().str.contains(r"^(?:hit|true|stale|semantic)")
    fell = facts.of("model", "model.fallback", columns=("request",))["request"].drop_nulls().unique().implode()
    tools = pl.col("finish_reason").str.to_lowercase().str.contains("tool|function")
    ways = [
        calls.filter(hit).select("request", path=pl.lit("cache hit")),
        calls.filter(pl.col("fallback").is_not_null() | pl.col("request").is_in(fell)).select(
            "request", path=pl.lit("fallback")
        ),
        calls.filter("stream").select("request", path=pl.lit("stream")),
        calls.filter(tools).select("request", path=pl.lit("tool call")),
    ]
    page = facts.of("ui", columns=("request", "client_version", "attributes")).drop_nulls("request")
    app = facts.of("prompt", columns=("request", "client_version")).rename({"client_version": "value"})
    said = pl.coalesce(pl.col("attributes").map.get(name) for name in ("locale", "language", "browser_language"))
    clients = pl.concat([page.select("request", value="client_version"), app])
    for word, values in (("locale", page.select("request", value=said)), ("client", clients)):
        named = values.drop_nulls().unique()
        ways.append(named.select("request", path=pl.format(f"{word} {{}}", "value")))
    return pl.concat(ways).unique(["request", "path"]).sort("request", "path")


CHECKS: tuple[Check, ...] = (
    Check(
        id="F-01",
        name="delivered-despite-block",
        layers=("policy", "ui"),
        attention="RU",
        status="DER",
        needs=("policy.verdict", "policy.policy_stage"),
        rule=_delivered_despite_block,
        statement="The filter recorded `block` on an output in {n:request}; the display layer recorded that response"
        " as shown.",
        question="What did the page show in these requests, and how does it learn of a block?",
        alternatives=(
            "The verdict was on an earlier attempt, and the response shown came from a later one.",
            "The page showed a placeholder and logged it as an answer.",
            "An appeal or an override let the response pass.",
        ),
    ),
    Check(
        id="F-02",
        name="not-evaluated",
        layers=("policy",),
        attention="SG",
        status="DER",
        needs=("policy.verdict",),
        rule=_not_evaluated,
        statement="No {stage} evaluation is recorded for {n:request} whose answer was delivered, although the filter"
        " logged other requests in the same minutes.",
        question="Which routes are exempt from this evaluation, and how is that declared?",
        alternatives=(
            "The filter's log is sampled.",
            "The route is exempt.",
            "The record was lost, or damaged, on its way to the log.",
        ),
        parameters={
            "present_share": PRESENT,
            "covered_within_s": COVERED_S,
            "stray_within_s": NEAR_S,
        },
    ),
    Check(
        id="F-03",
        name="failed-open",
        layers=("policy",),
        attention="SG",
        status="DER",
        needs=("policy.verdict",),
        rule=_failed_open,
        statement=_FAILED_OPEN,
        question="What did the filter tell the application when its evaluation ended that way, and what shows it?",
        alternatives=("A second filter, or a second evaluation, passed the same content.",),
    ),
    Check(
        id="F-04",
        name="shown-before-verdict",
        layers=("policy", "model", "ui"),
        attention="SG",
        status="DER",
        needs=("policy.verdict", "policy.policy_stage"),
        rule=_shown_before,
        statement="First content of {n:response} was shown before the verdict, by {d} ms in the middle one (clock bound"
        " ±{bound} ms).",
        question="At which point of a response does the filter evaluate it, and what is sent on before that?",
        alternatives=(
            "The page drew an empty frame first, without content.",
            "The application held the stream back until the verdict, and sent nothing on.",
            "The filter wrote its record later than it decided.",
        ),
    ),
    Check(
        id="F-05",
        name="transform-not-reflected",
        layers=("policy", "ui"),
        attention="RU",
        status="DER",
        needs=("policy.verdict", "policy.policy_stage", "ui.output_hash"),
        rule=_transform_not_reflected,
        statement="A redaction is recorded; the text shown matches the text before it by hash in {n:request}.",
        question="Which of the two texts does the page receive, and from where?",
        alternatives=("The redaction was of another part of the exchange than the text shown.",),
    ),
    Check(
        id="F-06",
        name="partial-evaluation",
        layers=("policy",),
        attention="SG",
        status="DER",
        needs=("policy.verdict", "policy.policy_stage"),
        rule=_partly_evaluated,
        statement="The evaluated text is shorter than the text delivered in {n:request}: {a:character} against"
        " {b:character} in the middle ones.",
        question="Which part of a response does the filter receive?",
        alternatives=(
            "The filter logs the text as it normalised it.",
            "The page counts what it added to the text.",
            "Records of further parts were not logged.",
        ),
    ),
    Check(
        id="F-08",
        name="shadow-verdict",
        layers=("policy",),
        attention="CX",
        status="OBS",
        needs=("policy.verdict",),
        rule=_watched_block,
        statement="In observe-only mode, or unenforced, the filter marked {n:response} as `block`, and delivery"
        " continued.",
        question="What was this mode meant to show, and who reads its verdicts?",
        alternatives=("The filter was on trial, and its verdicts are not yet calibrated.",),
    ),
    Check(
        id="F-09",
        name="near-threshold-or-conflicting",
        layers=("policy",),
        attention="CC",
        status="DER",
        needs=("policy.verdict",),
        rule=_near_or_conflicting,
        statement="Scores of {n:request} that were let pass differ from the threshold by at most 5 %: {score} against"
        " {threshold} in the middle ones.",
        question="How was the threshold chosen, and what lies next to it?",
        alternatives=("The policy was changed between the two verdicts.", "Scores vary from run to run."),
        parameters={"near_share": NEAR_THRESHOLD},
        core=False,
    ),
    Check(
        id="F-10",
        name="coverage-by-path",
        layers=("policy", "model"),
        attention="SG",
        status="DER",
        needs=("policy.verdict",),
        rule=_coverage_by_path,
        statement="Evaluations exist for {y} of responses overall and {x} of those served by this path: {path}.",
        question="Which paths pass the filter, and which were designed not to?",
        alternatives=("The path has a filter of its own, whose log is not among the supplied ones.",),
        parameters={"below_share_of_overall": PATH_SHARE, "least_responses": PATH_LEAST},
    ),
)
