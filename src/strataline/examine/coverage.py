"""Tables to what can be counted in them. Pure functions of frames: no input, no output."""

from __future__ import annotations

import polars as pl

from strataline.event import LAYERS, PRODUCT_LAYERS, TIME

COVERAGE = pl.Schema(
    {
        "layer": pl.String(),
        "minute": TIME,
        "minutes": pl.Int64(),
        "events": pl.Int64(),
        "linked": pl.Int64(),
        "covered": pl.Boolean(),
    }
)
"""Columns of `coverage`."""


def coverage(events: pl.DataFrame) -> pl.DataFrame:
    """Count the events of each layer in each minute between the first and the last event.

    Minutes in which no layer has an event are drawn together, so that one wrong year in one record does not make
    a row for each minute of the years between.

    Args:
        events: an ``events`` table; of its columns layer, source, request and corrected_time are used.

    Returns:
        A frame with the columns of `COVERAGE`, ordered by (minute, layer): one row for each step and layer. A step
        is one minute, or a run of minutes without any event. ``minute`` is the (first) minute by corrected time,
        null for events without a time, which come last; ``minutes`` is the length of the step, null likewise;
        ``linked`` is how many of the ``events`` belong to a request; ``covered`` is whether some source of the
        layer has records both before the step's end and after its beginning, so that a count of 0 is a silence of
        that log and not a missing log. The five product layers always have rows, the others if they have events.
    """
    seen = events["layer"].unique().implode()
    layers = pl.DataFrame({"layer": LAYERS}, schema={"layer": pl.String}).with_row_index("place")
    layers = layers.filter(pl.col("layer").is_in(PRODUCT_LAYERS) | pl.col("layer").is_in(seen))
    counted = events.group_by("layer", pl.col("corrected_time").dt.truncate("1m").alias("minute")).agg(
        pl.len().cast(pl.Int64).alias("events"), pl.col("request").count().cast(pl.Int64).alias("linked")
    )
    rows = layers.join(_steps(counted["minute"]), how="cross")
    rows = rows.join(counted, on=["layer", "minute"], how="left", nulls_equal=True)
    rows = rows.sort("last", "place").join_asof(
        _spans(events),
        left_on="last",
        right_on="first_seen",
        by="layer",
        strategy="backward",
        check_sortedness=False,
    )
    return (
        rows.with_columns(
            pl.col("events", "linked").fill_null(0),
            (pl.col("last_seen") >= pl.col("minute")).fill_null(value=False).alias("covered"),
        )
        .sort("minute", "place", nulls_last=True)
        .select(COVERAGE.names())
        .cast(COVERAGE)
    )


def _steps(minutes: pl.Series) -> pl.DataFrame:
    """Minutes with an event, and the runs between them: (minute, minutes, last), `last` being the step's end."""
    busy = pl.DataFrame({"minute": minutes.unique().sort()})
    timed = busy.drop_nulls()
    gap = (pl.col("minute").shift(-1) - pl.col("minute")).dt.total_minutes() - 1
    quiet = timed.select(pl.col("minute").dt.offset_by("1m"), gap.alias("minutes")).filter(pl.col("minutes") > 0)
    counted = timed.select("minute", pl.lit(1, pl.Int64).alias("minutes"))
    untimed = busy.filter(pl.col("minute").is_null()).with_columns(pl.lit(None, pl.Int64).alias("minutes"))
    steps = pl.concat([counted, quiet.select(pl.col("minute").cast(TIME), "minutes"), untimed])
    length = pl.duration(minutes=pl.col("minutes"), nanoseconds=-1, time_unit="ns")
    return steps.with_columns((pl.col("minute") + length).alias("last"))


def _spans(events: pl.DataFrame) -> pl.DataFrame:
    """Per layer, by the time at which a source of it begins: the latest end of the sources that began by then."""
    timed = events.drop_nulls("corrected_time")
    per_source = timed.group_by("source").agg(
        pl.col("layer").unique(),
        pl.col("corrected_time").min().alias("first_seen"),
        pl.col("corrected_time").max().alias("last_seen"),
    )
    spans = per_source.explode("layer").sort("first_seen", "last_seen", "layer")
    return spans.select("layer", "first_seen", pl.col("last_seen").cum_max().over("layer"))
