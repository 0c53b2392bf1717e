"""Checks across layers: whether the records of a request agree, and how the conditions that others found lie together.

Declarations used: ``shared_responses`` (true, or a list of response ids and hashes of texts that may reach several
users), ``abstain_patterns`` (list of regular expressions for answers that decline).
"""

from __future__ import annotations

from dataclasses import replace

import polars as pl

from strataline.event import LAYERS
from strataline.examine.check import Check, Examination, Found, Unknown
from strataline.examine.facts import Affected, Facts

SUBJECTS = 20
"""So many things of one kind are told one by one; the rest in one sentence."""
TELLING = 6
"""So many events of a hit are named."""

SHARED_CHARS = 200
"""Shorter texts are the same by chance."""
CANNED_USERS = 5
"""A text that more users than this received is taken to be a canned reply."""

IDENTITIES = ("user", "tenant", "session")
USUAL_SHARE = 0.5
USUAL_REQUESTS = 2
"""A value's usual partner in another log: met in more than this share of its requests there, in so many at least."""
ALIKE_SHARE = 0.9
ALIKE_REQUESTS = 5
"""Two logs write an identity alike if they agree in this share of the requests in which both state it."""

ANSWER_CHARS = 200
"""An answer of this length is a full one."""
FINISHED = ("stop", "end_turn", "stop_sequence", "eos", "eos_token", "finish", "finished", "complete", "completed")
"""Words for a generation that ended by itself."""
ABSTAINED = (
    r"\b(?:i|we) (?:do not|don['’]t) (?:know|have (?:any |enough )?(?:information|details))\b",
    r"\b(?:i|we) (?:cannot|can['’]t|could(?: not|n['’]t)) (?:find|answer|help|locate)\b",
    r"\b(?:no|not enough) (?:relevant |matching )?(?:information|documents?|results?|sources?)\b",
    r"\b(?:not (?:mentioned|covered|found|available) in|unable to (?:find|answer))\b",
)
"""Answers that decline, where a team declared none of its own."""

CONDITIONS = ("RU", "SG", "DV", "CC")
"""Attention classes of findings that are conditions of a request; gaps in the evidence and context are none."""
UPSTREAM = ("prompt", "retrieval", "model")
"""Layers whose conditions a filter may still hold back."""
COMMON = 0.5
"""A condition of this share of the affected requests is one that they have in common."""
REPORTED = r"down|negative|dislike|bad|report|unhelpful|incorrect|^-1$|^0$|^1$"
"""Feedback that tells of a complaint; of ratings the lowest."""

_NO_AFFECTED = Unknown("it speaks of affected requests, and none were named", ("--affected",))
_NOTHING_RAN = Unknown("it speaks of what other checks found, and none ran with it", ("other checks",))
_PRECISION_NS = {"s": 10**9, "ms": 10**6, "us": 10**3}


def _none() -> pl.DataFrame:
    return pl.DataFrame(schema={"request": pl.String, "events": pl.List(pl.String)})


def _telling(*columns: str | pl.Expr) -> pl.Expr:
    """The events that `columns` (ids, or lists of them) name: no nulls, none twice, `TELLING` at most."""
    named = pl.concat_list(*columns).list.drop_nulls().list.unique(maintain_order=True)
    return named.list.head(TELLING).alias("events")


def _of(values: pl.Series) -> pl.Series:
    """Values to look another column up in."""
    return values.drop_nulls().unique().implode()


#


def _same_response(facts: Facts) -> list[Found] | Unknown:
    shared = facts.declared.get("shared_responses")
    if shared is True:
        return Unknown("answers are declared to be shared between users (shared_responses)")
    allowed = pl.Series([str(one) for one in shared] if isinstance(shared, list) else [], dtype=pl.String).implode()
    asked = facts.tables["requests"].select("request", asked="user")
    columns = ("event_id", "format", "request", "user", "response_id", "output_hash", "output_chars", "t")
    said = pl.col("response_id").is_not_null() | (pl.col("output_chars") >= SHARED_CHARS).fill_null(value=False)
    # Columns first, rows after: a row of all columns is wide.
    events = pl.concat([facts.of(layer, columns=columns).filter(said) for layer in ("prompt", "model", "ui")])
    # A cached answer is what M-08 speaks of.
    model = facts.of("model", columns=("request", "cache"))
    cached = _of(model.filter(pl.col("cache").str.to_lowercase().str.contains("hit"))["request"])
    events = events.filter(~pl.col("request").is_in(cached).fill_null(value=False))
    events = events.join(asked, on="request", how="left", maintain_order="left")
    if not events.filter(pl.col("asked").is_not_null() | pl.col("user").is_not_null()).height:
        return Unknown("no record that names a response, or holds a long one, can be told to be of a user", ("*.user",))
    reached = facts.reached.select("request", reached=pl.coalesce("shown", "delivered"))
    by_id = _same_id(events.filter(~pl.col("response_id").is_in(allowed).fill_null(value=True)), reached)
    by_text = _same_text(facts, events.filter(~pl.col("output_hash").is_in(allowed).fill_null(value=True)), reached)
    return [*by_id, *by_text] or [Found(_none(), events["request"])]


