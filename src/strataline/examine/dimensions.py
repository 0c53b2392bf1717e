"""What requests can be told apart by: the settings, versions, paths and parts that their records state.

What became of a request (verdicts, errors, times, feedback) is no dimension of it: a contrast of a set chosen by its
outcome would find that outcome again.
"""

from __future__ import annotations

import re

import polars as pl

from strataline.event import CONTRASTS, PRODUCT_LAYERS
from strataline.examine.changes import CLOCKS, in_force, keys
from strataline.examine.contrast import compare
from strataline.examine.facts import Facts

DIMENSIONS = pl.Schema(
    {
        "request": pl.Categorical(),
        "dimension": pl.Categorical(),
        "value": pl.Categorical(),
        "event_id": pl.String(),
        "t": pl.Int64(),
    }
)
"""Columns of `dimensions`, as categories what is compared: numbers. The event is the one that states the value, else
the one that the request is named after."""

COLUMNS: tuple[tuple[str, str, pl.Expr], ...] = (
    (
        "template",
        "prompt",
        pl.when(pl.col("template_version").is_null())
        .then("template_name")
        .otherwise(pl.format("{}@{}", pl.col("template_name").fill_null("template"), "template_version")),
    ),
    ("template hash", "prompt", pl.col("template_hash")),
    ("index", "retrieval", pl.col("index_name")),
    ("index version", "retrieval", pl.col("index_version")),
    ("embedding model", "retrieval", pl.col("embedding_model")),
    ("requested model", "model", pl.col("requested_model")),
    ("served model", "model", pl.col("served_model")),
    ("provider", "model", pl.col("provider")),
    ("fallback", "model", pl.col("fallback")),
    ("cache", "model", pl.col("cache")),
    ("stream", "model", pl.col("stream").cast(pl.String)),
    ("policy", "policy", pl.col("policy_name")),
    ("policy version", "policy", pl.col("policy_version")),
    ("policy mode", "policy", pl.col("policy_mode")),
    (
        "policy threshold",
        "policy",
        pl.format("{} {}", pl.col("policy_name").fill_null("policy"), pl.col("threshold").round(6)),
    ),
    ("client version", "ui", pl.col("client_version")),
)
"""Dimensions that are columns of events: name, layer, value."""

MOST_VALUES = 50
"""An attribute with more values than this, or than a fifth of the requests, is no dimension."""
DOCUMENTS = 200
"""Documents that are compared: those that most requests have."""
STEPS = 24
"""Steps of a sequence that are written out."""

OUTCOME = (
    r"error|status|detail|reason|message|comment|latency|duration|elapsed|eval|response|answer|question|score|count|"
    r"_ms$|_s$|_ns$|time|_at$|sha256|attempted|tokens|cost|verdict|category|size|bytes|length"
)
"""Attributes that are measured, or say what became of a request."""
WRITER = r"^(logger|component|level|source|method|span_kind|scope|client|client_ip|ip|page|url|user_agent|pid|thread)$"
"""Attributes that say which part of a program wrote a record, or for whom."""
ROUTES = ("prompt route", "prompt path", "prompt endpoint", "requested model", "tenant")
"""Dimensions that say which way a request went, the first that tells requests apart."""


def dimensions(facts: Facts) -> pl.DataFrame:
    """What each request can be told apart by.

    Besides columns (`COLUMNS`): settings in force (`changes.in_force`), parameters of model calls, attributes that few
    values share, which of several clocks of a service worked on it, the most used documents, tenant, place in the
    session, tries and calls, and the sequence of its steps.

    Returns:
        `DIMENSIONS`, one row for each value of a request of `Facts.requests`, in no order that means anything.
    """
    parts = [facts.once(in_force).select(DIMENSIONS.names())]
    for layer in PRODUCT_LAYERS:
        stated = [(name, value) for name, of, value in COLUMNS if of == layer]
        needed = (name for _, value in stated for name in value.meta.root_names())
        own = ("request", "event_id", "t", "service", "clock", "attempt", "parameters", "attributes")
        events = facts.of(layer, columns=(*own, *needed))
        if events.is_empty():
            continue
        events = events.with_columns(pl.col("request").cast(pl.Categorical))
        parts += [_stated(events, name, value) for name, value in stated]
        for column in ("parameters", "attributes"):
            for key in keys(events, column):
                name = key.lower()
                if column == "attributes" and (re.search(OUTCOME, name) or re.search(WRITER, name)):
                    continue
                label = f"parameter {key}" if column == "parameters" else f"{layer} {key}"
                parts.append(_few(facts, _stated(events, label, pl.col(column).map.get(key))))
        parts.append(_few(facts, _stated(events, f"{layer} attempt", pl.col("attempt").cast(pl.String))))
        parts.append(_replicas(events, layer))
    parts += [_documents(facts), _of_requests(facts), _sequences(facts)]
    rows = pl.concat([part.cast(DIMENSIONS) for part in parts if part.height] or [pl.DataFrame(schema=DIMENSIONS)])
    if facts.total == facts.tables["requests"].height:
        return rows
    asked = facts.requests.select(pl.col("request").cast(pl.Categorical))
    return rows.join(asked, on="request", how="semi")


def _stated(events: pl.DataFrame, name: str, value: pl.Expr) -> pl.DataFrame:
    """The values that `events` state, each with the first event of the request that does."""
    # Not lazily: see `changes`.
    rows = events.select("request", "event_id", "t", value=value.cast(pl.Categorical)).drop_nulls(["request", "value"])
    # One number for both: a third of the time that two columns take.
    both = pl.col("request").to_physical().cast(pl.UInt64) * 2**32 + pl.col("value").to_physical()
    rows = rows.filter(both.is_first_distinct())
    return rows.select("request", pl.lit(name, dtype=pl.Categorical).alias("dimension"), "value", "event_id", "t")


