"""Checks of the prompt layer: what was asked of the model, by which template, and how much of it fitted.

What a team may declare for them: ``context_limits`` (model, as served or as asked for → tokens of its window).
"""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from strataline.event import LAYERS
from strataline.examine.check import HITS, Check, Found, Unknown, capped, moment
from strataline.examine.facts import Facts

NEAR = 0.95
SHRINK = 0.4
GROWS = 2 / 3
VARIES = 0.5
FEW = 2

SYSTEM_HASHES = ("system_prompt_hash", "system_prompt_sha256", "system_hash", "sys_hash", "system_sha256")
LIMITS = ("context_window", "context_length", "context_limit", "max_context", "max_model_len", "num_ctx", "n_ctx")
MOST_OUT = ("max_tokens", "max_output_tokens", "max_completion_tokens", "max_new_tokens", "num_predict")
CUT = ("truncated", "truncation", "input_truncated", "prompt_truncated", "context_truncated")
HISTORY = ("n_history", "history_messages", "history_length", "history_turns", "n_messages", "message_count")
ASKING = ("prompt.received", "prompt.rendered", "prompt.sent", "model.call", "model.attempt")
RESET = r"(?i)reset|clear(ed)?[_. ]|compact|summari[sz]|trimm|new_(chat|conversation|thread|session)"
YES = ("true", "1", "yes")
NO = ("false", "0", "no")
FULL = ("model_context_window_exceeded", "context_window_exceeded")


def _whole(column: str, names: tuple[str, ...]) -> pl.Expr:
    """The first whole number that a map holds under one of `names`."""
    return pl.coalesce(pl.col(column).map.get(name).cast(pl.Int64, strict=False) for name in names)


def _asking(facts: Facts, *columns: str) -> pl.DataFrame:
    """Event id, request and `columns` of what is asked of models, where it belongs to a request."""
    kept = ["event_id", "request", "kind", *columns]
    parts = [facts.of(layer, *ASKING, columns=kept) for layer in ("prompt", "model")]
    return pl.concat(parts).filter(pl.col("request").is_not_null())


def _changed_content(facts: Facts) -> list[Found] | Unknown:
    columns = ["event_id", "request", "t", "template_name", "template_version", "template_hash", "format"]
    stated = pl.concat(
        facts.of(layer, columns=(*columns, "attributes")).filter(pl.col("template_version").is_not_null())
        for layer in LAYERS
    )
    system = pl.coalesce(pl.col("attributes").map.get(name) for name in SYSTEM_HASHES)
    # Two programs need not compute a hash in the same way: each is compared with itself.
    group = ["template_name", "template_version", "format", "of"]
    columns = ["event_id", "request", "t", *group, "hash"]
    rows = pl.concat(
        [
            stated.with_columns(of=pl.lit("template"), hash="template_hash").select(columns),
            stated.with_columns(of=pl.lit("system prompt"), hash=system).select(columns),
        ]
    ).drop_nulls("hash")
    if not rows.height:
        return Unknown(
            "templates have versions, and no hash of their content is logged",
            ("prompt.template_hash", "prompt.system_prompt_hash"),
        )
    rows = rows.sort("t", "event_id", nulls_last=True).with_columns(
        kinds=pl.col("hash").n_unique().over(group),
        uses=pl.len().over(group),
        seen=pl.col("hash").first().over(group),
    )
    # A hash that is another one at nearly each use is of what was filled in, not of the template.
    fixed = rows.filter((pl.col("kinds") <= FEW) | (pl.col("kinds") <= VARIES * pl.col("uses")))
    if not fixed.height:
        return Unknown(
            "the logged hashes differ from use to use, so they are of what was filled in too", ("prompt.template_hash",)
        )
    evaluable = fixed["request"]
    found = [Found(pl.DataFrame(schema=HITS), evaluable)]
    several = fixed.filter(pl.col("kinds") > 1)
    for (name, version, _, of), part in several.group_by(group, maintain_order=True):
        other = part.filter(pl.col("hash") != pl.col("seen"))
        first = part["event_id"].head(1)
        hits = (
            other.group_by("request", maintain_order=True)
            .agg(events=pl.col("event_id").head(3))
            .with_columns(events=pl.concat_list("events", pl.lit(first).first()))
        )
        values = {
            "template": name or "(unnamed)",
            "version": version,
            "of": of,
            "hashes": part["kinds"][0],
            "since": moment(other["t"][0]),
        }
        found.append(Found(hits, evaluable, values, subject=f"{name or '(unnamed)'}@{version}"))
    return capped(found, "And {more:template} more with a version that appears with several content hashes.")


