"""Step 5, content: an event without a usable id whose text only one turn holds about that time.

The text is one that an event of the turn holds as well, as what went in or what came out, after white space is folded.
How often that is right is learned from the events that ids tie: of those whose text one turn alone holds in that
stretch of time, the share for which it is their own.
"""

from __future__ import annotations

import polars as pl

from strataline.correlate.delays import LEARNED
from strataline.correlate.merge import loose, merge, open_events, placed, surely_tied
from strataline.correlate.work import HASHES, Work, sample

COMMON = 8
"""Turns beyond which a text says nothing of one of them, whenever they were."""


def link_content(work: Work) -> Work:
    """Tie events to the one turn that holds their text within the window, where no scope speaks against it."""
    if work.rests_on("content"):
        return work
    if not open_events(work, pl.any_horizontal(pl.col(HASHES).is_not_null())):
        return work.resting("content")
    rows = placed(work, *HASHES)
    unit = rows.select("n", "unit")
    columns = ("n", "t", "sort", "request", "confidence", "session_scope", "user_scope", *HASHES)
    tied, asking = surely_tied(rows).select(columns).collect(), loose(rows).select(columns).collect()
    del rows
    by_ids = sample(tied.filter(pl.col("confidence") == 1).select("request"))
    asked, known = _texts(asking), _texts(tied.join(by_ids, on="request", how="semi"))
    # What nobody asks for is not looked at.
    held = _texts(tied, pl.concat([asked["text"], known["text"]]).unique())
    held = held.filter(pl.col("request").n_unique().over("text") <= COMMON)
    window = work.options.window_ns
    sole = _sole(asked, held, window)
    if sole.is_empty():
        return work.resting("content")
    # What was tied by its text is no witness of how often texts are right.
    held = held.filter(pl.col("confidence") == 1)
    some = held.join(by_ids, on="request", how="semi", maintain_order="left")
    tried = _sole(some, held, window).join(some.select("n", own="request").unique(), on="n")
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
    best = best.join(unit, on="n").sort("unit", pl.col("chance"), "n", descending=[False, True, False])
    best = best.unique("unit", keep="first", maintain_order=True).drop("unit")
    best = best.with_columns(taken=pl.col("chance") >= work.options.min_confidence)
    work = merge(work, unit, best.filter("taken").select("n", "request", "chance"), "content")
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


def _texts(rows: pl.DataFrame, wanted: pl.Series | None = None) -> pl.DataFrame:
    """One row for each text (those that are `wanted`) of an event: n, t, sort, request, confidence, scopes, text."""
    sides = []
    for side in HASHES:
        known = pl.col(side).is_not_null() if wanted is None else pl.col(side).is_in(wanted.implode())
        sides.append(rows.lazy().filter(known).select(pl.exclude(HASHES), text=side).collect())
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
