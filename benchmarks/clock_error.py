"""How far the clocks that the engine reports are from the true ones, scored on differences to the reference clock.

Logs cannot tell the error of the reference itself, so what counts is how far each clock is ahead of it. Everything is
judged event by event, since clocks drift: the true difference at the event's true time, against the bracket of the
slice that the event stands in, and against what was taken from its time.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

BROWSER_NS = 250_000_000
"""A browser's clock is told well if it is this close."""

LINKED = 4
"""Events tied by an id from which on a browser's clock is judged."""

BRACKETED = 200
"""Pairs from which on a service's clock should be close."""

HELD = 0.99
"""Share of a clock's events whose true difference lies in the bracket, from which on the bracket holds it."""

TRUE = pl.Schema(
    {
        "clock": pl.String(),
        "from_ns": pl.Int64(),
        "to_ns": pl.Int64(),
        "offset_ns": pl.Int64(),
        "drift_ppb": pl.Int64(),
    }
)
"""True clocks: from `from_ns` to `to_ns` (true time) ahead by `offset_ns` in the middle, gaining `drift_ppb`."""


@dataclass(frozen=True)
class Service:
    """One clock of a service.

    Args:
        clock: its name.
        basis: what its offset rests on, as the engine says (of the slice with most events).
        events: events that show it.
        pairs: pairs that bound it, over all slices.
        slices: slices that it was cut into.
        held: share of its events whose true difference lies in the bracket; null if no event has a bracket.
        width_ms: median width of the bracket; null where a side is open.
        error_ms: median error of what was taken from the times.
        worst_ms: 95 of 100 events have a smaller error.
        true_ms: median true difference to the reference.
    """

    clock: str
    basis: str
    events: int
    pairs: int
    slices: int
    held: float | None
    width_ms: float | None
    error_ms: float
    worst_ms: float
    true_ms: float


@dataclass(frozen=True)
class ClockScore:
    """What `clock_score` found.

    Args:
        reference: the clock that the others were compared with; null where the engine names none.
        services: the other clocks of services.
        browsers: browsers with at least `LINKED` events that an id ties to a turn.
        near: of these, those within `BROWSER_NS`.
        still: of these, those that would be within `BROWSER_NS` if nothing were moved.
        domains: all clocks.
        moved: clocks from whose times something was taken.
    """

    reference: str | None
    services: tuple[Service, ...]
    browsers: int
    near: int
    still: int
    domains: int
    moved: int

    @property
    def bracketed(self) -> tuple[Service, ...]:
        """Services with a bracket."""
        return tuple(one for one in self.services if one.held is not None)

    @property
    def held(self) -> int:
        """Services whose bracket holds the true difference."""
        return sum((one.held or 0) >= HELD for one in self.bracketed)

    @property
    def worst_ms(self) -> float | None:
        """The largest median error among services with at least `BRACKETED` pairs; null where there is none."""
        return max((one.error_ms for one in self.services if one.pairs >= BRACKETED), default=None)


def ahead(at: pl.DataFrame, true: pl.DataFrame) -> pl.Series:
    """How far ``clock`` is ahead at ``true_time_ns``, for each row of `at` (ns); null for a clock that is not known."""
    rows = at.select("clock", "true_time_ns").with_row_index("row").sort("true_time_ns", "row")
    slices = true.sort("from_ns", "clock")
    # Before its first slice a clock is what it is at the beginning of that.
    first = slices.unique("clock", keep="first", maintain_order=True).rename({"offset_ns": "first_ns"})
    found = rows.join_asof(slices, left_on="true_time_ns", right_on="from_ns", by="clock", check_sortedness=False)
    found = found.join(first.select("clock", "first_ns"), on="clock", how="left")
    since = pl.col("true_time_ns") - (pl.col("from_ns") + pl.col("to_ns")) // 2
    drifted = (since.cast(pl.Float64) * pl.col("drift_ppb") * 1e-9).round().cast(pl.Int64)
    exact = pl.coalesce(pl.col("offset_ns") + drifted, "first_ns")
    return found.with_columns(exact.alias("ahead_ns")).sort("row")["ahead_ns"]


