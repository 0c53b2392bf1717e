"""Relations between events of one request, and from one request to another, each with the id that shows it."""

from __future__ import annotations

from typing import Literal

import numpy as np
import polars as pl

from strataline.correlate.again import REPEATS
from strataline.correlate.graph import components
from strataline.correlate.hubs import JOINING
from strataline.correlate.work import OPENING, OPERATIONS, Work, carried, once

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
    rows = _placed(work, "left")
    keys = joining_keys(work)
    for found in (*_named(work, rows, keys), _children(rows), _attempts(rows, keys), *_shared(rows, keys)):
        if found.height:
            work = work.link(found.with_columns(confidence=pl.lit(1.0)))
    return work


def joining_keys(work: Work) -> pl.DataFrame:
    """N, key, kind, id of what may join, in order of n; of several ids with one key the first by kind."""
    rows = work.ids.filter(pl.col("role").is_in(JOINING)).select("n", "key", "kind", "id")
    single = once(rows, "key")
    if single.height == rows.height:
        return rows
    return once(rows.sort("n", "key", "kind", "id"), "key")


def _placed(work: Work, how: Literal["left", "inner"]) -> pl.DataFrame:
    """What relations are told by, of each event: and ``request``, its opener."""
    columns = ("n", "kind", "step", "t", "attempt", "first", "span_id", "parent_id", "parent_raw")
    members = work.members.select("n", request="opener")
    order: Literal["left"] = "left"
    return work.events.select(columns).join(members, on="n", how=how, maintain_order=order)


def calls(work: Work) -> pl.DataFrame:
    """N and ``call`` (n of the operation that each event is about).

    An event is about the operation whose id it carries, if that id names one operation alone; a span below an
    operation is about the nearest one above it; an operation is about itself. Attempts of one call share the first's.
    """
    rows = _placed(work, "inner")
    operations = rows.filter(pl.col("kind").is_in(OPERATIONS) & (pl.col("first") == pl.col("n")))
    alias = work.ids.filter(pl.col("role") == "alias")
    keys = carried(alias)
    # The caller's span and the gateway's row of one call name the response that came of it.
    first = _one_call(rows, carried(alias.filter(pl.col("kind").is_in([*CALL_IDS, "response_id"]))))
    main = operations.select("n", "request").join(first, on="n", how="left").with_columns(main=pl.coalesce("to", "n"))
    held = main.select("request", "main", "n").join(keys, on="n").select("request", "key", "main").unique()
    sole = held.filter(pl.len().over("request", "key") == 1)
    # A key that no operation carries tells nothing.
    known = keys.join(sole.select("key").unique(), on="key", how="semi")
    about = rows.select("n", "request").join(known, on="n").join(sole, on=["request", "key"]).select("n", "main")
    about = about.unique()
    about = about.filter(pl.len().over("n") == 1)
    spans = rows.select("n", "span_id").filter(pl.col("span_id").is_not_null())
    spans = main.select("request", "main", "n").join(spans, on="n", maintain_order="left")
    below = rows.filter(pl.col("parent_id").is_not_null()).join(
        spans.select("request", "main", parent_id="span_id").unique(
            ["request", "parent_id"], keep="first", maintain_order=True
        ),
        on=["request", "parent_id"],
    )
    chosen = np.full(work.events.height, -1)
    # What tells more comes last, and stands.
    for found in (below, about, main):
        chosen[found["n"].to_numpy()] = found["main"].to_numpy()
    at = np.flatnonzero(chosen >= 0)
    return pl.DataFrame({"n": at, "call": chosen[at]})


def _one_call(rows: pl.DataFrame, keys: pl.DataFrame) -> pl.DataFrame:
    """Model calls (``n``) that are one with others by keys that they share, and the first of these (``to``)."""
    made = rows.filter((pl.col("kind") == "model.call") & (pl.col("first") == pl.col("n"))).join(keys, on="n")
    made = made.sort("request", "key", "t", "attempt", "n", nulls_last=True)
    edges = made.select(a="n", b=pl.col("n").first().over("request", "key")).filter(pl.col("a") != pl.col("b"))
    if edges.is_empty():
        return pl.DataFrame(schema={"n": made.schema["n"], "to": made.schema["n"]})
    of = components(made.select("n").unique().sort("n"), edges)
    calls = made.select("n", "t", "attempt").unique("n").join(of, on="n").sort("t", "attempt", "n", nulls_last=True)
    calls = calls.with_columns(to=pl.col("n").first().over("component"))
    return calls.filter(pl.col("to") != pl.col("n")).select("n", "to").sort("n")


def _first_of_call(rows: pl.DataFrame, keys: pl.DataFrame) -> pl.DataFrame:
    """Model calls (``n``) that share a key of `keys` with an earlier one, and the first of these (``to``)."""
    made = rows.filter(pl.col("kind") == "model.call").join(keys, on="n")
    made = made.filter(pl.len().over("key") > 1)
    found = made.filter(pl.col("first") == pl.col("n"))
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
    there = keys.join(refs.select("key").unique(), on="key", how="semi").join(
        rows.select("n", "kind", "t").rename({"kind": "event_kind"}), on="n"
    )
    there = there.with_columns(opens=pl.col("event_kind") != OPENING).sort("key", "opens", "t", "n", nulls_last=True)
    there = there.group_by("key", maintain_order=True).first().select("key", to="n")
    found = refs.join(there, on="key").filter(pl.col("to") != pl.col("n"))
    return [
        found.sort("n", "key").select(
            pl.col("n").alias("from"),
            "to",
            relation=pl.col("role").cast(pl.String).replace(FROM_REF),
            method=pl.lit("ref"),
            id="id",
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
            id="parent_raw",
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
        id="id",
    )


def _shared(rows: pl.DataFrame, keys: pl.DataFrame) -> list[pl.DataFrame]:
    seen = {step for _, *steps in BY_ID for step in steps}
    fresh = rows.filter(
        (pl.col("first") == pl.col("n")) & pl.col("request").is_not_null() & pl.col("step").is_in(sorted(seen))
    )
    held = fresh.select("n", "request", "step").join(keys, on="n")
    by_step = {step: some for (step,), some in held.partition_by("step", as_dict=True).items()}
    made = []
    for relation, source, target in BY_ID:
        if source not in by_step or target not in by_step:
            continue
        targets = by_step[target].select("request", "key", to="n")
        targets = targets.filter(pl.len().over("request", "key") == 1)
        found = by_step[source].join(targets, on=["request", "key"])
        found = found.filter((pl.col("to").min() == pl.col("to").max()).over("n")).sort("n", "kind", "id")
        found = found.unique("n", keep="first", maintain_order=True)
        made.append(
            found.select(
                pl.col("n").alias("from"),
                "to",
                relation=pl.lit(relation),
                method=pl.lit("id"),
                id="id",
            )
        )
    return made
