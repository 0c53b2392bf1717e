"""Scopes: which session and which user an event is of, where two programs name one session or user by two values.

Two values are one scope if they stand together in at least three requests that ids tie, or in all requests of both,
and neither stands together with any other value.
"""

from __future__ import annotations

from dataclasses import replace

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
    values = work.events.select(value=name).drop_nulls().unique().sort("value").with_row_index("scope")
    values = values.with_columns(pl.col("scope").cast(pl.Int64))
    rows = work.members.filter(pl.col("request").is_not_null()).select("n", "request")
    rows = rows.join(work.events.select("n", value=name), on="n").filter(pl.col("value").is_not_null())
    rows = rows.select("request", "value").unique()
    several = rows.filter(pl.len().over("request") == 2)
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
    one = both.filter((pl.col("value") < pl.col("value_b")) & ((pl.col("len") >= TOGETHER) | all_of_both))
    same = one.select("value", "value_b").sort("value")
    joined = values.join(same, left_on="value", right_on="value_b", how="left").rename({"value_right": "main"})
    main = joined.join(values.select(main="value", to="scope"), on="main", how="left")
    table = main.select("value", **{f"{name}_scope": pl.coalesce("to", "scope")})
    events = work.events.join(table, left_on=name, right_on="value", how="left", maintain_order="left")
    work = replace(work, events=events)
    return work.note_rows(
        "scope_alias",
        same.join(both.select("value", "value_b", "len"), on=["value", "value_b"], maintain_order="left").select(
            subject="value",
            count=pl.col("len").cast(pl.Int64),
            detail=pl.format(
                "{} {} is the same in these logs: they stand together in requests, and with no other",
                pl.lit(name),
                "value_b",
            ),
        ),
    )