def clock_score(events: pl.DataFrame, clocks: pl.DataFrame, truth: pl.DataFrame, true: pl.DataFrame) -> ClockScore:
    """Compare the clocks of a case with the true ones.

    Args:
        events: the case's events.
        clocks: the case's clocks.
        truth: event_id, true_time_ns.
        true: as in `TRUE`.
    """
    named = clocks.filter(pl.col("basis") == "reference").sort("events", "clock", descending=[True, False])
    reference = str(named["clock"][0]) if named.height else None
    domains = clocks["clock"].n_unique()
    moved = clocks.filter(pl.col("offset_ns") != 0)["clock"].n_unique()
    if reference is None:
        return ClockScore(None, (), 0, 0, 0, domains, moved)
    rows = (
        events.filter(pl.col("event_time").is_not_null() & pl.col("clock").is_not_null())
        .join(truth.select("event_id", "true_time_ns"), on="event_id")
        .filter(pl.col("true_time_ns").is_not_null())
        .select(
            "clock",
            "true_time_ns",
            "event_time",
            browser=pl.col("layer") == "ui",
            linked=(pl.col("link_confidence") == 1).fill_null(value=False),
            taken_ns=pl.col("clock_offset").fill_null(0),
        )
    )
    theirs = rows.select("true_time_ns", clock=pl.lit(reference))
    rows = rows.with_columns(true_ns=ahead(rows, true) - ahead(theirs, true)).filter(pl.col("true_ns").is_not_null())
    slices = clocks.select("clock", "start_time", "pairs", "lower_ns", "upper_ns").sort("start_time", "clock")
    placed = rows.sort("event_time").join_asof(
        slices, left_on="event_time", right_on="start_time", by="clock", check_sortedness=False
    )
    inside = (pl.col("lower_ns").fill_null(pl.col("true_ns")) <= pl.col("true_ns")) & (
        pl.col("true_ns") <= pl.col("upper_ns").fill_null(pl.col("true_ns"))
    )
    bracket = pl.col("lower_ns").is_not_null() | pl.col("upper_ns").is_not_null()
    error = (pl.col("taken_ns") - pl.col("true_ns")).abs()
    each = (
        placed.group_by("clock")
        .agg(
            browser=pl.col("browser").mean() > 0.5,
            events=pl.len(),
            linked=pl.col("linked").sum(),
            held=inside.filter(bracket).mean(),
            width=(pl.col("upper_ns") - pl.col("lower_ns")).median(),
            error=error.median(),
            worst=error.quantile(0.95),
            still=pl.col("true_ns").abs().median(),
            true=pl.col("true_ns").median(),
        )
        .join(clocks.group_by("clock").agg(pl.col("pairs").sum(), slices=pl.len()), on="clock")
        .join(
            clocks.sort("events", "slice", descending=[True, False])
            .unique("clock", keep="first", maintain_order=True)
            .select("clock", "basis"),
            on="clock",
        )
        .sort("clock")
    )
    own = each.filter(~pl.col("browser") & (pl.col("clock") != reference))
    judged = each.filter(pl.col("browser") & (pl.col("linked") >= LINKED))
    return ClockScore(
        reference,
        tuple(
            Service(
                row["clock"],
                row["basis"],
                row["events"],
                row["pairs"] or 0,
                row["slices"],
                row["held"],
                _ms(row["width"]),
                row["error"] / 1e6,
                row["worst"] / 1e6,
                row["true"] / 1e6,
            )
            for row in own.iter_rows(named=True)
        ),
        judged.height,
        judged.filter(pl.col("error") <= BROWSER_NS).height,
        judged.filter(pl.col("still") <= BROWSER_NS).height,
        domains,
        moved,
    )


def _ms(value: float | None) -> float | None:
    return None if value is None else value / 1e6
