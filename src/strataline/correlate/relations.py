"""Relations between events of one request, and from one request to another, each with the id that shows it."""

from __future__ import annotations

import numpy as np
import polars as pl

from strataline.correlate.again import REPEATS
from strataline.correlate.graph import components
from strataline.correlate.hubs import JOINING
from strataline.correlate.work import OPENING, OPERATIONS, Work, beside, carried, once

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
    rows = _placed(work)
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


def _placed(work: Work) -> pl.DataFrame:
    """What relations are told by, of each event: and ``request``, its opener; null if it is in none."""
    columns = ("n", "kind", "step", "t", "attempt", "first", "span_id", "parent_id", "parent_raw")
    whose = beside(work.members.select("n", request="opener"), work.events.height)
    return work.events.select(columns).with_columns(whose.get_columns())


def calls(work: Work) -> pl.DataFrame:
    """N and ``call`` (n of the operation that each event is about).

    An event is about the operation whose id it carries, if that id names one operation alone; a span below an
    operation is about the nearest one above it; an operation is about itself. Attempts of one call share the first's.
    """
    rows = _placed(work)
    inside = pl.col("request").is_not_null()
    fresh = pl.col("first") == pl.col("n")
    operations = rows.filter(inside & pl.col("kind").is_in(OPERATIONS) & fresh)
    alias = work.ids.filter(pl.col("role") == "alias")
    # The caller's span and the gateway's row of one call name the response that came of it.
    first = _one_call(rows.filter(inside), alias.filter(pl.col("kind").is_in([*CALL_IDS, "response_id"])))
    main = operations.select("n", "request").join(first, on="n", how="left").with_columns(main=pl.coalesce("to", "n"))
    of = np.full(rows.height, -1)
    of[main["n"].to_numpy()] = main["main"].to_numpy()
    # All that carry one id are of one request. An id that several calls carry tells nothing, nor one of none.
    n, key = alias["n"].to_numpy(), alias["key"].to_numpy()
    held = of[n] >= 0
    names = _only(key[held], of[n[held]], int(key.max(initial=-1)) + 1)
    told = names[key] >= 0
    about = _only(n[told], names[key[told]], rows.height)
    spans = rows.select("n", "span_id").filter(pl.col("span_id").is_not_null())
    spans = main.select("request", "main", "n").join(spans, on="n", maintain_order="left")
    below = rows.filter(inside & pl.col("parent_id").is_not_null()).join(
        spans.select("request", "main", parent_id="span_id").unique(
            ["request", "parent_id"], keep="first", maintain_order=True
        ),
        on=["request", "parent_id"],
    )
    chosen = np.full(rows.height, -1)
    # What tells more comes last, and stands.
    chosen[below["n"].to_numpy()] = below["main"].to_numpy()
    chosen = np.where(about >= 0, about, chosen)
    chosen[main["n"].to_numpy()] = main["main"].to_numpy()
    at = np.flatnonzero(chosen >= 0)
    return pl.DataFrame({"n": at, "call": chosen[at]})


def _one_call(rows: pl.DataFrame, keys: pl.DataFrame) -> pl.DataFrame:
    """Model calls (``n``) that are one with others by keys that they share, and the first of these (``to``)."""
    made = rows.filter((pl.col("kind") == "model.call") & (pl.col("first") == pl.col("n"))).join(
        keys.select("n", "key"), on="n"
    )
    made = made.sort("request", "key", "t", "attempt", "n", nulls_last=True)
    edges = made.select(a="n", b=pl.col("n").first().over("request", "key")).filter(pl.col("a") != pl.col("b"))
    if edges.is_empty():
        return pl.DataFrame(schema={"n": made.schema["n"], "to": made.schema["n"]})
    of = components(made.select("n").unique().sort("n"), edges)
    calls = made.select("n", "t", "attempt").unique("n").join(of, on="n").sort("t", "attempt", "n", nulls_last=True)
    calls = calls.with_columns(to=pl.col("n").first().over("component"))
    return calls.filter(pl.col("to") != pl.col("n")).select("n", "to").sort("n")


def _only(group: np.ndarray, value: np.ndarray, size: int) -> np.ndarray:
    """Of each of `size` groups, its value (from 0) if it has but one; else -1."""
    least, most = np.full(size, np.iinfo(np.int64).max), np.full(size, -1)
    np.minimum.at(least, group, value)
    np.maximum.at(most, group, value)
    return np.where(least == most, least, -1)


def _first_of_call(rows: pl.DataFrame, keys: pl.DataFrame) -> pl.DataFrame:
    """Model calls (``n``) that share a key of `keys` with an earlier one, and the first of these (``to``)."""
    call = np.zeros(int(keys["n"].to_numpy().max(initial=-1)) + 1, bool)
    n = rows.filter(pl.col("kind") == "model.call")["n"].to_numpy()
    call[n[n < len(call)]] = True
    keys = carried(keys.filter(pl.Series(call[keys["n"].to_numpy()])))
    keys = keys.filter(pl.Series(np.bincount(keys["key"].to_numpy())[keys["key"].to_numpy()] > 1))
    made = rows.join(keys, on="n")
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
    wanted = np.zeros(int(max(keys["key"].to_numpy().max(initial=-1), refs["key"].to_numpy().max())) + 1, bool)
    wanted[refs["key"].to_numpy()] = True
    there = keys.filter(pl.Series(wanted[keys["key"].to_numpy()])).join(
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
    fresh = ((rows["first"] == rows["n"]) & rows["request"].is_not_null()).to_numpy()
    words = {word: number for number, word in enumerate(rows.schema["step"].categories)}  # type: ignore[attr-defined]
    step = np.where(fresh, rows["step"].to_physical().cast(pl.Int64).fill_null(-1).to_numpy(), -1)
    n, key = keys["n"].to_numpy(), keys["key"].to_numpy()
    step = step[n]
    made = []
    for relation, source, target in BY_ID:
        if source not in words or target not in words:
            continue
        theirs, mine = np.flatnonzero(step == words[target]), np.flatnonzero(step == words[source])
        # All that carry one id are of one request.
        named = _only(key[theirs], n[theirs], int(key.max(initial=-1)) + 1)
        mine = mine[named[key[mine]] >= 0]
        found = keys[mine].with_columns(to=pl.Series(named[key[mine]]))
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
