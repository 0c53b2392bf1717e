"""What clocks show: offset, drift and steps of services, and the clocks of browsers.

Every time in here is nanoseconds since `EPOCH_NS`, the moment at which a run begins, by the true clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

EPOCH_NS = 1_772_409_600_000_000_000
"""Where every run begins: 2026-03-02T00:00:00Z."""

HOUR_NS = 3_600_000_000_000

CLOCKS = pl.Schema(
    {
        "clock": pl.String(),
        "slice": pl.Int64(),
        "from_ns": pl.Int64(),
        "to_ns": pl.Int64(),
        "offset_ns": pl.Int64(),
        "drift_ppb": pl.Int64(),
    }
)
"""The table of true clocks: from `from_ns` to `to_ns` of true time (UTC), the clock `clock` is ahead of true time by
`offset_ns` in the middle of the slice, and gains `drift_ppb` nanoseconds per second throughout."""

UNITS = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}
"""Nanoseconds of each precision that a time may be written in."""


@dataclass(frozen=True)
class Clock:
    """The clock of one service instance.

    Attributes:
        offset_s: how far it is ahead of true time when the run begins, in seconds (whole hours: a wrong zone).
        drift_ppm: how much it gains, in microseconds per second.
        steps: corrections: (when, in seconds after the begin of the run; by how much it jumps, in seconds).
    """

    offset_s: float = 0.0
    drift_ppm: float = 0.0
    steps: tuple[tuple[float, float], ...] = ()

    def offset(self, time: NDArray[np.int64]) -> NDArray[np.int64]:
        """How far it is ahead at true `time` (nanoseconds since the begin of the run), in nanoseconds."""
        ahead = np.full(len(time), round(self.offset_s * 1e9), dtype=np.int64)
        ahead += np.rint(time * (self.drift_ppm * 1e-6)).astype(np.int64)
        for at, jump in self.steps:
            ahead += np.where(time >= round(at * 1e9), round(jump * 1e9), 0)
        return ahead

    def slices(self, name: str, until_ns: int) -> pl.DataFrame:
        """Its rows in the table of true clocks, up to `until_ns` after the begin of the run."""
        cuts = {0, until_ns}
        cuts |= {at for at in (round(at * 1e9) for at, _ in self.steps) if 0 < at < until_ns}
        if self.drift_ppm:
            cuts |= set(range(0, until_ns, max(HOUR_NS, until_ns // 500)))
        edges = np.array(sorted(cuts), dtype=np.int64)
        if len(edges) < 2:
            edges = np.array([0, 1], dtype=np.int64)
        middle = (edges[:-1] + edges[1:]) // 2
        return pl.DataFrame(
            {
                "clock": [name] * len(middle),
                "slice": np.arange(len(middle)),
                "from_ns": EPOCH_NS + edges[:-1],
                "to_ns": EPOCH_NS + edges[1:],
                "offset_ns": self.offset(middle),
                "drift_ppb": [round(self.drift_ppm * 1000)] * len(middle),
            },
            schema=CLOCKS,
        )


@dataclass(frozen=True)
class Browsers:
    """The clocks of browsers: every session's own.

    Attributes:
        spread_s: median of the absolute offset of an ordinary browser, in seconds.
        tail: share of browsers whose offset is heavy-tailed (minutes to a day).
        hours: share that is exactly one or several hours off, besides the rest.
        drift_ppm: standard deviation of how much they gain, in microseconds per second.
    """

    spread_s: float = 0.0
    tail: float = 0.0
    hours: float = 0.0
    drift_ppm: float = 0.0

    def draw(self, draw: np.random.Generator, count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Offset in nanoseconds at the begin of its session, and drift in ppb, of `count` browsers."""
        sign = np.where(draw.random(count) < 0.5, -1.0, 1.0)
        plain = self.spread_s / 0.6745 * draw.standard_normal(count)
        heavy = sign * np.minimum(20.0 * (draw.pareto(0.7, count) + 1), 86_400.0)
        offset = np.where(draw.random(count) < self.tail, heavy, plain)
        whole = np.array([-8, -7, -5, -2, -1, -1, 1, 1, 1, 2, 9])[draw.integers(0, 11, count)]
        offset += np.where(draw.random(count) < self.hours, whole * 3600.0, 0.0)
        drift = np.rint(self.drift_ppm * 1000 * draw.standard_normal(count))
        return np.rint(offset * 1e9).astype(np.int64), drift.astype(np.int64)


def browser_slices(
    names: Sequence[str] | pl.Series,
    begin: NDArray[np.int64],
    end: NDArray[np.int64],
    offset: NDArray[np.int64],
    drift: NDArray[np.int64],
) -> pl.DataFrame:
    """The rows of browsers in the table of true clocks: one slice each, from `begin` to `end`.

    `offset` is the offset at `begin`, and `drift` in ppb.
    """
    end = np.maximum(end, begin + 1)
    half = (end - begin) // 2
    return pl.DataFrame(
        {
            "clock": names,
            "slice": np.zeros(len(begin), dtype=np.int64),
            "from_ns": EPOCH_NS + begin,
            "to_ns": EPOCH_NS + end,
            "offset_ns": offset + drifted(half, drift),
            "drift_ppb": drift,
        },
        schema=CLOCKS,
    )


def drifted(time: NDArray[np.int64], drift: NDArray[np.int64]) -> NDArray[np.int64]:
    """What a drift in ppb adds in `time` nanoseconds."""
    return np.rint(time * (drift * 1e-9)).astype(np.int64)
