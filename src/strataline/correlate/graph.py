"""Connected components of events that hold equal keys."""

from __future__ import annotations

import itertools

import numpy as np
import polars as pl


def components(nodes: pl.DataFrame, edges: pl.DataFrame) -> pl.DataFrame:
    """Components of a graph.

    Args:
        nodes: ``n``, distinct.
        edges: ``a`` and ``b``, both in `nodes`.

    Returns:
        ``n`` and ``component``: the smallest n of its component.
    """
    rank = nodes.select("n").with_row_index("i")
    ends = edges.join(rank, left_on="a", right_on="n").join(rank, left_on="b", right_on="n", suffix="_b")
    label = smallest(rank.height, ends["i"].to_numpy(), ends["i_b"].to_numpy())
    return pl.DataFrame({"n": rank["n"], "component": rank["n"].gather(label)})


def tied(size: int, n: np.ndarray, key: np.ndarray) -> np.ndarray:
    """Components of events through the keys they hold: per event, the smallest n of its component.

    Args:
        size: events; n runs from 0 to one less.
        n: of an event that holds a key, in any order.
        key: the key that it holds, a number from 0.
    """
    # A key that one event alone holds ties nothing.
    shared = np.bincount(key)[key] > 1 if len(key) else np.zeros(0, bool)
    return smallest(size + int(key.max(initial=-1)) + 1, n[shared], key[shared] + size)[:size]


def first_per(group: np.ndarray, rank: np.ndarray) -> np.ndarray:
    """The place of the row of least `rank` in each group; of equal ones the first.

    Args:
        group: ascending.
        rank: of each row.
    """
    if not len(group):
        return np.zeros(0, np.int64)
    starts = np.flatnonzero(np.concatenate([[True], group[1:] != group[:-1]]))
    least = np.repeat(np.minimum.reduceat(rank, starts), np.diff(np.append(starts, len(group))))
    found = np.flatnonzero(rank == least)
    of = group[found]
    return np.asarray(found[np.concatenate([[True], of[1:] != of[:-1]])])


def smallest(nodes: int, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Per node, the smallest of its component, in a graph of `nodes` nodes with an edge from each of `a` to its `b`.

    In rounds, each of which hangs what an edge ties below the smaller end (Liu and Tarjan 2019, "Simple Concurrent
    Labeling Algorithms"): as quick as to walk through the graph, and without a library that takes a while to load.
    """
    label = np.arange(nodes)
    while True:
        a, b = label[a], label[b]
        apart = a != b
        if not apart.any():
            return label
        a, b = a[apart], b[apart]
        np.minimum.at(label, np.maximum(a, b), np.minimum(a, b))
        while not np.array_equal(further := label[label], label):
            label = further


def sorting(code: np.ndarray) -> np.ndarray:
    """The places of the rows in order of `code`; of equal ones, in their order.

    Args:
        code: numbers from 0.
    """
    bits = len(code).bit_length()
    if int(code.max(initial=0)).bit_length() + bits > 63:
        return np.argsort(code, kind="stable")
    # Code and place in one number: numbers are sorted several times as quickly as what they point to.
    packed = (code.astype(np.int64) << bits) | np.arange(len(code))
    packed.sort()
    return np.asarray(packed & ((1 << bits) - 1))


class Grid:
    """Rows that stand in groups, each of a sort: finds the rows of one sort beside others of their group.

    Args:
        group: of each row, from 0, ascending.
        sort: of each row, from 0.
        sorts: how many there are.
    """

    def __init__(self, group: np.ndarray, sort: np.ndarray, sorts: int) -> None:
        self._group, self._groups = group, int(group.max(initial=-1)) + 1
        order = sorting(sort)
        ends = np.searchsorted(sort[order], np.arange(sorts + 1))
        self._rows = [order[low:high] for low, high in itertools.pairwise(ends)]

    def of(self, sort: int) -> np.ndarray:
        """The rows of a sort, in order of their groups."""
        return self._rows[sort]

    def beside(self, rows: np.ndarray, sort: int) -> tuple[np.ndarray, np.ndarray]:
        """Each of some rows with each row of `sort` in its group: the places in `rows`, and the rows beside them."""
        they = self._rows[sort]
        if not (len(rows) and len(they)):
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        sizes = np.bincount(self._group[they], minlength=self._groups)
        starts = np.cumsum(sizes) - sizes
        group = self._group[rows]
        left, place = spread(starts[group], sizes[group])
        return left, they[place]


def spread(starts: np.ndarray, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Runs of places, one after the other: of each place, which run it is of; and the places."""
    run = np.repeat(np.arange(len(starts)), sizes)
    first = starts - (np.cumsum(sizes) - sizes)
    return run, np.arange(len(run)) + first[run]