def _same_id(events: pl.DataFrame, reached: pl.DataFrame) -> list[Found]:
    # Logs name users in ways of their own: those of one log are told apart, and those that opening events name.
    named = [
        events.select("response_id", log="format", person="user"),
        events.select("response_id", log=pl.lit(None, pl.String), person="asked"),
    ]
    users = pl.concat(named).drop_nulls("person").group_by("response_id", "log").agg(pl.col("person").n_unique())
    users = users.group_by("response_id").agg(pl.col("person").max()).filter(pl.col("person") > 1)
    users = users.sort(["person", "response_id"], descending=[True, False])
    if users.is_empty():
        return []
    rows = events.join(users, on="response_id").sort("t", "event_id", nulls_last=True)
    hits = rows.group_by("response_id", "request", maintain_order=True).agg("event_id")
    hits = hits.join(reached, on="request", how="left", maintain_order="left")
    hits = hits.with_columns(_telling("reached", "event_id"))
    evaluable = events.drop_nulls("response_id")["request"]

    def attention(part: pl.DataFrame) -> str:
        return "RU" if part["reached"].count() > 1 else "EG"

    found = []
    for response, people in users.head(SUBJECTS).iter_rows():
        part = hits.filter(pl.col("response_id") == response)
        values = {"r": response, "k": int(people)}
        found.append(Found(part.select(_none().columns), evaluable, values, response, None, attention(part)))
    rest = users.slice(SUBJECTS)
    if rest.height:
        part = hits.join(rest, on="response_id", how="semi", maintain_order="left")
        one = part.unique("request", keep="first", maintain_order=True).select(_none().columns)
        statement = "Recorded in sessions of several users each: {more:response} besides those named, in {n:request}."
        values = {"more": rest.height}
        found.append(Found(one, evaluable, values, f"and {rest.height:,} more", statement, attention(part)))
    return found


def _same_text(facts: Facts, events: pl.DataFrame, reached: pl.DataFrame) -> list[Found]:
    """Long answers that requests of several users have in common, though what the model was asked differs."""
    given = facts.of("model", "model.call", columns=("request", "output_hash", "input_hash")).drop_nulls().unique()
    long = events.filter(
        pl.col("output_hash").is_not_null()
        & pl.col("asked").is_not_null()
        & (pl.col("output_chars") >= SHARED_CHARS).fill_null(value=False)
    )
    asked = long.select("request", "output_hash", "asked").unique().join(given, on=["request", "output_hash"])
    # The same prompt may well have the same answer.
    shared = asked.group_by("output_hash").agg(
        users=pl.col("asked").n_unique(), prompts=pl.col("input_hash").n_unique()
    )
    several = shared.filter((pl.col("users") > 1) & (pl.col("prompts") > 1))
    canned = several.filter(pl.col("users") > CANNED_USERS).height
    several = several.filter(pl.col("users") <= CANNED_USERS)
    if several.is_empty():
        return []
    rows = long.join(several, on="output_hash", how="semi").sort("t", "event_id", nulls_last=True)
    hits = rows.group_by("request", maintain_order=True).agg("event_id")
    hits = hits.join(reached, on="request", how="left", maintain_order="left")
    hits = hits.select("request", _telling("reached", "event_id"))
    statement = (
        "{texts:text} of {chars} characters or more may have reached more than one user each: the answers to"
        " {n:request} of different users match, their prompts differ, and no id ties them. {canned:text} that more"
        " than {most} users received resemble canned replies and are not counted."
    )
    values = {"texts": several.height, "chars": SHARED_CHARS, "canned": canned, "most": CANNED_USERS}
    return [Found(hits, asked["request"], values, "same text", statement, status="INF")]


#


def _identities(facts: Facts) -> list[Found] | Unknown:
    columns = ("event_id", "request", "layer", "format", *IDENTITIES)
    # Numbers are compared, until it is known which differ.
    numbers = pl.col("request", "layer", "format", *IDENTITIES).cast(pl.Categorical)
    tied = pl.concat(
        facts.of(layer, columns=("sure", *columns))
        .filter(pl.col("sure") & pl.col("request").is_not_null())
        .with_columns(numbers)
        for layer in LAYERS
    )
    reached = facts.reached.select("request", reached=pl.coalesce("shown", "delivered"))
    found: list[Found] = []
    looked = [pl.Series(dtype=pl.Categorical)]
    for what in IDENTITIES:
        stated = tied.filter(pl.col(what).is_not_null()).unique(
            ["request", "layer", "format", what], keep="first", maintain_order=True
        )
        stated = stated.with_columns(pl.col("layer", "format").cast(pl.String))
        log = pl.concat_str("layer", pl.lit("/"), pl.col("format").fill_null(""))
        stated = stated.select("request", "layer", "event_id", log=log, value=what)
        stated = stated.with_columns(pl.col("log").cast(pl.Enum(stated["log"].unique().sort())))
        pairs = stated.join(stated, on="request", suffix="_b")
        apart = (pl.col("layer") != pl.col("layer_b")) & (pl.col("log").to_physical() < pl.col("log_b").to_physical())
        pairs = pairs.filter(apart)
        if pairs.height:
            judged = pairs.join(_judged(pairs, stated), on=["log", "log_b", "value", "value_b"], how="left")
            looked.append(judged.filter(pl.col("agrees") | pl.col("differs"))["request"])
            found += _disagreeing(judged, what, reached)
            looked[0] = looked[0].append(pairs["request"])
    if looked[0].is_empty():
        reason = "no request has records of two layers that each name its user, tenant or session"
        return Unknown(reason, ("*.user", "*.tenant", "*.session"))
    evaluable = pl.concat(looked[1:]).unique()
    return [replace(one, evaluable=evaluable) for one in found] or [Found(_none(), evaluable)]


