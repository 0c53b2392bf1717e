"""Scopes: which session and which user an event is of, where two programs name one session or user by two values.

Two values are one scope if they stand together in at least three requests that ids tie, or in all requests of both,
and neither stands together with any other value.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl

from strataline.correlate.work import Work

TOGETHER = 3
"""Requests that two values must share, unless they share all of theirs."""

SCOPES = ("session", "user")


def resolve_scopes(work: Work) -> Work:
    """Add ``session_scope`` and ``user_scope`` to the events: numbers, equal for one scope; null where not stated."""
    for name in SCOPES:
        work = _resolve(work, name)
    return work


def _resolve(work: Work, name: str) -> Work:
    whole = work.events[name]
    words = whole.dtype.categories  # type: ignore[attr-defined]
    code = whole.to_physical().cast(pl.Int64)
    rows = work.members.select("request", value=code.gather(work.members["n"])).drop_nulls("value")
    rows = rows.unique()
    same = _same(rows)
    scope = np.arange(len(words) + 1)
    scope[same["value_b"].to_numpy()] = same["value"].to_numpy()
    found = pl.Series(f"{name}_scope", scope[code.fill_null(-1).to_numpy()]).set(code.is_null(), None)
    work = replace(work, events=work.events.with_columns(found))
    return work.note_rows(
        "scope_alias",
        same.select(
            subject=words.gather(same["value"]),
            count=pl.col("len").cast(pl.Int64),
            detail=pl.format(
                "{} {} is the same in these logs: they stand together in requests, and with no other",
                pl.lit(name),
                words.gather(same["value_b"]),
            ),
        ),
    )


def _same(rows: pl.DataFrame) -> pl.DataFrame:
    """The values that are one scope: value, value_b (the greater one), ``len`` (requests that they share).

    Args:
        rows: request and value, each pair once.
    """
    several = rows.filter(pl.len().over("request") == 2)
    if several.is_empty():
        return pl.DataFrame(schema={"value": pl.Int64, "value_b": pl.Int64, "len": pl.UInt32})
    pairs = several.join(several, on="request", suffix="_b").filter(pl.col("value") != pl.col("value_b"))
    pairs = pairs.group_by("value", "value_b").len()
    alone = pairs.filter(pl.len().over("value") == 1)
    sizes = rows.group_by("value").agg(requests=pl.len())
    both = (
        alone.join(alone.select(value="value_b", value_b="value"), on=["value", "value_b"], how="semi")
        .join(sizes, on="value")
        .join(sizes.rename({"value": "value_b", "requests": "requests_b"}), on="value_b")
    )
    all_of_both = (pl.col("len") == pl.col("requests")) & (pl.col("len") == pl.col("requests_b"))
    same = both.filter((pl.col("value") < pl.col("value_b")) & ((pl.col("len") >= TOGETHER) | all_of_both))
    return same.select("value", "value_b", "len").sort("value")
