"""How long after (or before) one step another one comes, learned from the events that ids tie in these very logs.

No shape is assumed: the density is a histogram with as many observations in each bin, so that it is as fine as the
data allow around each mode and coarse in the tails.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
import polars as pl

from strataline.correlate.graph import sorting, spread
from strataline.correlate.work import Work, sample

LEARNED = 30
"""Pairs from which on a delay is learned."""

NAMED = 30
"""Events from which on a name of its own (a route, a message) makes a sort of event of its own."""

FINEST_NS = 1000
"""Times are written no finer than this, in most logs."""

_TAIL = np.array([0.25, 0.125, 0.0625, 0.0625])
_GROWN = np.geomspace(1, 8, 4)


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
        around = np.concatenate([[-np.inf], self.log, [-np.inf]])
        return np.asarray(around[np.searchsorted(self.edges, delays, side="right")])


@cache
def _shares(bins: int) -> np.ndarray:
    """The shares of the observations that lie below each edge, with the tails told apart."""
    return np.unique(np.concatenate([np.linspace(0, 1, bins + 1), [0.005, 0.01, 0.02, 0.98, 0.99, 0.995]]))


def density(delays: np.ndarray, unit: float = FINEST_NS) -> Density:
    """The density of observed delays (ns), no finer than `unit`, with a thin tail on both sides."""
    ordered = np.sort(delays.astype(np.float64))
    size = len(ordered)
    edges = np.quantile(ordered, _shares(int(min(max(math.sqrt(size), 5), 100))))
    edges[0] -= unit / 2
    edges[-1] += unit / 2
    every, keep = edges.tolist(), [0]
    for place in range(1, len(every)):
        if every[place] - every[keep[-1]] >= unit:
            keep.append(place)
    if keep[-1] != len(edges) - 1:
        keep[-1:] = [len(edges) - 1] if len(keep) > 1 else [0, len(edges) - 1]
    edges = edges[keep]
    counts = np.diff(np.searchsorted(ordered, edges))
    # One observation to come lies anywhere: half of one in each tail, thinner the further out.
    reach = max(edges[-1] - edges[0], 10 * unit)
    grown = _GROWN * reach / 2
    edges = np.concatenate([edges[0] - grown[::-1], edges, edges[-1] + grown])
    masses = np.concatenate([_TAIL[::-1], counts + 0.01, _TAIL])
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


def delays(
    rows: pl.DataFrame, wanted: set[int], least: float = 0.0
) -> Iterator[tuple[int, int, np.ndarray, float, float]]:
    """For each pair of marks that stand together in requests: mark, anchor's mark, delays (ns), over, together.

    ``over`` is the share of these requests with more of the mark than of the anchor's; ``together`` the share of the
    requests with the mark that have the anchor's. Only equally many are paired, in order of time. Looks at a sample of
    the requests; pairs of which it holds fewer than `LEARNED` are left out.

    Args:
        rows: n, request, mark, when; of the requests that ids tie.
        wanted: marks of the sorts to be placed.
        least: share of the requests with the mark that must have the anchor's.
    """
    rows = rows.join(sample(rows.select("request")), on="request", how="semi").sort("request", "mark", "when", "n")
    if rows.is_empty():
        return
    request, mark, when = (rows[name].to_numpy() for name in ("request", "mark", "when"))
    # One place for each request and mark: the row that it begins at, and how many there are.
    first = np.flatnonzero(np.concatenate([[True], (request[1:] != request[:-1]) | (mark[1:] != mark[:-1])]))
    count = np.diff(np.append(first, len(when)))
    request, mark = request[first], mark[first]
    begins = np.flatnonzero(np.concatenate([[True], request[1:] != request[:-1]]))
    sizes = np.diff(np.append(begins, len(request)))
    turn = np.repeat(np.arange(len(begins)), sizes)
    for one in sorted(wanted.intersection(mark.tolist())):
        given = np.flatnonzero(mark == one)
        left, right = spread(begins[turn[given]], sizes[turn[given]])
        left = given[left]
        others = mark[right] // 2 != one // 2
        left, right = left[others], right[others]
        together = np.bincount(mark[right])
        over = np.bincount(mark[right], count[left] > count[right])
        equal = count[left] == count[right]
        paired = np.bincount(mark[right], np.where(equal, count[left], 0))
        learned = (together >= least * len(given)) & (paired >= LEARNED)
        some = equal & learned[mark[right]]
        left, right = left[some], right[some]
        by = sorting(mark[right])
        left, right = left[by], right[by]
        pair, row = spread(first[left], count[left])
        apart = when[row] - when[row + (first[right] - first[left])[pair]]
        end = 0
        for anchor in np.flatnonzero(learned).tolist():
            begin, end = end, end + int(paired[anchor])
            yield one, anchor, apart[begin:end], over[anchor] / together[anchor], together[anchor] / len(given)