def _judged(pairs: pl.DataFrame, stated: pl.DataFrame) -> pl.DataFrame:
    """Whether the values of a pair of logs (log, log_b, value, value_b) ``agrees`` or ``differs``; neither if unclear.

    In logs that write identities alike, a pair differs if each of its values is an identity of the other log too (a
    service account is none). In others (hashed, a session id of their own), what usually stands together agrees; a
    pair differs where each of its values usually stands with another.
    """
    logs = ["log", "log_b"]
    met = pairs.group_by(*logs, "value", "value_b").agg(met=pl.len())
    met = met.with_columns(same=pl.col("value") == pl.col("value_b"))
    requests = pl.col("met").sum().over(logs)
    same = pl.when("same").then("met").otherwise(0).sum().over(logs)
    met = met.with_columns(alike=(same >= ALIKE_SHARE * requests) & (requests >= ALIKE_REQUESTS))
    for side, other in (("value", "log_b"), ("value_b", "log")):
        most, whole = (getattr(pl.col("met"), how)().over(*logs, side) for how in ("max", "sum"))
        known = stated.select(pl.col("log").alias(other), pl.col("value").alias(side)).unique()
        met = met.with_columns(
            ((most >= USUAL_REQUESTS) & (most > USUAL_SHARE * whole)).alias(f"settled_{side}"),
            (pl.col("met") == most).alias(f"with_{side}"),
        ).join(known.with_columns(pl.lit(value=True).alias(f"known_{side}")), on=[other, side], how="left")
    there = pl.all_horizontal(pl.col("known_value", "known_value_b").fill_null(value=False))
    paired = (pl.col("settled_value") & pl.col("with_value")) | (pl.col("settled_value_b") & pl.col("with_value_b"))
    apart = pl.all_horizontal("settled_value", "settled_value_b", ~pl.col("with_value"), ~pl.col("with_value_b"))
    return met.select(
        *("log", "log_b", "value", "value_b"),
        agrees=pl.col("same") | (~pl.col("alike") & paired),
        differs=~pl.col("same") & pl.when("alike").then(there).otherwise(apart),
    )


def _disagreeing(pairs: pl.DataFrame, what: str, reached: pl.DataFrame) -> list[Found]:
    """What of `pairs` differs in requests in which nothing of the same two logs agrees, by layers."""
    within = ["log", "log_b", "request"]
    wrong = pairs.join(pairs.filter("differs").select(within).unique(), on=within, how="semi")
    wrong = wrong.filter(~pl.col("agrees").any().over(within)).with_columns(pl.col("request").cast(pl.String))
    wrong = wrong.join(reached, on="request", how="left")
    wrong = wrong.with_columns(pl.min_horizontal("layer", "layer_b"), layer_b=pl.max_horizontal("layer", "layer_b"))
    found = []
    for (a, b), part in wrong.sort("layer", "layer_b", "request", "event_id", "event_id_b").group_by(
        "layer", "layer_b", maintain_order=True
    ):
        hits = part.group_by("request", maintain_order=True).agg(
            pl.col("event_id").first(), pl.col("event_id_b").first(), pl.col("reached").first()
        )
        attention = "RU" if hits["reached"].count() else "EG"
        hits = hits.select("request", _telling("event_id", "event_id_b", "reached"))
        values = {"what": what, "a": a, "b": b}
        found.append(Found(hits, 0, values, f"{what}: {a}, {b}", None, attention))
    return found


#


