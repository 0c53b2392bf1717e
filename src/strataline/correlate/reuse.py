"""An id value that is used again is two values: judged inside one clock, by the gap between two uses.

Clocks differ by hours (browsers, naive logs), so that the time between two clocks says nothing of reuse. Events of
other clocks go to the nearer use, after each clock is aligned by the median difference over values that were used once.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl

from strataline.correlate.work import Work

MOST_CLOCKS = 32


def split_reuse(work: Work) -> Work:
    """Split the keys of values that were used again, and note each such value."""
    gap = work.options.reuse_gap_ns
    if not _far_apart(work, gap):
        return work
    naming = work.ids.filter(pl.col("role") != "group").select("key").unique()
    joining = work.ids.join(naming, on="key", how="semi")
    timed = joining.select("n", "key").join(work.events.select("n", "clock", "t"), on="n").drop_nulls("t")
    # A value that no clock shows over a longer time is used once.
    span = timed.group_by("key", "clock").agg(low=pl.col("t").min(), high=pl.col("t").max())
    if span.filter(pl.col("high") - pl.col("low") > gap).is_empty():
        return work
    timed = timed.unique().sort("key", "clock", "t", "n")
    new = pl.any_horizontal(pl.col(name).ne_missing(pl.col(name).shift()) for name in ("key", "clock"))
    timed = timed.with_columns(uses=((pl.col("t").diff().fill_null(0) > gap) & ~new).cast(pl.Int64).cum_sum())
    timed = timed.with_columns(use=pl.col("uses") - pl.when(new).then("uses").forward_fill()).drop("uses")
    reused = timed.filter(pl.col("use") > 0).select("key").unique()
    if reused.is_empty():
        return work
    once = timed.join(reused, on="key", how="anti")
    shift = _alignment(once)
    inside = timed.join(reused, on="key", how="semi")
    # The clock with the most uses of a key says how many values it is; the others follow it.
    uses = (
        inside.group_by("key", "clock")
        .agg(pl.col("use").max())
        .sort("key", "use", "clock", descending=[False, True, False])
    )
    judge = uses.group_by("key", maintain_order=True).first().select("key", judge="clock")
    spans = inside.join(judge, left_on=["key", "clock"], right_on=["key", "judge"])
    spans = spans.group_by("key", "use").agg(low=pl.col("t").min(), high=pl.col("t").max())
    aligned = inside.drop("use").join(judge, on="key").join(shift, on=["clock", "judge"], how="left")
    aligned = aligned.with_columns(at=pl.col("t") - pl.col("shift").fill_null(0))
    chosen = _nearest(aligned, spans)
    split = work.ids.join(chosen, on=["n", "key"], how="left", maintain_order="left").with_columns(
        untimed=pl.col("key").is_in(reused["key"].implode()) & pl.col("use").is_null()
    )
    # An event without a time cannot tell which use it is of, and joins none.
    lost = split.filter("untimed")["n"].n_unique()
    if lost:
        work = work.note(
            "id_reused_untimed",
            "events without a time carry a value that is used again; it ties them to none of its uses",
            count=lost,
        )
    most = work.ids["key"].max()
    split = split.filter(~pl.col("untimed")).with_columns(
        # A number of its own for each further use, above those of all keys.
        key=pl.when(pl.col("use").fill_null(0) > 0).then(pl.struct("key", "use").rank("dense") + most).otherwise("key")
    )
    values = (
        joining.join(reused, on="key")
        .join(work.values.select("id", "value"), on="id")
        .group_by("key")
        .agg(pl.col("value").min(), pl.col("kind").min(), pl.col("n").n_unique())
    )
    rows = values.sort("kind", "value", "key").select(
        subject="value",
        count=pl.col("n").cast(pl.Int64),
        detail=pl.format("{} is used again after more than the reuse gap; each use is a value of its own", "kind"),
    )
    return replace(work, ids=split.select(work.ids.columns)).note_rows("id_reused", rows)


def _far_apart(work: Work, gap: int) -> bool:
    """Whether some key is used over a longer time than `gap`, by whatever clocks."""
    t = work.events["t"]
    if work.ids.is_empty() or t.max() is None or t.max() - t.min() <= gap:  # type: ignore[operator]
        return False
    n, key = work.ids["n"].to_numpy(), work.ids["key"].to_numpy()
    size = int(key.max()) + 1
    naming = np.zeros(size, bool)
    naming[key[(work.ids["role"] != "group").to_numpy()]] = True
    at = np.flatnonzero(naming[key] & t.is_not_null().to_numpy()[n])
    when = t.fill_null(0).to_numpy()[n[at]]
    low, high = np.full(size, np.iinfo(np.int64).max), np.full(size, np.iinfo(np.int64).min)
    np.minimum.at(low, key[at], when)
    np.maximum.at(high, key[at], when)
    used = high >= low
    return bool((high[used] - low[used] > gap).any())


def _alignment(once: pl.DataFrame) -> pl.DataFrame:
    """clock, judge, ``shift``: median of what `clock` shows less what `judge` shows, over keys used once."""
    # A value that many clocks know is a constant: it aligns nothing, and its pairs would be many.
    first = once.group_by("key", "clock").agg(pl.col("t").min()).filter(pl.len().over("key") <= MOST_CLOCKS)
    pairs = first.join(first.rename({"clock": "judge", "t": "by"}), on="key").filter(pl.col("clock") != pl.col("judge"))
    pairs = pairs.with_columns(away=pl.col("t") - pl.col("by")).sort("clock", "judge", "away")
    return pairs.group_by("clock", "judge", maintain_order=True).agg(shift=pl.col("away").sort().get(pl.len() // 2))


def _nearest(aligned: pl.DataFrame, spans: pl.DataFrame) -> pl.DataFrame:
    """n, key and the ``use`` of the key whose span (low to high) is nearest to ``at``; of two, the earlier."""
    at = aligned.select("n", "key", "at").sort("at", "key", "n")
    spans = spans.sort("low", "key")
    before = at.join_asof(spans, left_on="at", right_on="low", by="key", check_sortedness=False)
    after = at.join_asof(spans, left_on="at", right_on="low", by="key", strategy="forward", check_sortedness=False)
    both = before.select("n", "key", "at", "high", earlier="use").with_columns(later=after["use"], low=after["low"])
    past = pl.max_horizontal(pl.col("at") - pl.col("high"), pl.lit(0))
    nearer = pl.col("earlier").is_null() | ((pl.col("low") - pl.col("at")) < past).fill_null(value=False)
    return both.select("n", "key", use=pl.when(nearer).then("later").otherwise("earlier"))
