"""How long after (or before) one step another one comes, learned from the events that ids tie in these very logs.

No shape is assumed: the density is a histogram with as many observations in each bin, so that it is as fine as the
data allow around each mode and coarse in the tails.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from strataline.correlate.work import Work, sample

LEARNED = 30
"""Pairs from which on a delay is learned."""

NAMED = 30
"""Events from which on a name of its own (a route, a message) makes a sort of event of its own."""

FINEST_NS = 1000
"""Times are written no finer than this, in most logs."""


@dataclass(frozen=True)
class Density:
    """A density of delays, in 1/ns.

    Args:
        edges: of the bins, ascending (ns).
        log: natural logarithm of the density in each bin.
        surprise: mean of its negative over the observations (differential entropy, in nats over ns).
        size: observations.
    """

    edges: np.ndarray
    log: np.ndarray
    surprise: float
    size: float

    def at(self, delays: np.ndarray) -> np.ndarray:
        """The logarithm of the density at `delays`; minus infinity outside."""
        place = np.searchsorted(self.edges, delays, side="right") - 1
        inside = (place >= 0) & (place < len(self.log))
        return np.where(inside, self.log[np.clip(place, 0, len(self.log) - 1)], -np.inf)


def density(delays: np.ndarray, unit: float = FINEST_NS) -> Density:
    """The density of observed delays (ns), no finer than `unit`, with a thin tail on both sides."""
    ordered = np.sort(delays.astype(np.float64))
    size = len(ordered)
    bins = int(np.clip(np.sqrt(size), 5, 100))
    shares = np.unique(np.concatenate([np.linspace(0, 1, bins + 1), [0.005, 0.01, 0.02, 0.98, 0.99, 0.995]]))
    edges = np.quantile(ordered, shares)
    edges[0] -= unit / 2
    edges[-1] += unit / 2
    keep = [0]
    for place in range(1, len(edges)):
        if edges[place] - edges[keep[-1]] >= unit:
            keep.append(place)
    if keep[-1] != len(edges) - 1:
        keep[-1:] = [len(edges) - 1] if len(keep) > 1 else [0, len(edges) - 1]
    edges = edges[keep]
    counts, _ = np.histogram(ordered, edges)
    # One observation to come lies anywhere: half of one in each tail, thinner the further out.
    reach = max(edges[-1] - edges[0], 10 * unit)
    grown = np.geomspace(1, 8, 4) * reach / 2
    edges = np.concatenate([edges[0] - grown[::-1], edges, edges[-1] + grown])
    tail = np.array([0.25, 0.125, 0.0625, 0.0625])
    masses = np.concatenate([tail[::-1], counts + 0.01, tail])
    masses = masses / masses.sum()
    log = np.log(masses / np.diff(edges))
    return Density(edges, log, float(-(masses * log).sum()), float(size))


def sorts(work: Work) -> pl.DataFrame:
    """The sort of each event, in order of n: ``sort`` (number), ``sort_step`` (number of its step).

    A sort is (step, name if common, format). Numbers follow the order of the words, not of the events.
    """
    words = work.events.select("step", "name", "format")
    code = np.zeros(words.height, np.int64)
    for word in words.get_columns():
        number = word.to_physical().cast(pl.Int64).fill_null(-1).to_numpy() + 1
        code = code * (int(number.max(initial=0)) + 1) + number
    _, first, which, counts = np.unique(code, return_index=True, return_inverse=True, return_counts=True)
    common = pl.Series(counts >= NAMED, dtype=pl.Boolean)
    met = words[first].select("step", "format", own=pl.when(common).then("name"))
    table = met.unique().sort("step", "own", "format").with_row_index("sort")
    table = table.with_columns(pl.col("sort").cast(pl.Int64), sort_step=pl.col("step").rank("dense").cast(pl.Int64))
    found = met.join(table, on=["step", "own", "format"], nulls_equal=True, how="left", maintain_order="left")
    return found.select(pl.col("sort", "sort_step").gather(pl.Series(which, dtype=pl.Int64)))


def moments(events: pl.DataFrame) -> pl.DataFrame:
    """Both ends of each event: n, ``mark`` (2 x sort, and 1 more for the end), ``when``; ends only where stated."""
    starts = events.filter(pl.col("t").is_not_null()).select("n", mark=pl.col("sort") * 2, when="t")
    ends = events.filter(pl.col("end").is_not_null() & (pl.col("end") != pl.col("t")).fill_null(value=True))
    return pl.concat([starts, ends.select("n", mark=pl.col("sort") * 2 + 1, when="end")])


def examples(rows: pl.DataFrame) -> pl.DataFrame:
    """A sample of the turns (``request``) that ids tie, with their marks: request, mark, when, place, count.

    Args:
        rows: n, request, mark, when.
    """
    rows = rows.join(sample(rows.select("request")), on="request", how="semi").sort("request", "mark", "when", "n")
    return rows.with_columns(
        place=pl.int_range(pl.len()).over("request", "mark"), count=pl.len().over("request", "mark").cast(pl.Int64)
    )


def delays(
    given: pl.DataFrame, anchors: pl.DataFrame, least: float = 0.0
) -> Iterator[tuple[int, int, np.ndarray, float, float]]:
    """For each pair of marks that stand together in requests: mark, anchor's mark, delays (ns), over, together.

    ``over`` is the share of these requests with more of the mark than of the anchor's; ``together`` the share of the
    requests with the mark that have the anchor's. Only equally many are paired, in order of time.

    Args:
        given: of the sorts to be placed, as `examples` gives them.
        anchors: of all sorts, likewise.
        least: share of the requests with the mark that must have the anchor's.
    """
    first = given.filter(pl.col("place") == 0).select("request", "mark", "count")
    both = first.join(
        anchors.filter(pl.col("place") == 0).select("request", anchor="mark", anchors="count"), on="request"
    ).filter(pl.col("mark") // 2 != pl.col("anchor") // 2)
    shares = both.group_by("mark", "anchor").agg(over=(pl.col("count") > pl.col("anchors")).mean(), together=pl.len())
    shares = shares.join(given.group_by("mark").agg(whole=pl.col("request").n_unique()), on="mark")
    shares = shares.filter(pl.col("together") >= least * pl.col("whole"))
    equal = both.filter(pl.col("count") == pl.col("anchors")).join(shares, on=["mark", "anchor"], how="semi")
    # Of fewer than these nothing is learned.
    equal = equal.filter(pl.col("count").sum().over("mark", "anchor") >= LEARNED).select("request", "mark", "anchor")
    paired = equal.join(given.select("request", "mark", "place", "when"), on=["request", "mark"]).join(
        anchors.select("request", "place", anchor="mark", anchor_when="when"), on=["request", "anchor", "place"]
    )
    paired = paired.select("mark", "anchor", delay=pl.col("when") - pl.col("anchor_when"))
    paired = paired.sort("mark", "anchor", "delay")
    if paired.is_empty():
        return
    groups = paired.group_by("mark", "anchor", maintain_order=True).agg(size=pl.len())
    ends = groups["size"].cum_sum().to_numpy()
    every = paired["delay"].to_numpy()
    told = groups.join(shares, on=["mark", "anchor"], maintain_order="left")
    rows = told.select("mark", "anchor", "size", "over", "together", "whole").iter_rows()
    for end, (mark, anchor, size, over, together, whole) in zip(ends, rows, strict=True):
        yield mark, anchor, every[end - size : end], over, together / whole