def _contradictions(facts: Facts) -> list[Found] | Unknown:
    columns = ("request", "event_id", "clock", "doubt")

    def tied(layer: str) -> pl.DataFrame:
        more = ("kind", "policy_stage", "time_kind", "sure", "t", "t_end")
        events = facts.of(layer, columns=(*columns, *more))
        return events.filter(pl.col("sure") & pl.col("request").is_not_null() & pl.col("t").is_not_null())

    def effect(layer: str, kind: str, *more: pl.Expr) -> pl.DataFrame:
        return tied(layer).filter(pl.col("kind") == kind, *more).select(*columns, at="t_end")

    calls = _timed_calls(facts)
    began = calls.select(*columns, at="began")
    ended = calls.filter(~pl.col("stream").fill_null(value=True)).select(*columns, at="ended")
    # A turn that the application went on with before its first opening record has lost an earlier one.
    first = tied("prompt").sort("t", "event_id").group_by("request", maintain_order=True)
    received = first.agg(pl.col("kind", "time_kind", "event_id", "clock", "doubt", "t").first())
    received = received.filter((pl.col("kind") == "prompt.received") & (pl.col("time_kind") != "end"))
    received = received.select(*columns, at="t")
    answers = facts.renders.filter(pl.col("answer") & pl.col("sure"))["event_id"].implode()
    shown = effect("ui", "ui.rendered", pl.col("event_id").is_in(answers))
    shown_at = tied("ui").filter(pl.col("event_id").is_in(answers)).select(*columns, at="t")
    output = effect("policy", "policy.decision", pl.col("policy_stage") == "output")
    kinds = (
        ("the display of the answer", "the beginning of its generation", shown, began),
        ("the display of the answer", "the end of its generation, which was not streamed,", shown, ended),
        ("a verdict on the output", "the beginning of its generation", output, began),
        ("the beginning of a model call", "the turn that it answers", began, received),
        ("a retrieval", "the turn that it serves", effect("retrieval", "retrieval.query"), received),
        ("feedback", "the display of what it is about", effect("ui", "ui.feedback"), shown_at),
    )
    found, looked = [], []
    for a, b, after, before in kinds:
        pairs = _first_of(after, before)
        looked.append(pairs["request"])
        wrong = pairs.filter(pl.col("early") > pl.col("bound"))
        if wrong.is_empty():
            continue
        precision = facts.table("events", "event_id", "time_precision")
        for side in ("event_id", "event_id_b"):
            read = precision.rename({"event_id": side, "time_precision": "read"})
            wrong = wrong.join(read, on=side, how="left")
            coarse = pl.col("read").replace_strict(_PRECISION_NS, default=0, return_dtype=pl.Int64)
            wrong = wrong.with_columns(bound=pl.col("bound") + coarse).drop("read")
        wrong = wrong.filter(pl.col("early") > pl.col("bound")).sort("early", "request", "event_id", descending=True)
        wrong = wrong.unique("request", keep="first", maintain_order=True)
        if wrong.is_empty():
            continue
        values = {"a": a, "b": b, "most": _ms(wrong["early"].max()), "bound": _ms(wrong["bound"][0])}
        hits = wrong.select("request", _telling("event_id", "event_id_b"))
        found.append(Found(hits, pairs["request"], values, f"{a} before {b}".rstrip(",")))
    every = pl.concat(looked)
    if every.is_empty():
        return Unknown("no request has two events of a fixed order whose clocks are bounded", ("*.event_time",))
    return found or [Found(_none(), every)]


def _timed_calls(facts: Facts) -> pl.DataFrame:
    """Model calls with when they ``began`` and ``ended`` (ns; null where no record says), failed ones too.

    A blocked call has generated what was blocked. Of requests with a call that is not tied by ids or has no time, none:
    it may be the one that another record is about.
    """
    calls = facts.responses.filter(pl.col("request").is_not_null())
    end = pl.col("end_time").dt.epoch("ns") - pl.col("clock_offset")
    began = pl.when(pl.col("time_kind") == "start").then("t").otherwise(pl.col("t") - pl.col("duration_ns"))
    calls = calls.with_columns(began=began, ended=pl.coalesce(end, pl.when(pl.col("time_kind") == "end").then("t")))
    cached = pl.col("cache").str.to_lowercase().str.contains("hit").fill_null(value=False)
    vague = calls.filter(~pl.col("sure") | pl.col("began").is_null() | cached)["request"]
    return calls.filter(~pl.col("request").is_in(_of(vague)))


def _first_of(after: pl.DataFrame, before: pl.DataFrame) -> pl.DataFrame:
    """Each event of `after` with the first one of `before` in its request, and how ``early`` it is (ns).

    ``bound`` is how far the two clocks may be off; pairs of unknown bound are left out.
    """
    first = before.drop_nulls("at").sort("at", "event_id").group_by("request", maintain_order=True).first()
    # One without a time might be the first one.
    timeless = before.filter(pl.col("at").is_null())["request"]
    first = first.filter(~pl.col("request").is_in(_of(timeless)))
    pairs = after.drop_nulls("at").join(first, on="request", suffix="_b")
    one_clock = (pl.col("clock") == pl.col("clock_b")).fill_null(value=False)
    bound = pl.when(one_clock).then(0).otherwise(pl.col("doubt") + pl.col("doubt_b"))
    return pairs.with_columns(bound=bound, early=pl.col("at_b") - pl.col("at")).drop_nulls("bound")


def _ms(ns: object) -> str:
    return f"{int(str(ns)) / 1e6:,.0f} ms"


#


