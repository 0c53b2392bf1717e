"""Words that outputs share: those they never use, the fixed sentences, and how times and counts are written."""

from __future__ import annotations

import re
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

ASSOCIATION = "Association in these logs. It does not show effect, and absent fields cannot appear here."

MEASURED = (
    "Of a request the largest of its numbers; greater: in how many of all pairs that of the first set is, ties half. "
    "Association in these logs, and partly what became of the requests."
)

_BANNED = re.compile(r"\b(?:" + "|".join(re.escape(word) for word in BANNED) + r")\b", re.IGNORECASE)


def banned(sentence: str) -> list[str]:
    """The words of `sentence` that no sentence about an incident uses, in its order.

    >>> banned("The deploy led to errors.")
    ['led to']
    """
    return [found.group().lower() for found in _BANNED.finditer(sentence)]


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


def length(ns: int) -> str:
    """A length of time given in nanoseconds, without its sign.

    >>> length(157_000), length(-24_612_500), length(4_196_872_250), length(25_200_000_000_000)
    ('157 us', '24.6 ms', '4.197 s', '7 h 0 min 0 s')
    """
    ns = abs(ns)
    if ns < 1_000_000:
        return f"{ns / 1000:.3g} us"
    if ns < 1_000_000_000:
        return f"{ns / 1_000_000:.3g} ms" if ns < 999_500_000 else "1 s"
    return f"{ns / 1_000_000_000:.3f} s" if ns < 120_000_000_000 else duration(ns // 1_000_000)


def offset(ns: int) -> str:
    """How far a clock is ahead, with its sign.

    >>> offset(4_196_872_250), offset(-283_812_500), offset(0), offset(-25_200_000_000_000)
    ('+4.197 s', '-0.284 s', '0', '-7 h 0 min 0 s')
    """
    if ns == 0:
        return "0"
    sign = "+" if ns > 0 else "-"
    return f"{sign}{abs(ns) / 1e9:.3f} s" if abs(ns) < 120_000_000_000 else f"{sign}{duration(abs(ns) // 1_000_000)}"


def chance(share: float) -> str:
    """How sure something is, never rounded up: what is not certain never reads as 1.

    >>> chance(1.0), chance(0.978828), chance(0.999999), chance(0.000537)
    ('1', '0.978', '0.999', 'under 0.001')
    """
    if share >= 1:
        return "1"
    cut = int(share * 1000 + 1e-9)
    return f"{cut / 1000:g}" if cut else "under 0.001"


def count(number: int, what: str) -> str:
    """A number of things.

    >>> count(1, "event"), count(51_467, "record")
    ('1 event', '51,467 records')
    """
    return f"{number:,} {what}" + ("" if number == 1 else "s")


def figure(number: float) -> str:
    """A measured number, in as many digits as one reads.

    >>> [figure(one) for one in (0.0, 0.00123456, 36.0, 17.4015, 1302.77, -8.25)]
    ['0', '0.00123', '36', '17.4', '1,303', '-8.25']
    """
    if abs(number) >= 1000 or number == round(number):
        return f"{number:,.0f}"
    return f"{number:.3g}"


def epoch_ms(time: object) -> int | None:
    """A time that Polars gave out as epoch milliseconds; null stays null."""
    return (time.replace(tzinfo=None) - _EPOCH) // timedelta(milliseconds=1) if isinstance(time, datetime) else None
