"""Step 4, clocks: how far each clock is ahead of one reference clock, by what tells it best.

Bounds come first (`bounds`), then piles of time differences and logs that share a clock (`peaks`). What is found moves
the times that the later steps look at; the times as logged stay.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl

from strataline.correlate.bounds import (
    BRACKETED,
    CLOCK_ROWS,
    EVER,
    MARGIN_NS,
    Clock,
    bounds_of,
    pooled,
    solve,
    steps_seen,
    whole,
)
from strataline.correlate.peaks import peaks, shared
from strataline.correlate.work import Work

QUARTER_NS = 900 * 10**9
NEAR_ZONE_NS = 120 * 10**9
"""An offset this close to a multiple of a quarter of an hour, and no less than one, is likely a zone."""


def estimate_clocks(work: Work) -> Work:
    """Fill ``clocks``, and set ``t`` and ``end`` of the events to times by the reference clock."""
    if work.rests_on("clocks"):
        return work
    bounds = bounds_of(steps_seen(work))
    solved = solve(work, bounds)
    few = pooled(bounds, solved)
    work = _applied(work, solved, few)
    piled = peaks(work, solved, few)
    work = _applied(work, solved, few, piled) if piled.height else work
    alike = shared(work, solved)
    work = _applied(work, solved, few, piled, alike) if alike.height else work
    return _noted(_asserted(work)).resting("clocks")


def _asserted(work: Work) -> Work:
    """Put what the caller asserts in the place of what was found; if the logs contradict it, say so."""
    kept = tuple(one.filter(~pl.col("topic").str.starts_with("clock_")) for one in work.notes)
    work = replace(work, notes=kept)
    if not work.options.clock_offsets:
        return work
    references = work.clocks["reference"].drop_nulls().mode().sort()
    for name, offset in sorted(work.options.clock_offsets.items()):
        found = work.clocks.filter(pl.col("clock") == name)
        inside = (found["lower_ns"].fill_null(offset) - MARGIN_NS <= offset) & (
            offset <= found["upper_ns"].fill_null(offset) + MARGIN_NS
        )
        if found.height and not inside.any():
            lower, upper = (_seconds(found[side].mean()) for side in ("lower_ns", "upper_ns"))  # type: ignore[arg-type]
            detail = f"asserted to be {_seconds(offset)} ahead; linked events put it between {lower} and {upper}"
            work = work.note("clock_contradicted", detail, subject=name)
        row = {"clock": name, "slice": 0, "since": EVER, "pairs": int(found["pairs"].sum()), "offset_ns": offset}
        more = {"doubt": 0, "unsure": 0, "basis": "asserted", "reference": references[0] if len(references) else None}
        asserted = pl.DataFrame([row | more], schema=CLOCK_ROWS)
        # What was taken to be this clock as well moves along.
        like = (pl.col("basis") == "shared") & pl.col("offset_ns").is_in(found["offset_ns"].implode())
        rest = work.clocks.filter(pl.col("clock") != name).with_columns(
            offset_ns=pl.when(like).then(offset).otherwise("offset_ns")
        )
        work = replace(work, clocks=pl.concat([rest, asserted]))
    return _moved(replace(work, clocks=work.clocks.sort("clock", "slice")))


def _applied(work: Work, solved: dict[str, Clock], *more: pl.DataFrame) -> Work:
    rows = [
        {
            "clock": name,
            "slice": place,
            "since": int(clock.since[place]),
            "pairs": int(clock.pairs[place]),
            "lower_ns": whole(clock.lower[place]),
            "upper_ns": whole(clock.upper[place]),
            "offset_ns": int(clock.offset[place]),
            "doubt": 0,
            "unsure": whole(clock.unsure[place]),
            "basis": clock.basis,
            "reference": clock.reference,
        }
        for name, clock in sorted(solved.items())
        for place in range(len(clock.since))
    ]
    # What is found later is of clocks that were open before, or that few pairs bound.
    tables = [pl.DataFrame(rows, schema=CLOCK_ROWS)]
    for table in reversed(more):
        tables.append(table.join(pl.concat(tables), on="clock", how="anti"))
    clocks = pl.concat(tables).sort("clock", "slice")
    return _moved(replace(work, clocks=clocks))


def _moved(work: Work) -> Work:
    """Set the times of the events by the clocks."""
    whole = work.events["clock"]
    moved = work.clocks.select(pl.col("clock").cast(whole.dtype, strict=False), "since", "offset_ns", "doubt")
    moved = moved.filter(pl.col("clock").is_not_null())
    several = moved.filter(pl.col("clock").is_duplicated())
    # Most clocks have one slice, which holds for all times.
    of = np.full(len(whole.dtype.categories) + 1, -1)  # type: ignore[attr-defined]
    of[moved["clock"].to_physical().to_numpy()] = np.arange(moved.height)
    of[several["clock"].to_physical().to_numpy()] = -1
    row = of[whole.to_physical().cast(pl.Int64).fill_null(-1).to_numpy()]
    row = pl.Series(row).set(pl.Series(row < 0) | work.events["logged"].is_null(), None)
    found = moved.select(pl.col("offset_ns", "doubt").gather(row))
    if several.height:
        sliced = work.events.select("clock", "logged").with_row_index("at")
        sliced = sliced.filter(pl.col("logged").is_not_null() & pl.col("clock").is_in(several["clock"].implode()))
        placed = sliced.sort("logged").join_asof(
            several.sort("since"), left_on="logged", right_on="since", by="clock", check_sortedness=False
        )
        found = found.with_columns(found[name].scatter(placed["at"], placed[name]) for name in ("offset_ns", "doubt"))
    offset = found["offset_ns"].fill_null(0)
    events = work.events.with_columns(
        *found.get_columns(), t=pl.col("logged") - offset, end=pl.col("logged_end") - offset
    )
    return replace(work, events=events)


def _noted(work: Work) -> Work:
    """Say what was taken for granted, and what an offset may mean."""
    moved = work.clocks.filter(pl.col("offset_ns") != 0)
    quarters = (pl.col("offset_ns") / QUARTER_NS).round()
    browsers = work.events.filter(pl.col("layer") == "ui")["clock"].unique().implode()
    zones = moved.filter(
        ~pl.col("clock").is_in(browsers),
        (quarters != 0)
        & ((pl.col("offset_ns") - quarters * QUARTER_NS).abs() <= NEAR_ZONE_NS)
        & (pl.col("pairs") >= BRACKETED),
    ).unique("clock", keep="first", maintain_order=True)
    for name, offset in zones.select("clock", "offset_ns").iter_rows():
        hours = round(offset / QUARTER_NS) / 4
        detail = f"its times are {_seconds(offset)} ahead, about {hours:g} h: a time zone, likely; --zone states it"
        work = work.note("clock_zone", detail, subject=name)
    for name, slices in moved.group_by("clock").len().filter(pl.col("len") > 1).sort("clock").iter_rows():
        work = work.note(
            "clock_slices", "the offset changes over time; each slice has one of its own", subject=name, count=slices
        )
    sizes = dict(work.clocks.group_by("basis").agg(pl.col("clock").n_unique()).iter_rows())
    if size := sizes.get("pooled"):
        detail = "clocks that linked events bound on one side alone; taken to be as far off the bound as others are"
        work = work.note("clock_pooled", detail, count=size)
    if size := sizes.get("scope-peak"):
        detail = "clocks placed by where time differences within a session or user pile up"
        work = work.note("clock_scope_peak", detail, count=size)
    if size := sizes.get("shared"):
        detail = "clocks taken to be that of another log, as their events lie beside its events when moved alike"
        work = work.note("clock_shared", detail, count=size)
    return work


def _seconds(ns: float) -> str:
    return f"{ns / 1e9:+.3f} s"