def _passages(facts: Facts) -> pl.DataFrame | Unknown:
    """Documents that requests retrieved (request, event_id, key, held): ``held`` whether the prompt states it too.

    Of a request whose candidates were ranked again, those that this left.
    """
    found = facts.of("retrieval", columns=("request", "event_id", "kind", "documents"))
    found = found.filter(pl.col("request").is_not_null() & (pl.col("documents").list.len() > 0))
    ranked = pl.col("kind") == "retrieval.rerank"
    found = found.filter(ranked | ~ranked.any().over("request"))
    columns = ("request", "event_id", "documents")
    context = pl.concat([facts.of(layer, columns=columns) for layer in ("prompt", "model")])
    context = context.filter(pl.col("documents").is_not_null() & pl.col("request").is_not_null())
    found = found.join(context.select("request").unique(), on="request", how="semi", maintain_order="left")
    if found.is_empty():
        return Unknown(
            "no request has both a list of retrieved documents and one of those in its prompt", ("prompt.documents",)
        )

    def listed(events: pl.DataFrame) -> pl.DataFrame:
        each = events.select("request", "event_id", document="documents").explode("document", empty_as_null=False)
        fields = pl.col("document").struct
        return each.select(
            "request", "event_id", id=fields.field("id"), hash=fields.field("hash"), version=fields.field("version")
        )

    given = listed(context)
    wanted = listed(found).unique(["request", "id", "hash"], keep="first", maintain_order=True)
    wanted = wanted.filter(pl.col("id").is_not_null() | pl.col("hash").is_not_null())
    for key in ("id", "hash"):
        there = given.select("request", key).drop_nulls().unique().with_columns(pl.lit(value=True).alias(f"by_{key}"))
        wanted = wanted.join(there, on=["request", key], how="left", maintain_order="left")
    held = pl.any_horizontal(pl.col("by_id", "by_hash").fill_null(value=False))
    wanted = wanted.select("request", "event_id", held=held)
    if not wanted["held"].any():
        reason = "the documents of prompts and those of retrieval share no id and no hash"
        return Unknown(reason, ("prompt.documents",))
    prompts = context.group_by("request", maintain_order=True).agg(context=pl.col("event_id").first())
    return wanted.join(prompts, on="request", how="left", maintain_order="left")


def _not_in_context(facts: Facts) -> list[Found] | Unknown:
    passages = _passages(facts)
    if isinstance(passages, Unknown):
        return passages
    left_out = passages.filter(~pl.col("held"))
    hits = left_out.group_by("request", maintain_order=True).agg("event_id", pl.col("context").first())
    whole = passages.join(hits.select("request"), on="request", how="semi")
    values = {"k": left_out.height, "of": whole.height}
    return [Found(hits.select("request", _telling("event_id", "context")), passages["request"], values)]


def _without_support(facts: Facts) -> list[Found] | Unknown:
    columns = ("event_id", "request", "kind", "outcome", "documents")
    retrieval = facts.of("retrieval", columns=columns).filter(
        pl.col("kind").is_in(["retrieval.query", "retrieval.rerank", "retrieval.documents"])
        & pl.col("request").is_not_null()
    )
    broke = pl.col("outcome").is_in(["error", "timeout"]).fill_null(value=False)
    told = retrieval.filter(pl.col("documents").is_not_null() | broke)
    if told.is_empty():
        reason = "no record of retrieval states its documents or that it ended in an error"
        return Unknown(reason, ("retrieval.documents", "retrieval.outcome"))
    empty = (
        retrieval.group_by("request", maintain_order=True)
        .agg(
            found=pl.col("documents").list.len().sum(),
            known=(pl.col("documents").is_not_null() | broke).all(),
            telling=pl.col("event_id").last(),
        )
        .filter(pl.col("known"))
    )
    evaluable = empty["request"]
    without = empty.filter(pl.col("found") == 0).select("request", "telling")
    passages = _passages(facts)
    if isinstance(passages, pl.DataFrame):
        dropped = passages.group_by("request", maintain_order=True).agg(
            pl.col("held").any(), telling=pl.col("context").first()
        )
        dropped = dropped.filter(~pl.col("held")).select("request", "telling")
        without = pl.concat([without, dropped]).unique("request", keep="first", maintain_order=True)
    finished = pl.col("finish_reason").str.to_lowercase().is_in(FINISHED)
    answered = facts.responses.filter(
        pl.col("last")
        & pl.col("delivered_").fill_null(value=True)
        & finished
        & (pl.col("output_chars") >= ANSWER_CHARS)
    )
    answered = answered.select("request", "event_id").join(without, on="request").sort("request", "event_id")
    declared = facts.declared.get("abstain_patterns")
    patterns = [str(one) for one in declared] if isinstance(declared, list) else list(ABSTAINED)
    compared = "not compared: the inputs are not at hand"
    if facts.texts is not None:
        texts = facts.texts(answered["event_id"].to_list())
        outputs = pl.DataFrame(
            {"event_id": list(texts), "text": [one.output for one in texts.values()]},
            schema={"event_id": pl.String, "text": pl.String},
        )
        declines = pl.col("text").str.to_lowercase().str.contains("|".join(f"(?:{one})" for one in patterns))
        answered = answered.join(outputs.filter(declines), on="event_id", how="anti", maintain_order="left")
        compared = "declared" if isinstance(declared, list) else "built in"
    hits = answered.unique("request", keep="first", maintain_order=True).select(
        "request", _telling("event_id", "telling")
    )
    return [Found(hits, evaluable, parameters={"abstain_patterns": compared})]


