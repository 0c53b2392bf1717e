"""The truth about rows as they were written: what ties each to its request, and in which order things happened."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from .happened import CODE

REACHES = ("id", "session+time", "user+time", "time_only", "none")
"""What could tie a row to its request, strongest first."""

OPENING = ("prompt.received", "model.call", "retrieval.request", "retrieval.query", "policy.input")
"""Kinds that open a request: the first where one was logged, else the earliest of the next that was, and so on."""


def components(rows: int, row: NDArray[np.int64], value: NDArray[np.int64]) -> NDArray[np.int64]:
    """The component of each of `rows` rows, where `row` and `value` say which row names which value."""
    _, number = np.unique(value, return_inverse=True)
    values = int(number.max()) + 1 if len(number) else 0
    size = rows + values
    edges = coo_array((np.ones(len(row), dtype=np.int8), (row, rows + number)), shape=(size, size))
    _, label = connected_components(edges.tocsr(), directed=False)
    return np.asarray(label[:rows], dtype=np.int64)


def reach(rows: pl.DataFrame, named: pl.DataFrame) -> pl.DataFrame:
    """What ties each row to its request, and whether only a value does so that came again later.

    Args:
        rows: row (from 0, in order), owner (the request, or a negative number for each job, or null), request (null:
            none), kind (its code), t0, has_session, has_user (whether it names them, as written).
        named: row, value (what it names, as a number: equal for what should join), shown (equal for what reads alike).

    Returns:
        row, reach, id_reused, in the order of `rows`.
    """
    owners = named.join(rows.select("row", "owner"), on="row", maintain_order="left")
    unique = owners.group_by("value").agg(owners=pl.col("owner").n_unique()).filter(pl.col("owners") == 1)
    joins = owners.join(unique.select("value"), on="value", how="semi", maintain_order="left")
    again = (
        owners.join(unique.select("value"), on="value", how="semi")
        .group_by("shown")
        .agg(values=pl.col("value").n_unique())
        .filter(pl.col("values") > 1)
    )
    reused = joins.join(again.select("shown"), on="shown", how="semi").select("row").unique()
    label = components(rows.height, joins["row"].to_numpy(), joins["value"].to_numpy())
    frame = rows.with_columns(component=pl.Series(label))

    ranks = {CODE[kind]: rank for rank, kind in enumerate(OPENING)}
    rank = pl.col("kind").cast(pl.Int64).replace_strict(ranks, default=len(OPENING), return_dtype=pl.Int64)
    asked = frame.filter(pl.col("request").is_not_null()).with_columns(rank=rank)
    best = asked.group_by("request").agg(best=pl.col("rank").min())
    opening = asked.join(best, on="request").filter(pl.col("rank") == pl.col("best"))
    # Every logged begin of a request opens it; where there is none, one row stands in for it.
    opening = pl.concat(
        [
            opening.filter(pl.col("best") == 0),
            opening.filter(pl.col("best") > 0).sort("t0", "row").unique("request", keep="first", maintain_order=True),
        ]
    )
    tied = opening.select("request", "component").unique().with_columns(tied=True)
    frame = frame.join(tied, on=["request", "component"], how="left", maintain_order="left")
    known = (
        frame.filter(pl.col("tied"))
        .group_by("request")
        .agg(session_known=pl.col("has_session").any(), user_known=pl.col("has_user").any())
    )
    frame = frame.join(known, on="request", how="left", maintain_order="left")
    return frame.select(
        "row",
        reach=pl.when(pl.col("request").is_null())
        .then(pl.lit("none"))
        .when("tied")
        .then(pl.lit("id"))
        .when(pl.col("has_session") & pl.col("session_known"))
        .then(pl.lit("session+time"))
        .when(pl.col("has_user") & pl.col("user_known"))
        .then(pl.lit("user+time"))
        .otherwise(pl.lit("time_only")),
        id_reused=pl.col("row").is_in(reused["row"].implode()),
    )


def order(request: NDArray[np.int64], time: NDArray[np.int64]) -> NDArray[np.int64]:
    """The dense rank of `time` within each `request`, from 0."""
    if not len(time):
        return time
    place = np.lexsort((time, request))
    by_request, by_time = request[place], time[place]
    new = np.r_[True, by_request[1:] != by_request[:-1]]
    later = np.r_[False, by_time[1:] != by_time[:-1]] & ~new
    count = np.cumsum(later)
    first = np.flatnonzero(new)
    rank = count - np.repeat(count[first], np.diff(np.r_[first, len(count)]))
    result = np.empty_like(rank)
    result[place] = rank
    return np.asarray(result)


def together(section: NDArray[np.int64], time: NDArray[np.int64]) -> NDArray[np.int64]:
    """`time`, where rows of one `section` (-1: of none) all have the time of the first of them."""
    some = np.flatnonzero(section >= 0)
    if not len(some):
        return time
    _, number = np.unique(section[some], return_inverse=True)
    least = np.full(int(number.max()) + 1, np.iinfo(np.int64).max)
    np.minimum.at(least, number, time[some])
    result = time.copy()
    result[some] = least[number]
    return result
