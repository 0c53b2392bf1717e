"""Connected components of events that hold equal keys."""

from __future__ import annotations

import numpy as np
import polars as pl
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components


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
    return _label(rank, ends["i"].to_numpy(), ends["i_b"].to_numpy(), rank.height)


def tied(nodes: pl.DataFrame, carried: pl.DataFrame) -> pl.DataFrame:
    """Components of events through the keys they hold.

    Args:
        nodes: ``n``, distinct.
        carried: ``n`` and ``key``.

    Returns:
        ``n`` and ``component``: the smallest n of its component.
    """
    rank = nodes.select("n").with_row_index("i")
    rows = carried.select("n", "key").join(rank, on="n")
    keys = rows["key"].rank("dense").to_numpy().astype(np.int64) - 1 + rank.height
    size = rank.height + (int(keys.max()) - rank.height + 1 if len(keys) else 0)
    return _label(rank, rows["i"].to_numpy(), keys, size)


def _label(rank: pl.DataFrame, a: np.ndarray, b: np.ndarray, size: int) -> pl.DataFrame:
    if rank.is_empty():
        return pl.DataFrame(schema={"n": pl.Int64, "component": pl.Int64})
    graph = coo_matrix((np.ones(len(a), np.int8), (a, b)), shape=(size, size))
    _, labels = connected_components(graph, directed=False)
    found = rank.with_columns(label=pl.Series(labels[: rank.height]))
    return found.select("n", component=pl.col("n").min().over("label")).rechunk()