#


def _conditions(examined: Examination) -> pl.DataFrame:
    """What requests show: finding, check, name, subject, place, layer (null for several), request, events."""
    findings = examined.findings.filter((pl.col("result") == "fired") & pl.col("attention").is_in(CONDITIONS))
    one = pl.when(pl.col("layers").list.len() == 1).then(pl.col("layers").list.first())
    findings = findings.select("finding", "name", "subject", "place", layer=one)
    hits = examined.hits.filter(pl.col("request").is_not_null()).select("finding", "check", "request", "events")
    return hits.join(findings, on="finding").sort("place", "request")


def _affected(facts: Facts) -> tuple[Affected, Examination] | Unknown:
    if facts.affected is None:
        return _NO_AFFECTED
    if facts.examined is None or facts.examined.findings.is_empty():
        return _NOTHING_RAN
    return facts.affected, facts.examined


def _together(facts: Facts) -> list[Found] | Unknown:
    given = _affected(facts)
    if isinstance(given, Unknown):
        return given
    affected, examined = given
    requests = affected.requests.drop_nulls().unique()
    shown = _conditions(examined).filter(pl.col("request").is_in(requests.implode()))
    per = shown.group_by("request", maintain_order=True).agg(
        layers=pl.col("layer").drop_nulls().unique().sort(),
        checks=pl.col("check").unique().sort(),
        events=pl.col("events").list.first().drop_nulls(),
    )
    per = per.select("request", "layers", "checks", _telling("events")).sort("request")
    many = per.filter(pl.col("layers").list.len() > 1).with_columns(
        conditions=pl.col("checks").list.join(" + "), spread=pl.col("layers").list.join(", ")
    )
    values = {"m": per.height - many.height, "u": requests.len() - per.height, "all": requests.len()}
    found = [Found(many.select("request", "events"), requests, values)]
    sets = many.group_by("conditions", "spread").len()
    sets = sets.sort(["len", "conditions", "spread"], descending=[True, False, False])
    for conditions, spread, _ in sets.head(SUBJECTS).iter_rows():
        part = many.filter((pl.col("conditions") == conditions) & (pl.col("spread") == spread))
        statement = "In {n:request} of the affected set these hold together, and no other: {conditions} ({spread})."
        named = {"conditions": conditions, "spread": spread}
        found.append(Found(part.select("request", "events"), requests, named, conditions, statement))
    rest = sets.slice(SUBJECTS)
    if rest.height:
        part = many.join(rest, on=["conditions", "spread"], how="semi", maintain_order="left")
        statement = "In {n:request} of the affected set {more:combination} of conditions hold besides those named."
        more = {"more": rest.height}
        found.append(Found(part.select("request", "events"), requests, more, f"and {rest.height:,} more", statement))
    return found


def _held(facts: Facts) -> list[Found] | Unknown:
    if facts.examined is None or facts.examined.findings.is_empty():
        return _NOTHING_RAN
    conditions = _conditions(facts.examined).filter(pl.col("layer").is_in(UPSTREAM))
    if facts.affected is not None:
        common = conditions.filter(pl.col("request").is_in(_of(facts.affected.requests)))["finding"]
        conditions = conditions.filter(pl.col("finding").is_in(_of(common)))
    if conditions.is_empty():
        return [Found(_none(), 0)]
    blocks = facts.verdicts.filter((pl.col("verdict") == "block") & pl.col("acts")).select(
        "request", "event_id", by=pl.lit("the filter")
    )
    # The application may say so itself, where the filter's records do not.
    notices = facts.of("prompt", columns=("event_id", "request", "kind", "outcome"))
    notices = notices.filter((pl.col("kind") == "prompt.blocked") | (pl.col("outcome") == "blocked"))
    stopped = pl.concat([blocks, notices.select("request", "event_id", by=pl.lit("the application"))])
    stopped = stopped.drop_nulls("request").unique("request", keep="first", maintain_order=True)
    stopped = stopped.join(facts.reached, on="request", how="anti", maintain_order="left")
    held = conditions.join(stopped, on="request").sort("finding", "request", "event_id")
    held = held.unique(["finding", "request"], keep="first", maintain_order=True)
    sizes = held.group_by("place", "finding", "name", "subject", "by").len()
    sizes = sizes.sort(["len", "place", "by"], descending=[True, False, False])
    found = []
    for _, finding, name, subject, by, _ in sizes.head(SUBJECTS).iter_rows():
        part = held.filter((pl.col("finding") == finding) & (pl.col("by") == by))
        hits = part.select("request", _telling(pl.col("events").list.first(), "event_id"))
        evaluable = conditions.filter(pl.col("finding") == finding)["request"]
        values = {"c": _named(finding, name, subject), "layer": by}
        found.append(Found(hits, evaluable, values, f"{finding}, {by}"))
    rest = sizes.slice(SUBJECTS)
    if rest.height:
        part = held.join(rest, on=["finding", "by"], how="semi", maintain_order="left")
        part = part.unique("request", keep="first", maintain_order=True)
        hits = part.select("request", _telling(pl.col("events").list.first(), "event_id"))
        statement = "Delivery was stopped in {n:request} with {more:condition} besides those named."
        values = {"more": rest.height}
        found.append(Found(hits, conditions["request"], values, f"and {rest.height:,} more", statement))
    return found or [Found(_none(), conditions["request"])]


