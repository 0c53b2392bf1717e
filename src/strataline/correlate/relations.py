"""Relations between events of one request, and from one request to another, each with the id that shows it."""

from __future__ import annotations

import polars as pl

from strataline.correlate.again import REPEATS
from strataline.correlate.hubs import JOINING
from strataline.correlate.work import OPENING, OPERATIONS, Work

FROM_REF = {
    "regenerate_of": "regenerates",
    "edit_of": "regenerates",
    "retry_of": "retries",
    "cache_origin": "served_from_cache_of",
}
"""Relations that a record names itself; any other word stays as it is."""

BY_ID = (
    ("evaluated", "policy.decision/input", "prompt.received"),
    ("evaluated", "policy.decision/output", "model.call"),
    ("evaluated", "policy.decision/", "model.call"),
    ("rendered", "ui.rendered", "prompt.responded"),
    ("feedback_on", "ui.feedback", "ui.rendered"),
)
"""Relations that a shared id shows, where one event alone can be meant (a decision's stage behind its kind)."""


CALL_IDS = ("call_id",)
"""Kinds of id that name one call: a trace or a request may hold several."""


def relate(work: Work) -> Work:
    """Write the relations to the links."""
    rows = work.events.join(work.members.select("n", request="opener"), on="n", how="left")
    keys = work.ids.filter(pl.col("role").is_in(JOINING)).select("n", "key", "kind", "value").unique()
    keys = keys.sort("n", "key", "kind", "value").group_by("n", "key", maintain_order=True).first()
    for found in (*_named(work, rows, keys), _children(rows), _attempts(rows, keys), *_shared(rows, keys)):
        if found.height:
            work = work.link(found.with_columns(confidence=pl.lit(1.0)))
    return work


def calls(work: Work) -> pl.DataFrame:
    """N and ``call`` (event id): the operation that each event is about.

    An event is about the operation whose id it carries, if that id names one operation alone; a span below an
    operation is about the nearest one above it; an operation is about itself. Attempts of one call share the first's.
    """
    rows = work.events.join(work.members.select("n", request="opener"), on="n")
    operations = rows.filter(pl.col("kind").is_in(OPERATIONS) & (pl.col("first") == pl.col("n")))
    alias = work.ids.filter(pl.col("role") == "alias")
    keys = alias.select("n", "key").unique()
    first = _first_of_call(rows, alias.filter(pl.col("kind").is_in(CALL_IDS)).select("n", "key").unique())
    main = (
        operations.select("n", "request", "kind")
        .join(first, on="n", how="left")
        .with_columns(main=pl.coalesce("to", "n"))
    )
    carried = main.select("request", "main", "n").join(keys, on="n").select("request", "key", "main").unique()
    sole = carried.filter(pl.len().over("request", "key") == 1)
    about = (
        rows.select("n", "request").join(keys, on="n").join(sole, on=["request", "key"]).select("n", "main").unique()
    )
    about = about.filter(pl.len().over("n") == 1)
    spans = (
        main.select("request", "main", "n")
        .join(rows.select("n", "span_id"), on="n")
        .filter(pl.col("span_id").is_not_null())
    )
    below = rows.filter(pl.col("parent_id").is_not_null()).join(
        spans.select("request", "main", parent_id="span_id").unique(
            ["request", "parent_id"], keep="first", maintain_order=True
        ),
        on=["request", "parent_id"],
    )
    everything = pl.concat(
        [
            main.select("n", "main", rank=pl.lit(0)),
            about.select("n", "main", rank=pl.lit(1)),
            below.select("n", "main", rank=pl.lit(2)),
        ]
    )
    chosen = everything.sort("n", "rank", "main").group_by("n", maintain_order=True).first()
    names = work.events.select(main="n", call="event_id")
    return chosen.join(names, on="main", how="left").select("n", "call")


