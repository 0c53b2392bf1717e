"""The lint of a draft that people edited: places to look at, and what may be written instead.

It rewrites nothing, counts nothing by author, and gives no score. It reads words and forms, not meaning: what it finds
is a question, and a waiver (``<!-- lint-ok RULE reason -->``) is an answer, which is listed.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cache
from typing import Any

from strataline.report.draft import template
from strataline.report.lint import claims as claim_rules, parts, texts
from strataline.report.lint.claims import Hit
from strataline.report.lint.reading import APPENDICES, Document, read
from strataline.report.lint.rules import LEVELS, RULES, Found, Rule
from strataline.report.lint.words import words
from strataline.report.marks import OPEN

__all__ = ["LEVELS", "RULES", "Found", "Linted", "Rule", "Waiver", "lint"]

_WAIVER = re.compile(r"<!--\s*lint-ok\s+(?P<rule>L-[A-Z][0-9]{2})\s*(?P<reason>.*?)\s*-->", re.DOTALL)
_LONGEST = 120
_DOWN = re.compile(r"\b(?:outages?|(?:was|were|is|went|completely) down|downtime)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Waiver:
    """A place where people said that a rule does not apply.

    Args:
        rule: id of the rule.
        reason: as they gave it; a waiver without one is not honoured.
        line: from 1.
        used: whether anything was found there.
    """

    rule: str
    reason: str
    line: int
    used: bool


@dataclass(frozen=True)
class Linted:
    """What the lint says of a document.

    Args:
        found: in order of place; waived ones among them.
        waivers: in order of place.
        not_run: rules that could not run, or not in full, and why.
    """

    found: list[Found]
    waivers: list[Waiver]
    not_run: list[tuple[str, str]]

    @property
    def errors(self) -> int:
        """How many findings are errors that nobody waived."""
        return sum(one.level == "E" and one.waiver is None for one in self.found)


def lint(
    text: str,
    claims: Mapping[str, Any] | None = None,
    *,
    final: bool = False,
    roster: Sequence[str] = (),
    on: date | None = None,
) -> Linted:
    """Lint a document.

    Args:
        text: the Markdown.
        claims: its sidecar; without it the rules about claims cannot run, which is said.
        final: whether open placeholders are errors.
        roster: names of people, which stand in no document but as owners and in the sign-off.
        on: the day of publication; without it nothing says how late it is.
    """
    document = read(text, claims)
    opened = set(parts.placeholders(document, _required()))
    hits = opened.union(*_hits(document, roster, on))
    waivers = list(_waivers(document))
    starts = [block.start for block in document.blocks]
    found = []
    for hit in sorted(hits, key=lambda hit: (hit[1], hit[0], hit[2], hit[3])):
        rule, start, end, message = hit
        line, column = document.place(start)
        place = bisect_right(starts, start) - 1
        waiver = next((number for number, (one, a, b) in enumerate(waivers) if _waives(one, a, b, hit)), None)
        if waiver is not None:
            one, a, b = waivers[waiver]
            waivers[waiver] = replace(one, used=True), a, b
        found.append(
            Found(
                rule,
                RULES[rule].level if final or hit not in opened else "I",
                line,
                column,
                _short(document.text[start:end]),
                message,
                RULES[rule].suggestion,
                document.blocks[place].section if place >= 0 else "",
                None if waiver is None else waivers[waiver][0].reason,
            )
        )
    return Linted(found, [one for one, _, _ in waivers], list(_not_run(document, roster, on)))


@cache
def _required() -> frozenset[str]:
    """Keys of the placeholders that every draft has; of actions there may be any number."""
    return frozenset(
        found["key"] for found in OPEN.finditer(template("").text) if not found["key"].startswith("action_")
    )


def _short(text: str) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= _LONGEST else plain[: _LONGEST - 1] + "…"


def _hits(document: Document, roster: Sequence[str], on: date | None) -> Iterator[Iterator[Hit]]:
    """What every rule finds, open placeholders apart."""
    yield _words(document)
    yield texts.people(document, roster)
    yield texts.personal(document)
    yield texts.live(document)
    for rule in (claim_rules.unmarked, claim_rules.changed, claim_rules.worded, claim_rules.told_by_itself):
        yield rule(document)
    for rule in (parts.missing, parts.versions, parts.kept_by_people, parts.remainder, parts.conditions):
        yield rule(document)
    for rule in (parts.timelines, parts.follow_ups, parts.luck, parts.acronyms):
        yield rule(document)
    if on is not None:
        yield parts.late(document, on)


def _words(document: Document) -> Iterator[Hit]:
    delivered = _delivered(document)
    for block in document.blocks:
        for rule, (start, end) in words(block):
            said = " ".join(block.prose[start:end].split())
            yield rule, block.start + start, block.start + end, f"{said!r}: {RULES[rule].detects.partition(':')[0]}"
        if delivered is not None and delivered > 0.5 and not block.quoted and block.section not in APPENDICES:
            for found in _DOWN.finditer(block.prose):
                at = block.start + found.start()
                yield (
                    "L-A03",
                    at,
                    at + len(found[0]),
                    f"{found[0]!r}, while {delivered:.0%} of the answers were delivered",
                )


def _delivered(document: Document) -> float | None:
    """The share of the affected requests whose answer was delivered, as the impact table has it; null if unknown."""
    tiers: dict[str, int] = {}
    for claim in (document.claims or {}).get("claims") or ():
        cells = [cell.strip() for cell in str(claim["text"]).strip("|").split("|")]
        if (
            claim["section"] == "2"
            and len(cells) > 3
            and cells[1] == "requests"
            and cells[3].replace(",", "").isdecimal()
        ):
            tiers[cells[0]] = int(cells[3].replace(",", ""))
    exposed = tiers.get("exposed")
    return tiers["delivered"] / exposed if exposed and "delivered" in tiers else None


def _waivers(document: Document) -> Iterator[tuple[Waiver, int, int]]:
    """Each waiver, and the place that it speaks of: the block that it stands in, else the one that follows it."""
    text = document.text
    for found in _WAIVER.finditer(text):
        at = found.start()
        inside = [block for block in document.blocks if block.start <= at < block.end]
        if inside and inside[-1].kind == "code":
            continue
        block = inside[-1] if inside else next((one for one in document.blocks if one.start >= at), None)
        line, _ = document.place(at)
        scope = (block.start, block.end) if block else (at, at)
        yield Waiver(found["rule"], " ".join(found["reason"].split()), line, used=False), *scope


def _waives(waiver: Waiver, start: int, end: int, hit: Hit) -> bool:
    """Whether a waiver speaks of a finding: of what the whole document lacks, which has no place, any waiver does."""
    return waiver.rule == hit[0] and bool(waiver.reason) and (start <= hit[1] < end or hit[1] == hit[2] == 0)


def _not_run(document: Document, roster: Sequence[str], on: date | None) -> Iterator[tuple[str, str]]:
    if document.claims is None:
        why = "no claims.json stands beside the document"
        yield from ((rule, why) for rule in ("L-K02", "L-K04"))
        if document.drafted:
            yield "L-K01", f"not in generated parts: {why}"
            yield "L-S05", f"only whether the paragraph is there: {why}"
    if _delivered(document) is None:
        yield "L-A03", "no claim says how many answers were delivered"
    if not roster:
        yield "L-N01", "names of people are not known without --roster; addresses and handles are"
    if on is None:
        yield "L-M08", "how late the document is, is not known without --on; acronyms are"