def _named(finding: str, name: str, subject: str | None) -> str:
    return f"{finding} {name}" if subject is None else f"{finding} {name} ({subject})"


def _explaining(affected: Affected, examined: Examination) -> tuple[pl.DataFrame, str]:
    """Conditions that may tell affected requests from others, and what is said of those left out.

    What a set was chosen by holds in all of it, and says nothing of it.
    """
    conditions = _conditions(examined)
    chosen = [one.removeprefix("check:") for one in affected.selectors if one.startswith("check:")]
    by = pl.any_horizontal(pl.col("check", "finding").is_in(chosen))
    names = conditions.filter(by)["check"].unique().sort()
    said = f" ({', '.join(names)}, by which they were chosen, is not counted.)" if names.len() else ""
    return conditions.filter(~by), said


def _leading(conditions: pl.DataFrame, requests: pl.Series) -> pl.DataFrame:
    """Findings that hold in some of `requests`, in most of them first: finding, name, subject, size."""
    here = conditions.filter(pl.col("request").is_in(_of(requests)))
    sizes = here.group_by("place", "finding", "name", "subject").agg(size=pl.col("request").n_unique())
    return sizes.sort(["size", "place"], descending=[True, False])


def _remainder(facts: Facts) -> list[Found] | Unknown:
    given = _affected(facts)
    if isinstance(given, Unknown):
        return given
    affected, examined = given
    requests = affected.requests.drop_nulls().unique().sort()
    conditions, left_out = _explaining(affected, examined)
    none = requests.filter(~requests.is_in(_of(conditions["request"])))
    hits = pl.DataFrame({"request": none}, schema={"request": pl.String}).with_columns(
        events=pl.lit([], pl.List(pl.String))
    )
    leading = _leading(conditions, requests)
    values: dict[str, object] = {"all": requests.len(), "run": examined.findings["check"].n_unique()}
    if leading.is_empty():
        statement = "{n} of {all} affected requests show none of the listed conditions: no check that ran found one."
        return [Found(hits, requests, values, statement=statement + left_out, stands=True)]
    first = leading.row(0, named=True)
    others = conditions.filter((pl.col("finding") == first["finding"]) & ~pl.col("request").is_in(_of(requests)))
    values |= {"v": others["request"].n_unique(), "c": _named(first["finding"], first["name"], first["subject"])}
    values |= {"most": int(first["size"])}
    statement = _said_of_remainder(len(none), others["request"].n_unique()) + left_out
    return [Found(hits, requests, values, statement=statement, stands=True)]


def _said_of_remainder(unexplained: int, unaffected: int) -> str:
    """The sentence of X-09: what the conditions found do not account for, whichever of the two numbers is zero."""
    show = "{n} of {all} affected requests show none of the listed conditions"
    if unexplained and unaffected:
        return (
            f"{show}, and {{v}} unaffected requests show {{c}}. The conditions found are therefore neither complete nor"
            " sufficient."
        )
    if unexplained:
        return f"{show}; no unaffected request shows {{c}}. The conditions found are therefore not complete."
    if unaffected:
        return (
            "Each of the {all} affected requests shows one of the listed conditions or more; {v} unaffected requests"
            " show {c} too. The conditions found are therefore not sufficient."
        )
    return (
        "Each of the {all} affected requests shows one of the listed conditions or more, and no unaffected request"
        " shows {c}, which holds in {most} of them. This is association in these logs; what is not logged cannot appear"
        " in it."
    )


def _wider(facts: Facts) -> list[Found] | Unknown:
    given = _affected(facts)
    if isinstance(given, Unknown):
        return given
    affected, examined = given
    requests = affected.requests.drop_nulls().unique()
    conditions, _ = _explaining(affected, examined)
    leading = _leading(conditions, requests)
    common = leading.filter(pl.col("size") >= COMMON * requests.len())
    if common.is_empty():
        return Unknown(
            "no condition holds in half of the affected requests but what they were chosen by: they share none"
        )
    met = conditions.join(common.select("finding"), on="finding", how="semi", maintain_order="left")
    met = met.filter(~pl.col("request").is_in(requests.implode()))
    met = met.group_by("request", maintain_order=True).agg(
        pl.col("finding").n_unique(), events=pl.col("events").list.first().drop_nulls()
    )
    met = met.filter(pl.col("finding") == common.height).sort("request")
    told = pl.col("feedback").str.to_lowercase().str.contains(REPORTED).fill_null(value=False)
    feedback = facts.of("ui", "ui.feedback", columns=("request", "feedback"))
    reports = feedback.filter(told & pl.col("request").is_not_null())["request"]
    silent = met.filter(~pl.col("request").is_in(_of(reports)))
    names = [_named(*row) for row in common.select("finding", "name", "subject").iter_rows()]
    values = {"conditions": "; ".join(names), "told": met.height - silent.height}
    others = facts.requests.filter(~pl.col("request").is_in(requests.implode()))["request"]
    return [Found(silent.select("request", _telling("events")), others, values)]


