"""Step 5, content: an event without a usable id whose text only one turn holds about that time.

The text is one that an event of the turn holds as well, as what went in or what came out, after white space is folded.
How often that is right is learned from the events that ids tie: of those whose text one turn alone holds in that
stretch of time, the share for which it is their own.
"""

from __future__ import annotations

import polars as pl

from strataline.correlate.bounds import SURE
from strataline.correlate.delays import LEARNED
from strataline.correlate.merge import merge, open_events, placed
from strataline.correlate.work import HASHES, Work, sample
from strataline.event import PRODUCT_LAYERS

COMMON = 8
"""Turns beyond which a text says nothing of one of them, whenever they were."""


def link_content(work: Work) -> Work:
    """Tie events to the one turn that holds their text within the window, where no scope speaks against it."""
    if work.rests_on("content"):
        return work
    if not open_events(work, pl.any_horizontal(pl.col(HASHES).is_not_null())):
        return work.resting("content")
    rows = placed(work)
    fresh = rows.filter((pl.col("first") == pl.col("n")) & pl.col("t").is_not_null())
    turn = pl.col("request_kind").eq_missing(pl.lit("turn"))
    held = _texts(fresh.filter(turn & (pl.col("confidence") >= SURE)))
    held = held.filter(pl.col("request").n_unique().over("text") <= COMMON)
    loose = _texts(fresh.filter(~turn & pl.col("layer").is_in(PRODUCT_LAYERS) & (pl.col("kind") != "log.other")))
    window = work.options.window_ns
    sole = _sole(loose, held, window)
    if sole.is_empty():
        return work.resting("content")
    # What was tied by its text is no witness of how often texts are right.
    by_ids = held.filter(pl.col("confidence") == 1)
    some = by_ids.join(sample(by_ids.select("request")), on="request", how="semi", maintain_order="left")
    tried = _sole(some, by_ids, window).join(held.select("n", own="request").unique(), on="n")
    right = tried.group_by("sort", "to_sort").agg(right=(pl.col("request") == pl.col("own")).sum(), size=pl.len())
    right = right.filter(pl.col("size") >= LEARNED)
    # Where too few show how often a text is right, a text ties nothing.
    sure = sole.join(right, on=["sort", "to_sort"]).with_columns(
        chance=(pl.col("right") / (pl.col("size") + 1)).round(6)
    )
    # Two events of one sort with one text may be of two turns, of which one is not in the logs.
    several = pl.col("n").n_unique().over("request", "sort", "text") > 1
    sure = sure.filter(~several)
    best = sure.sort("n", pl.col("chance"), "to", descending=[False, True, False]).unique(
        "n", keep="first", maintain_order=True
    )
    # One unit may be tied by several of its events; the surest ties it.
    best = best.join(rows.select("n", "unit"), on="n").sort(
        "unit", pl.col("chance"), "n", descending=[False, True, False]
    )
    best = best.unique("unit", keep="first", maintain_order=True).drop("unit")
    best = best.with_columns(taken=pl.col("chance") >= work.options.min_confidence)
    work = merge(work, rows, best.filter("taken").select("n", "request", "chance"), "content")
    links = best.sort("n").select(
        "taken",
        pl.col("n").alias("from"),
        "to",
        relation=pl.lit("member"),
        to_request="request",
        method=pl.lit("content"),
        text="text",
        delta_ns="delta_ns",
        confidence="chance",
    )
    return work.unlisted("content").link(links).resting("content")


def _texts(rows: pl.DataFrame) -> pl.DataFrame:
    """One row for each text of an event: n, t, sort, request, confidence, scopes, text."""
    columns = ("n", "t", "sort", "request", "confidence", "session_scope", "user_scope")
    sides = [rows.select(*columns, text=side).drop_nulls("text") for side in ("input_hash", "output_hash")]
    return pl.concat(sides).unique(maintain_order=True)


def _sole(some: pl.DataFrame, held: pl.DataFrame, window: int) -> pl.DataFrame:
    """Events of `some` whose text one turn of `held` alone holds: n, sort, text, request, to, to_sort, delta_ns."""
    pairs = some.join(held, on="text", suffix="_held").filter(
        (pl.col("n") != pl.col("n_held"))
        & (pl.col("sort") != pl.col("sort_held"))
        & ((pl.col("t_held") - pl.col("t")).abs() <= window)
    )
    for scope in ("session_scope", "user_scope"):
        against = pl.col(scope) != pl.col(f"{scope}_held")
        pairs = pairs.filter(~against.fill_null(value=False))
    pairs = pairs.with_columns(delta_ns=pl.col("t_held") - pl.col("t"))
    alone = pairs.filter(pl.col("request_held").n_unique().over("n") == 1)
    near = alone.sort("n", pl.col("delta_ns").abs(), "n_held").unique("n", keep="first", maintain_order=True)
    return near.select("n", "sort", "text", "delta_ns", request="request_held", to="n_held", to_sort="sort_held")
