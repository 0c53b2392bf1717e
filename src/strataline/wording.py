"""Words for sentences about an incident: those that no output uses, and the sentences that every output shares."""

from __future__ import annotations

import re

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

_BANNED = re.compile(r"\b(?:" + "|".join(re.escape(word) for word in BANNED) + r")\b", re.IGNORECASE)


def banned(sentence: str) -> list[str]:
    """The words of `sentence` that no sentence about an incident uses, in its order.

    >>> banned("The deploy led to errors.")
    ['led to']
    """
    return [found.group().lower() for found in _BANNED.finditer(sentence)]