CHECKS: tuple[Check, ...] = (
    Check(
        id="X-01",
        name="same-response-two-sessions",
        layers=("model", "ui"),
        attention="RU",
        status="DER",
        needs=("*.request",),
        rule=_same_response,
        statement="Response {r} is recorded in sessions of {k} different users, in {n:request}.",
        question="How is an answer tied to the session that it goes back to, and what may share one?",
        alternatives=(
            "A canned reply, or an answer meant to be shared.",
            "One person with two accounts, or a change of the name under which a user is logged.",
        ),
        parameters={"least_characters": SHARED_CHARS, "canned_users": CANNED_USERS},
    ),
    Check(
        id="X-02",
        name="identity-disagreement",
        layers=("prompt", "retrieval", "model", "policy", "ui"),
        attention="RU",
        status="DER",
        needs=("*.request",),
        rule=_identities,
        statement="The {a} and {b} records of {n:request} carry {what} ids that differ and do not usually match.",
        question="How does each layer learn whose request it is?",
        alternatives=("A service account.", "A change of the salt with which ids are hashed."),
        parameters={
            "usual_share": USUAL_SHARE,
            "usual_requests": USUAL_REQUESTS,
            "alike_share": ALIKE_SHARE,
            "alike_requests": ALIKE_REQUESTS,
        },
    ),
    Check(
        id="X-03",
        name="order-contradiction",
        layers=("prompt", "retrieval", "model", "policy", "ui"),
        attention="EG",
        status="DER",
        needs=("*.corrected_time",),
        rule=_contradictions,
        statement="In {n:request} the records place {a} before {b} by up to {most}, which is more than their clocks'"
        " bounds (±{bound}): the recorded order cannot be right in both, and both are kept.",
        question="What does each of the two records write its time at?",
        alternatives=(
            "A record of another attempt, or one of an earlier attempt that is not in the logs.",
            "A clock that stepped.",
        ),
    ),
    Check(
        id="X-04",
        name="retrieved-not-in-context",
        layers=("prompt", "retrieval"),
        attention="CC",
        status="DER",
        needs=("retrieval.documents",),
        rule=_not_in_context,
        statement="{k} of {of} retrieved passages are not in the rendered prompt, in {n:request}.",
        question="What decides which of the retrieved passages enter the prompt?",
        alternatives=("Passages over a limit are left out by design.", "Passages were merged under another id."),
    ),
    Check(
        id="X-05",
        name="answer-after-empty-context",
        layers=("retrieval", "model"),
        attention="CC",
        status="DER",
        needs=("model.output_chars", "model.finish_reason", "retrieval.kind"),
        rule=_without_support,
        statement="A full-length answer was recorded with no recorded supporting document in {n:request}. Accuracy"
        " needs human review.",
        question="What is the product to answer where it has found nothing?",
        alternatives=("A route that needs no documents (small talk).", "Documents that another log records."),
        parameters={"least_characters": ANSWER_CHARS},
    ),
    Check(
        id="X-07",
        name="co-occurring-conditions",
        layers=("prompt", "retrieval", "model", "policy", "ui"),
        attention="CX",
        status="DER",
        needs=("*.request",),
        rule=_together,
        statement="{n:request} of {all} affected show conditions in more than one layer together; {m} show one layer"
        " only; {u} show none.",
        question="How do these conditions meet in one request?",
        alternatives=("Conditions that hold in most requests of the case meet by chance.",),
        after=True,
    ),
    Check(
        id="X-08",
        name="safeguard-held",
        layers=("policy",),
        attention="CX",
        status="DER",
        needs=("*.request",),
        rule=_held,
        statement="In {n:request} with the same condition ({c}), {layer} stopped delivery.",
        question="What let this step hold here?",
        alternatives=("It was stopped on other grounds than this condition.",),
        after=True,
    ),
    Check(
        id="X-09",
        name="unexplained-remainder",
        layers=("prompt", "retrieval", "model", "policy", "ui"),
        attention="CX",
        status="DER",
        needs=("*.request",),
        rule=_remainder,
        statement="{n} of {all} affected requests show none of the listed conditions.",
        question="What do the requests without a listed condition have in common that no log records?",
        alternatives=("The affected set holds requests that are not affected, or lacks some that are.",),
        after=True,
    ),
    Check(
        id="X-10",
        name="wider-exposure",
        layers=("prompt", "retrieval", "model", "policy", "ui"),
        attention="CX",
        status="DER",
        needs=("*.request",),
        rule=_wider,
        statement="A further {n:request} met the same recorded conditions ({conditions}); no report about them is"
        " in the logs.",
        question="How would a user who met this have told you?",
        alternatives=("The condition holds without any effect in these requests.",),
        parameters={"common_share": COMMON},
        core=False,
        after=True,
    ),
)