def _first_of_call(rows: pl.DataFrame, keys: pl.DataFrame) -> pl.DataFrame:
    """Model calls (``n``) that share a key of `keys` with an earlier one, and the first of these (``to``)."""
    found = rows.filter((pl.col("kind") == "model.call") & (pl.col("first") == pl.col("n")))
    found = (
        found.join(keys, on="n")
        .join(rows.filter(pl.col("kind") == "model.call").join(keys, on="n").group_by("key").len(), on="key")
        .filter(pl.col("len") > 1)
    )
    return (
        found.sort("request", "key", "t", "attempt", "n", nulls_last=True)
        .with_columns(to=pl.col("n").first().over("request", "key"))
        .filter(pl.col("to") != pl.col("n"))
        .group_by("n")
        .agg(pl.col("to").min())
        .sort("n")
    )


def _named(work: Work, rows: pl.DataFrame, keys: pl.DataFrame) -> list[pl.DataFrame]:
    """Relations that a record states: an id of another record that it names."""
    # What repeats another record was tied to it before, if that one is of its kind.
    refs = work.refs.filter(pl.col("role") != REPEATS)
    if refs.is_empty():
        return []
    there = keys.join(rows.select("n", "kind", "t").rename({"kind": "event_kind"}), on="n")
    there = there.with_columns(opens=pl.col("event_kind") != OPENING).sort("key", "opens", "t", "n", nulls_last=True)
    there = there.group_by("key", maintain_order=True).first().select("key", to="n")
    found = refs.join(there, on="key", how="left").filter(pl.col("to").is_not_null() & (pl.col("to") != pl.col("n")))
    return [
        found.sort("n", "key").select(
            pl.col("n").alias("from"),
            "to",
            relation=pl.col("role").replace(FROM_REF),
            method=pl.lit("ref"),
            id_kind="kind",
            id_value="value",
        )
    ]


def _children(rows: pl.DataFrame) -> pl.DataFrame:
    fresh = rows.filter(pl.col("first") == pl.col("n"))
    above = fresh.filter(pl.col("span_id").is_not_null()).select("request", "span_id", to="n")
    above = above.unique(["request", "span_id"], keep="first", maintain_order=True)
    below = fresh.filter(pl.col("parent_id").is_not_null()).select(
        "request", "parent_id", "parent_raw", **{"from": "n"}
    )
    found = below.join(above, left_on=["request", "parent_id"], right_on=["request", "span_id"])
    return (
        found.filter(pl.col("from") != pl.col("to"))
        .sort("from")
        .select(
            "from",
            "to",
            relation=pl.lit("child_of"),
            method=pl.lit("span"),
            id_kind=pl.lit("span_id"),
            id_value="parent_raw",
        )
    )


def _attempts(rows: pl.DataFrame, keys: pl.DataFrame) -> pl.DataFrame:
    """Model calls that share a call id are attempts of one call, by (start, attempt number)."""
    call_ids = keys.filter(pl.col("kind").is_in(CALL_IDS))
    found = _first_of_call(rows, call_ids.select("n", "key"))
    shown = found.join(call_ids, on="n").unique("n", keep="first", maintain_order=True)
    return shown.select(
        pl.col("n").alias("from"),
        "to",
        relation=pl.lit("attempt_of"),
        method=pl.lit("id"),
        id_kind="kind",
        id_value="value",
    )


def _shared(rows: pl.DataFrame, keys: pl.DataFrame) -> list[pl.DataFrame]:
    fresh = rows.filter((pl.col("first") == pl.col("n")) & pl.col("request").is_not_null()).select(
        "n", "request", "step"
    )
    carried = fresh.join(keys, on="n")
    made = []
    for relation, source, target in BY_ID:
        targets = carried.filter(pl.col("step") == target).select("request", "key", to="n")
        targets = targets.filter(pl.len().over("request", "key") == 1)
        found = carried.filter(pl.col("step") == source).join(targets, on=["request", "key"])
        found = found.sort("n", "to", "kind", "value").filter(pl.col("to").n_unique().over("n") == 1)
        found = found.group_by("n", maintain_order=True).first()
        made.append(
            found.select(
                pl.col("n").alias("from"),
                "to",
                relation=pl.lit(relation),
                method=pl.lit("id"),
                id_kind="kind",
                id_value="value",
            )
        )
    return made
