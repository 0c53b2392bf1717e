"""What a finding says, without a judgement, that an answer must not hold; everything else is left to people.

An expectation is mechanical where a record names the very text: the answer that a filter stopped, the host that a
displayed link points to, the string that came from an instruction-like passage. What the right answer is, no log says.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from strataline import rows

Row = Mapping[str, Any]

LEAST = 20
"""Characters of a stopped text, from which on no other answer holds it by chance."""

STOPS = {"F-01": ("block",), "F-03": ("block",), "F-04": ("block",), "F-05": ("redact",)}
"""Checks whose hits name a verdict that stops a text, and the verdicts."""

_OF_PEOPLE = "what is right here is for people to say"
_OF_LOGS = "an answer alone does not show it; --to trace-invariants asks the logs of other days"

_INVISIBLE = re.compile("[\xad\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\U000e0000-\U000e007f]")
_HOST = re.compile(r"https?://(?:[^\s/?#@)\]>\"'`]*@)?([^\s/?#:)\]>\"'`]+)")


@dataclass(frozen=True)
class Expectation:
    """What an answer must hold, or must not.

    Args:
        kind: contains, not_contains, matches, not_matches or not_empty, as ``incident_cases.py`` judges them.
        value: the text or pattern; empty for not_empty. Log text as it is.
        finding: id of the finding that it follows from.
        basis: what the records say, as a sentence. Log text as it is.
    """

    kind: str
    value: str
    finding: str
    basis: str

    def listed(self) -> dict[str, str]:
        """As a case's file holds it."""
        return asdict(self)


@dataclass(frozen=True)
class Recorded:
    """What is on record of one request, as expectations look at it.

    Args:
        events: event id → row of ``events``.
        texts: event id → its texts (``input``, ``output``, ``passages``).
        answer: the answer as recorded; empty where no record holds it.
        question: what the user wrote; empty likewise.
        passages: the texts of the documents.
    """

    events: Mapping[str, Row]
    texts: Mapping[str, Any]
    answer: str
    question: str
    passages: Sequence[str]


def folded(text: str) -> str:
    r"""`text` as it is compared: NFKC, lower case, no invisible characters, white space as one space.

    >>> folded("Evil\u200b.EXAMPLE\n now")
    'evil.example now'
    """
    return " ".join(_INVISIBLE.sub("", unicodedata.normalize("NFKC", text)).lower().split())


def mechanical(finding: Row, events: Iterable[str], recorded: Recorded) -> list[Expectation] | str:
    """What follows from a finding for an answer to the same request.

    Args:
        finding: row of ``findings``.
        events: the events that show it in this request.
        recorded: what is on record of the request.

    Returns:
        The expectations; or, where none follows, why, as a clause.
    """
    rule = _RULES.get(finding["check"])
    if rule is None:
        return _OF_LOGS if finding["attention"] in ("RU", "SG") else _OF_PEOPLE
    shown = [recorded.events[one] for one in events if one in recorded.events]
    return rule(finding, shown, recorded)


def _stopped(finding: Row, shown: Sequence[Row], recorded: Recorded) -> list[Expectation] | str:
    wanted = STOPS[finding["check"]]
    verdicts = [one for one in shown if one["verdict"] in wanted and one["policy_stage"] != "input"]
    if not verdicts:
        return _OF_LOGS
    found: dict[str, Expectation] = {}
    for one in verdicts:
        text = _text(recorded, one["call"], "output") or _text(recorded, one["event_id"], "input")
        if len(folded(text)) >= LEAST:
            said = f"The filter recorded `{one['verdict']}` on this very text ({rows.address(one)}); another wording of"
            basis = f"{said} it is not noticed."
            found.setdefault(folded(text), Expectation("not_contains", text.strip(), finding["finding"], basis))
    return list(found.values()) or "the text that was stopped is not in the supplied logs, or too short to be told"


def _text(recorded: Recorded, event: str | None, side: str) -> str:
    return str(getattr(recorded.texts.get(event or ""), side, ""))


def _host(finding: Row, _shown: Sequence[Row], recorded: Recorded) -> list[Expectation] | str:
    host = (finding["subject"] or "").replace("[.]", ".")
    if not host or host not in folded(recorded.answer):
        return "it names no host that the answer on record holds"
    basis = "A displayed link or image of the answer on record points to this host."
    return [Expectation("not_contains", host, finding["finding"], basis)]


def _strings(finding: Row, _shown: Sequence[Row], recorded: Recorded) -> list[Expectation] | str:
    answer = folded(recorded.answer)
    named = [value for key, value in _numbered(finding, "string_") if folded(value) in answer and key]
    basis = (
        "The string stands in an instruction-like passage and in the answer on record, and nowhere else in the prompt."
    )
    found = [Expectation("not_contains", one, finding["finding"], basis) for one in named]
    return found or "it names no string that the answer on record holds"


def _scaffold(finding: Row, _shown: Sequence[Row], recorded: Recorded) -> list[Expectation] | str:
    passages = [folded(one) for one in recorded.passages]
    asked = folded(recorded.question)
    hosts = dict.fromkeys(host for _, span in _numbered(finding, "span_") for host in _HOST.findall(folded(span)))
    basis = "The instruction-like part of a supplied document names this host, and the user's text does not."
    found = [
        Expectation("not_contains", host, finding["finding"], basis)
        for host in hosts
        if any(host in one for one in passages) and host not in asked
    ]
    return found or "its instruction-like text names no host: what an answer that follows it looks like is open"


def _numbered(finding: Row, prefix: str) -> list[tuple[str, str]]:
    return [(key, value) for key, value in sorted((finding["parameters"] or {}).items()) if key.startswith(prefix)]


def _empty(finding: Row, _shown: Sequence[Row], _recorded: Recorded) -> list[Expectation] | str:
    if finding["subject"] != "empty":
        return _OF_PEOPLE
    return [Expectation("not_empty", "", finding["finding"], "The output of the model on record holds no text.")]


_RULES: Mapping[str, Callable[[Row, Sequence[Row], Recorded], list[Expectation] | str]] = {
    **dict.fromkeys(STOPS, _stopped),
    "U-07": _host,
    "X-06": _strings,
    "R-07": _scaffold,
    "M-12": _empty,
}


def todo(findings: Iterable[tuple[Row, str | None]], expectations: Sequence[Expectation]) -> str | None:
    """What people are asked to decide of a case; null where every condition found has its expectation.

    Args:
        findings: rows of ``findings`` that name a condition, and why none of `expectations` follows from each; null
            where one does.
        expectations: those of the case.
    """
    without = [(row, why) for row, why in findings if why is not None]
    if expectations and not without:
        return None
    by_reason: dict[str, list[str]] = {}
    for row, why in without:
        by_reason.setdefault(why, []).append(f"{row['finding']} {row['name']}")
    told = "; ".join(f"{', '.join(named)}: {why}" for why, named in by_reason.items())
    asked = "TODO(human): say what the product is to answer here: add it to expectations, then set todo to null."
    return f"{asked} {told}." if told else f"{asked} No check that names a condition holds in this request."
