"""What the events of a source come to, in figures."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import cast

import polars as pl


@dataclass
class Figures:
    """What the events of a source come to, in figures that add up over its batches.

    Args:
        events: how many.
        formats: name of a format → how many events it made, and the first line of these (null in a table).
        zones: ``zone_basis`` → how many events have it.
        kinds: kinds of the ids that they carry.
        untimed: how many state no time.
        first_time: the earliest ``event_time``; null where none states one.
        last_time: the latest.
    """

    events: int = 0
    formats: dict[str, tuple[int, int | None]] = field(default_factory=dict)
    zones: dict[str, int] = field(default_factory=dict)
    kinds: set[str] = field(default_factory=set)
    untimed: int = 0
    first_time: datetime | None = None
    last_time: datetime | None = None

    @classmethod
    def of(cls, events: pl.DataFrame) -> Figures:
        """Those of `events`, as in ``events``."""
        if events.is_empty():
            return cls()
        formats = events.group_by("format").agg(pl.len(), pl.col("line").min())
        zones = events["zone_basis"].drop_nulls().value_counts()
        times = events["event_time"]
        return cls(
            events.height,
            {name: (count, line) for name, count, line in formats.iter_rows() if name is not None},
            dict(zones.iter_rows()),
            set(events["ids"].explode().struct.field("kind").unique().drop_nulls()),
            times.null_count(),
            *(cast("datetime | None", one) for one in (times.min(), times.max())),
        )

    def take(self, other: Figures) -> None:
        """Add the figures of further events."""
        self.events += other.events
        for name, (count, line) in other.formats.items():
            had, first = self.formats.get(name, (0, None))
            self.formats[name] = (had + count, min((one for one in (first, line) if one is not None), default=None))
        for zone, count in other.zones.items():
            self.zones[zone] = self.zones.get(zone, 0) + count
        self.kinds |= other.kinds
        self.untimed += other.untimed
        self.first_time = min((one for one in (self.first_time, other.first_time) if one), default=None)
        self.last_time = max((one for one in (self.last_time, other.last_time) if one), default=None)