def _few(facts: Facts, rows: pl.DataFrame) -> pl.DataFrame:
    """`rows` if their values are few."""
    values = rows["value"].n_unique()
    return rows if 2 <= values <= min(MOST_VALUES, max(2, facts.total // 5)) else rows.clear()


def _replicas(events: pl.DataFrame, layer: str) -> pl.DataFrame:
    """By which of a few clocks of one service a request was worked on."""
    clocks = pl.col("clock").drop_nulls().n_unique()
    several = events.group_by("service").agg(n=clocks).filter(pl.col("n").is_between(2, CLOCKS))
    of = pl.col("service").is_in(several["service"].implode())
    return _stated(events, f"{layer} replica", pl.when(of).then("clock"))


def _documents(facts: Facts) -> pl.DataFrame:
    """The documents that most requests were given."""
    events = facts.of("retrieval", columns=("request", "event_id", "t", "documents"))
    events = events.filter(pl.col("request").is_not_null() & (pl.col("documents").list.len() > 0))
    rows = events.select("request", "event_id", "t", document=pl.col("documents").list.eval(_document()))
    rows = (
        rows.explode("document")
        .drop_nulls("document")
        .unique(["request", "document"], keep="first", maintain_order=True)
    )
    used = rows["document"].value_counts().sort(["count", "document"], descending=[True, False]).head(DOCUMENTS)
    rows = rows.join(used.select("document"), on="document", how="semi", maintain_order="left")
    return rows.select("request", dimension=pl.lit("document"), value="document", event_id="event_id", t="t")


def _document() -> pl.Expr:
    name, version = pl.element().struct.field("id"), pl.element().struct.field("version")
    return pl.when(version.is_null()).then(name).otherwise(pl.format("{}@{}", name, version))


def _of_requests(facts: Facts) -> pl.DataFrame:
    """What the table of requests says of each."""
    turn = pl.col("start_time").rank("ordinal").over("session")
    turn = pl.when(pl.col("session").is_not_null() & pl.col("start_time").is_not_null()).then(turn)
    wide = facts.requests.select(
        "request",
        "tenant",
        **{
            "turn in session": _bucket(turn, (1, 2, 5, 10, 15)),
            "tries": _bucket(pl.col("attempts"), (1, 2, 3)),
            "model calls": _bucket(pl.col("calls"), (0, 1, 2, 3, 6)),
        },
        t=pl.col("start_time").dt.epoch("ns"),
    )
    long = wide.unpivot(index=["request", "t"], variable_name="dimension", value_name="value").drop_nulls("value")
    return long.select("request", "dimension", "value", event_id="request", t="t")


def _bucket(number: pl.Expr, edges: tuple[int, ...]) -> pl.Expr:
    """`number` as the range that it lies in, from each edge to before the next; null below the first."""
    found = pl.lit(None, dtype=pl.String)
    bounds = [*zip(edges, (edge - 1 for edge in edges[1:]), strict=False), (edges[-1], None)]
    for low, high in bounds:
        text = f"{low} or more" if high is None else str(low) if low == high else f"{low} to {high}"
        found = pl.when(number >= low).then(pl.lit(text)).otherwise(found)
    return found


def _sequences(facts: Facts) -> pl.DataFrame:
    """The steps of each request up to its answer, repeats drawn together, as ``prompt.received > model.call``."""
    steps = (
        facts.look("request", "seq", "layer", "kind")
        .lazy()
        .filter(
            pl.col("request").is_not_null()
            & pl.col("layer").is_in(["prompt", "retrieval", "model", "policy"])
            & (pl.col("kind") != "log.other")
        )
    )
    steps = steps.select(pl.col("request", "kind").cast(pl.Categorical), "seq")
    # Sorted by one number for request and place: the text of a request is long.
    place = pl.col("request").to_physical().cast(pl.UInt64) * 2**32 + pl.col("seq").fill_null(-1) + 1
    steps = steps.sort(place).drop("seq")
    again = (pl.col("kind") == pl.col("kind").shift()) & (pl.col("request") == pl.col("request").shift())
    steps = steps.filter(~again.fill_null(value=False))
    rows = steps.group_by("request").agg(pl.col("kind").cast(pl.String).head(STEPS), n=pl.len()).collect()
    more = pl.when(pl.col("n") > STEPS).then(pl.format(" > {} more", pl.col("n") - STEPS)).otherwise(pl.lit(""))
    return rows.select(
        "request",
        dimension=pl.lit("sequence"),
        value=pl.col("kind").list.join(" > ") + more,
        event_id="request",
        t=pl.lit(None, dtype=pl.Int64),
    )


def contrasts(facts: Facts) -> pl.DataFrame:
    """What was different (`event.CONTRASTS`): all `dimensions`, of the affected set and what it is compared with."""
    if facts.affected is None:
        return CONTRASTS.empty()
    values = facts.once(dimensions)
    return compare(values, facts.affected.requests, facts.affected.baseline, routes=routes(values))


def routes(values: pl.DataFrame) -> pl.DataFrame | None:
    """request, route: the first of `ROUTES` that tells the requests of `values` apart; null where none does."""
    for name in ROUTES:
        rows = values.filter(pl.col("dimension") == name)
        if rows["value"].n_unique() > 1:
            rows = rows.with_columns(pl.col("request", "value").cast(pl.String))
            firsts = rows.sort("t", "value", nulls_last=True).unique("request", keep="first", maintain_order=True)
            return firsts.select("request", route="value").sort("request")
    return None
