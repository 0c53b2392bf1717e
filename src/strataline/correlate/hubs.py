"""Step 2, refuse hubs: an id value that ties two turns, or two users, is a group key here and joins nothing.

What a value is follows from these very logs, never from the name of its field: a gateway's `trace_id` may hold the
session, an API key's hash or a constant. A value is refused if opening events of two turns carry it, in any role; if
events of one format that carry it name two users; or if, when turns spread from their opening events along the ids,
the events that carry it come to belong to two turns.

Where two values call one event to different turns, the one whose kind names fewer events in that format is believed: a
call id before a trace id, and a trace id before a constant.
"""

from __future__ import annotations

from dataclasses import replace

import polars as pl

from strataline.correlate.work import Work

ROUNDS = 50
JOINING = ("alias", "span")


def refuse_hubs(work: Work) -> Work:
    """Take the refused values out of the joining ids, and note each."""
    fresh = work.events.filter(pl.col("first") == pl.col("n")).select("n", "format", "user")
    ids = with_parents(work).join(fresh, on="n")
    turns = ids.join(work.groups, on="n")
    shared = turns.group_by("key").agg(pl.col("turn").n_unique()).filter(pl.col("turn") > 1)
    refused = shared.select("key", why=pl.lit("opening events of several turns carry it"))
    joining = ids.filter(pl.col("role").is_in(JOINING))
    users = (
        joining.filter(pl.col("user").is_not_null())
        .group_by("key", "format")
        .agg(pl.col("user").n_unique())
        .filter(pl.col("user") > 1)
    )
    refused = _more(refused, users.select("key").unique(), "events that carry it name several users")
    carried = _ranked(joining.join(refused, on="key", how="anti"))
    across = refused_across(carried, work.groups)
    refused = _more(refused, across, "events that carry it belong to several turns by their other ids")
    rows = (
        joining.join(refused, on="key")
        .group_by("key")
        .agg(
            subject=pl.col("value").min(),
            kind=pl.col("kind").min(),
            count=pl.col("n").n_unique(),
            why=pl.col("why").first(),
        )
        .filter(pl.col("count") > 1)
        .sort("kind", "subject", "key")
    )
    kept = work.ids.join(refused.select("key"), on="key", how="anti")
    groups = work.ids.join(refused.select("key"), on="key", how="semi").with_columns(role=pl.lit("group"))
    work = replace(work, ids=pl.concat([kept, groups]))
    return work.note_rows(
        "hub_refused",
        rows.select(
            "subject", count=pl.col("count").cast(pl.Int64), detail=pl.format("{} joins nothing: {}", "kind", "why")
        ),
    )


def refused_across(carried: pl.DataFrame, turns: pl.DataFrame) -> pl.DataFrame:
    """The keys that would join two turns, chosen so that without them none does.

    Turns spread along the keys. Of the keys whose carriers come to bear several turns, those that meet the most go
    first, and of these the ones that no opening event carries; then turns spread anew.

    Args:
        carried: n, key, mean and size, as `_ranked` gives them.
        turns: n (an opening event) and turn.

    Returns:
        key.
    """
    # A key that one event alone carries joins nothing.
    carried = carried.filter(pl.col("n").n_unique().over("key") > 1)
    vouched = carried.join(turns, on="n").select("key", vouched=pl.lit(value=True)).unique()
    refused = pl.DataFrame(schema={"key": pl.Int64})
    for number in range(ROUNDS):
        labels = _spread(carried, turns)
        met = carried.join(labels, on="n").group_by("key").agg(pl.col("turn").n_unique().alias("turns"))
        met = met.filter(pl.col("turns") > 1).join(vouched, on="key", how="left")
        if met.is_empty():
            break
        worst = met if number == ROUNDS - 1 else met.filter(pl.col("turns") == pl.col("turns").max())
        unvouched = worst.filter(pl.col("vouched").is_null())
        worst = unvouched if unvouched.height else worst
        refused = pl.concat([refused, worst.select("key")])
        carried = carried.join(worst, on="key", how="anti")
    return refused


def _ranked(joining: pl.DataFrame) -> pl.DataFrame:
    """Add to n and key how many events a value of this kind names on average in this format (mean), and this value."""
    sizes = joining.group_by("key").agg(size=pl.col("n").n_unique())
    rows = joining.join(sizes, on="key")
    kinds = rows.unique(["format", "kind", "key"]).group_by("format", "kind").agg(mean=pl.col("size").sum() / pl.len())
    rows = rows.join(kinds, on=["format", "kind"])
    return rows.group_by("n", "key").agg(pl.col("mean").min(), pl.col("size").min())


def _spread(carried: pl.DataFrame, turns: pl.DataFrame) -> pl.DataFrame:
    """The turn (n, turn) of every event that the turns reach along the keys, nearest first."""
    labels = fringe = turns.select("n", "turn")
    walked = pl.DataFrame(schema={"key": pl.Int64})
    while fringe.height:
        seen = carried.join(fringe, on="n").join(walked, on="key", how="anti")
        seen = seen.group_by("key").agg(pl.col("turn").min(), several=pl.col("turn").n_unique() > 1)
        walked = pl.concat([walked, seen.select("key")])
        called = carried.join(seen.filter(~pl.col("several")), on="key").join(labels, on="n", how="anti")
        called = called.sort("n", "mean", "size", "key")
        fringe = called.group_by("n", maintain_order=True).first().select("n", "turn")
        labels = pl.concat([labels, fringe])
    return labels


def with_parents(work: Work) -> pl.DataFrame:
    """The ids, and the parent's span id as one more that ties a span to the one above it."""
    spans = work.ids.filter(pl.col("role") == "span").select("key").unique()
    parents = work.events.filter(pl.col("parent_id").is_not_null()).join(spans, left_on="parent_id", right_on="key")
    ids = parents.select("n", kind=pl.lit("span_id"), value="parent_raw", role=pl.lit("span"), key="parent_id")
    return pl.concat([work.ids, ids.select(work.ids.columns)])


def _more(refused: pl.DataFrame, keys: pl.DataFrame, why: str) -> pl.DataFrame:
    new = keys.select("key").unique().join(refused, on="key", how="anti")
    return pl.concat([refused, new.with_columns(why=pl.lit(why))])