def _near_limit(facts: Facts) -> list[Found] | Unknown:
    declared = facts.declared.get("context_limits")
    limits = {k: v for k, v in declared.items() if isinstance(v, int)} if isinstance(declared, Mapping) else {}
    of_model = [
        pl.col(name).replace_strict(limits, default=None, return_dtype=pl.Int64)
        for name in ("served_model", "requested_model")
    ]
    logged = [_whole("parameters", LIMITS), _whole("attributes", LIMITS)]
    calls = facts.responses.filter(pl.col("completed") & pl.col("request").is_not_null()).with_columns(
        limit=pl.coalesce(*of_model, *logged) if limits else pl.coalesce(*logged),
        used=pl.col("input_tokens")
        + pl.coalesce(_whole("parameters", MOST_OUT), _whole("attributes", MOST_OUT), "output_tokens", pl.lit(0)),
    )
    known = calls.filter(pl.col("limit") > 0).drop_nulls("used")
    mark = pl.coalesce(
        *(pl.col("attributes").map.get(name) for name in CUT), *(pl.col("parameters").map.get(name) for name in CUT)
    ).str.to_lowercase()
    told = _asking(facts, "t", "finish_reason", "attributes", "parameters")
    told = told.with_columns(cut=pl.col("finish_reason").is_in(FULL).fill_null(value=False), mark=mark)
    marked = told.filter("cut" | pl.col("mark").is_in([*YES, *NO]))
    if not known.height and not marked.height:
        return Unknown(
            "the size of the context window is known of no model that was called, and nothing marks a prompt as cut",
            ("declared.context_limits", "model.input_tokens"),
        )
    near = known.filter(pl.col("used") >= NEAR * pl.col("limit"))
    evaluable = pl.concat([known["request"], marked["request"]])
    found = [Found(pl.DataFrame(schema=HITS), evaluable)]
    for (limit,), part in near.sort("limit", "t", "event_id").group_by("limit", maintain_order=True):
        hits = part.group_by("request", maintain_order=True).agg(events=pl.col("event_id").head(6))
        found.append(Found(hits, known["request"], {"limit": limit}, subject=f"{limit} tokens"))
    cut = marked.filter("cut" | pl.col("mark").is_in(YES)).sort("t", "event_id")
    if cut.height:
        hits = cut.group_by("request", maintain_order=True).agg(events=pl.col("event_id").head(6))
        found.append(
            Found(
                hits,
                marked["request"],
                subject="logged as cut",
                status="OBS",
                statement="A logged mark says that the context was cut in {n:request}; the records do not show what.",
            )
        )
    return capped(found, "And {more:window} more that {n:request} used nearly all of.")


