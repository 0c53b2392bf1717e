"""Words that outputs share: those they never use, the fixed sentences, and how times and counts are written."""

from __future__ import annotations

from datetime import datetime, timedelta

BANNED = (
    "caused",
    "because",
    "due to",
    "led to",
    "root",
    "blame",
    "fault",
    "failed to",
    "should have",
    "could have",
    "obviously",
    "malicious",
    "negligent",
)
"""Whole words that no sentence about an incident uses, outside quoted evidence."""

LEFT_OPEN = (
    ("Accountability", "no statement here is about a person or a team."),
    ("Conditions and their weight", "what contributed, and how much: an order in time is not an effect."),
    ("Remediation", "which remedy to choose, and what it costs elsewhere."),
    ("Intent", "what anyone meant to do."),
    ("Harm", "what this meant for the people concerned, and how severe it was."),
)
"""What only people can decide: (matter, what it is about)."""

ABSENCE = "Absence of a log is not absence of an event: a layer without records may still have acted."

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - everything here is UTC, and says so once, in words


def date_time(ms: int | None) -> str:
    """A UTC time in epoch milliseconds as ``2026-01-31 23:59:59.999``; empty where it is not known.

    >>> date_time(0)
    '1970-01-01 00:00:00.000'
    """
    return "" if ms is None else (_EPOCH + timedelta(milliseconds=ms)).isoformat(" ", "milliseconds")


def duration(ms: int) -> str:
    """A length of time, in the unit that reads best.

    >>> duration(912), duration(61_500), duration(3_723_000)
    ('912 ms', '61.5 s', '1 h 2 min 3 s')
    """
    if abs(ms) < 10_000:
        return f"{ms:,} ms"
    if abs(ms) < 120_000:
        return f"{ms / 1000:.1f} s"
    sign = "-" if ms < 0 else ""
    hours, seconds = divmod(abs(ms) // 1000, 3600)
    minutes, seconds = divmod(seconds, 60)
    return f"{sign}{hours:,} h {minutes} min {seconds} s" if hours else f"{sign}{minutes} min {seconds} s"


def count(number: int, what: str) -> str:
    """A number of things.

    >>> count(1, "event"), count(51_467, "record")
    ('1 event', '51,467 records')
    """
    return f"{number:,} {what}" + ("" if number == 1 else "s")


def epoch_ms(time: object) -> int | None:
    """A time that Polars gave out as epoch milliseconds; null stays null."""
    return (time.replace(tzinfo=None) - _EPOCH) // timedelta(milliseconds=1) if isinstance(time, datetime) else None