def _shrunk(facts: Facts) -> list[Found] | Unknown:
    turns = facts.requests.filter((pl.col("kind") == "turn") & pl.col("refers_to").is_null())
    turns = turns.select("request", "session").drop_nulls()
    history = _asking(facts, "t", "doubt", "clock", "requested_model", "attributes", "parameters").with_columns(
        size=pl.coalesce(_whole("attributes", HISTORY), _whole("parameters", HISTORY))
    )
    history = history.drop_nulls(["size", "t"])
    calls = facts.responses.filter("completed").with_columns(size="input_tokens")
    calls = calls.filter(pl.col("request").is_not_null() & pl.col("t").is_not_null()).drop_nulls("size")
    unit = "message" if history.height else "token"
    sized = history if history.height else calls
    # Short calls beside the answer (titles, routing) say nothing of the conversation: the largest one does.
    sized = sized.select("request", "event_id", "requested_model", "size", "t", "doubt", "clock")
    sized = sized.sort("size", "event_id", descending=[True, False]).unique(
        "request", keep="first", maintain_order=True
    )
    key = ["session"] if history.height else ["session", "requested_model"]
    rows = (
        sized.join(turns, on="request")
        .sort(*key, "t", "event_id")
        .with_columns(turn=pl.int_range(1, pl.len() + 1).over(key))
    )
    before = ("size", "t", "doubt", "clock", "event_id", "turn")
    pairs = rows.with_columns(pl.col(name).shift(1).over(key).name.prefix("before_") for name in before)
    pairs = pairs.drop_nulls("before_t").filter(pl.col("before_size") > 0)
    sure = (pl.col("clock") == pl.col("before_clock")) | (
        pl.col("t") - pl.col("before_t") > pl.col("doubt") + pl.col("before_doubt")
    )
    pairs = pairs.filter(sure.fill_null(value=False))
    if not pairs.height:
        return Unknown(
            "no session has two turns in a sure order whose context is counted",
            ("model.input_tokens", "prompt.n_history", "*.session"),
        )
    if unit == "token" and pairs.select((pl.col("size") > pl.col("before_size")).mean()).item() < GROWS:
        return Unknown(
            "tokens do not grow from turn to turn of a session, so they do not show a carried history",
            ("prompt.n_history",),
        )
    fell = pairs.filter(pl.col("size") < (1 - SHRINK) * pl.col("before_size"))
    if fell.height:
        said = pl.col("kind").str.contains(RESET) | pl.col("name").str.contains(RESET).fill_null(value=False)
        named = facts.look("session", "kind", "name", "t").drop_nulls(["session", "t"])
        resets = named.filter(said).select("session", reset="t")
        fell = fell.sort("t").join_asof(
            resets.sort("reset"), left_on="t", right_on="reset", by="session", check_sortedness=False
        )
        fell = fell.filter(pl.col("reset").is_null() | (pl.col("reset") < pl.col("before_t")))
    fell = fell.with_columns(lost=pl.col("before_size") - pl.col("size")).sort("t", "event_id")
    hits = fell.select("request", events=pl.concat_list("event_id", "before_event_id"))
    if not hits.height:
        return [Found(hits, pairs["request"])]
    most = fell.sort("lost", "event_id", descending=[True, False]).row(0, named=True)
    values = {"a": most["before_size"], "b": most["size"], "i": most["before_turn"], "j": most["turn"], "unit": unit}
    return [Found(hits, pairs["request"], values)]


CHECKS: tuple[Check, ...] = (
    Check(
        id="P-02",
        name="same-version-different-content",
        layers=("prompt",),
        attention="DV",
        status="DER",
        needs=("*.template_version",),
        rule=_changed_content,
        statement="Template {template} v{version} appears with {hashes} different content hashes of its {of}, the"
        " second first seen {since}; {n:request} had another than the first.",
        question="What is part of the hashed text, and how does a change of the text get a new version?",
        alternatives=("The hash includes a date or what was filled in for a user.",),
        parameters={"varying_share": VARIES, "varying_above": FEW},
    ),
    Check(
        id="P-05",
        name="near-context-limit",
        layers=("prompt", "model"),
        attention="CC",
        status="DER",
        needs=("kind:model.call",),
        rule=_near_limit,
        statement="{n:request} used at least 95 % of the {limit}-token window, by tokens in and the most asked for out;"
        " content may have been cut, the records do not show what.",
        question="What does the application leave out when a prompt comes near the window, and how is that logged?",
        alternatives=(
            "The tokens reserved for the answer were not needed.",
            "The limit of the served model is another.",
        ),
        parameters={"share": NEAR},
    ),
    Check(
        id="P-06",
        name="context-shrink-between-turns",
        layers=("prompt", "model"),
        attention="CC",
        status="DER",
        needs=("kind:model.call", "requests.session"),
        rule=_shrunk,
        statement="In {n:request} the logged context is over 40 % smaller than at the turn before in the same session,"
        " without a logged reset; most between turn {i} and {j} of one, where it fell from {a} to {b} {unit}s.",
        question="How does the application shorten a conversation, and what record does it leave of that?",
        alternatives=(
            "The conversation was summarised or compacted by design.",
            "The user began another subject anew.",
        ),
        parameters={"fall": SHRINK, "growing_share": round(GROWS, 3)},
    ),
)
