"""Rules about claims: whether what a draft states is still what the records were found to hold."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from strataline.report.lint.reading import APPENDICES, Document
from strataline.report.lint.words import vouched
from strataline.report.marks import ANCHOR, EVIDENCE, digest, numbers, visible

Hit = tuple[str, int, int, str]
"""Rule, first and last place in the text, what is the matter."""

_TOOLS = ("1", "2", "3", "3.1", "4.1", "4.2", "4.3", "4.4", "4.5", "5", "6", "7", "7.1", "8", "9", "10", "15")
"""Sections in which the tool states facts."""
_FACT = re.compile(
    r"(?<![\w.-])(?:[0-9]+(?:[.,:][0-9]+)*\s?(?:%|ms|s|min|h|users?|requests?|sessions?|answers?|events?|records?"
    r"|times|points)?"
    r"|v[0-9]+(?:\.[0-9]+)*)(?![\w-])"
    r"|\b(?:(?:was|were|is|are|has been|had been|got) (?:\w+ly )?(?:deployed|rolled back|switched|served|shown"
    r"|blocked|changed"
    r"|returned|restarted|reverted|enabled|disabled|released|delivered|rejected|answered|logged|recorded)"
    r"|started|stopped|returned|timed out|rolled back|switched|served|displayed|answered)\b",
    re.IGNORECASE,
)
_RECORD = re.compile(
    r"\b(?:recorded|records?|logged|shows?|showed|proves?|proved|confirms?|confirmed|demonstrates?)\b", re.IGNORECASE
)
_EFFECT = re.compile(r"\b(?:caused|led\s+to|because\s+of|due\s+to|resulted\s+in)\b", re.IGNORECASE)
_ROW = re.compile(r"^\|\s*(?P<id>EV-[0-9]{4,})\s*\|", re.MULTILINE)
_SELF = "E-07"


def unmarked(document: Document) -> Iterator[Hit]:
    """L-K01: facts that nobody marked, where the tool states facts. What stands in a slot is a person's word."""
    if not document.drafted and not any(block.marks for block in document.blocks):
        return
    over = False
    for block in document.blocks:
        nested = block.kind == "paragraph" and block.raw[:1].isspace()
        # A mark speaks for the list item that it begins, and what is listed under that.
        over = bool(block.marks) or (over and nested)
        if block.section not in _TOOLS or block.kind not in ("paragraph", "row") or block.quoted:
            continue
        if over or block.pristine or block.slot or (block.generated and document.claims is None):
            continue
        if block.table is not None and document.tables[block.table][0] is block:
            continue
        hit = _FACT.search(block.prose)
        if hit is not None:
            yield "L-K01", block.start + hit.start(), block.start + hit.end(), "a fact without a mark"


def changed(document: Document) -> Iterator[Hit]:
    """L-K02: claims, evidence and digests against the sidecar."""
    sidecar = document.claims
    if sidecar is None:
        return
    claims = {one["id"]: one for one in sidecar["claims"]}
    evidence: Mapping[str, Any] = sidecar.get("evidence") or {}
    text = document.text
    seen: set[str] = set()
    for found in ANCHOR.finditer(text):
        if _in_code(document, found.start()):
            continue
        start, line = _line(text, found.start())
        claim = claims.get(found["claim"])
        if claim is None:
            yield "L-K02", found.start(), found.end(), f"{found['claim']} is no claim of the sidecar"
            continue
        if found["claim"] in seen:
            yield "L-K02", found.start(), found.end(), f"{found['claim']} stands here twice"
        seen.add(found["claim"])
        stated = (found["status"], found["finding"], found["evidence"])
        was = (claim["status"], claim["finding"] or "-", ",".join(claim["evidence"]) or "-")
        seen_line = visible(line)
        if stated != was:
            yield "L-K02", found.start(), found.end(), f"{found['claim']} rested on {' '.join(was)}"
        elif digest(seen_line) != claim["sha256"] and not vouched(line):
            now, before = numbers(seen_line), claim["numbers"]
            what = f"the numbers of {found['claim']} were {', '.join(before) or 'none'}" if now != before else ""
            what = what or f"the words of {found['claim']} are not those that were drafted: {claim['text']!r}"
            yield "L-K02", start, start + len(line), what
    yield from _gone(document, [one for id_, one in claims.items() if id_ not in seen])
    yield from _cited(document, evidence)
    inputs = document.front.get("inputs_sha256")
    if inputs is not None and inputs != (sidecar.get("inputs_sha256") or ""):
        at = text.find("inputs_sha256")
        yield "L-K02", at, at + len("inputs_sha256"), "the draft and its claims are of different inputs"


def _gone(document: Document, lost: list[Mapping[str, Any]]) -> Iterator[Hit]:
    """Claims that are no longer there, by section; a section that is missing as a whole is another rule's."""
    for section in dict.fromkeys(str(one["section"]) for one in lost):
        heading = document.heading(section)
        if heading is not None:
            names = [str(one["id"]) for one in lost if str(one["section"]) == section]
            some = ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
            yield "L-K02", heading.start, heading.end, f"claims were deleted from this section: {some}"


def _cited(document: Document, evidence: Mapping[str, Any]) -> Iterator[Hit]:
    """Evidence that is cited and not in the register; rows of the register that are not what was drafted."""
    for block in document.blocks:
        if block.kind == "code" or block.quoted:
            continue
        if block.section == "A" and (row := _ROW.match(block.raw)) is not None:
            stood = evidence.get(row["id"])
            digests = re.findall(r"\b[0-9a-f]{64}\b", block.raw)
            if stood is not None and stood.get("sha256") and stood["sha256"] not in digests:
                yield "L-K02", block.start, block.end, f"the hash of {row['id']} is not that of its record"
        for found in EVIDENCE.finditer(block.raw):
            if found[0] not in evidence:
                start = block.start + found.start()
                yield "L-K02", start, start + len(found[0]), f"{found[0]} is not in the evidence register"


def worded(document: Document) -> Iterator[Hit]:
    """L-K03: inferences that people worded as records, or as effects."""
    for block in document.blocks:
        if (
            block.pristine
            or block.quoted
            or block.kind == "code"
            or not any(mark["status"] == "INF" for mark in block.marks)
        ):
            continue
        # Another mark in the paragraph begins another statement.
        for mark in block.marks:
            if mark["status"] != "INF":
                continue
            end = next((other.start() for other in block.marks if other.start() > mark.start()), len(block.prose))
            begin = 0 if block.kind == "row" else mark.end()
            for pattern in (_RECORD, _EFFECT):
                hit = pattern.search(block.prose, begin, end)
                if hit is not None:
                    said = f"an inference in the words of {'a record' if pattern is _RECORD else 'an effect'}"
                    yield "L-K03", block.start + hit.start(), block.start + hit.end(), said


def told_by_itself(document: Document) -> Iterator[Hit]:
    """L-K04: what rests on a model's word about itself alone."""
    every = (document.claims or {}).get("claims") or []
    own = {name for one in every if (one["finding"] or "").startswith(_SELF) for name in one["evidence"]}
    for block in document.blocks:
        if block.pristine or block.quoted or block.section in APPENDICES:
            continue
        for mark in block.marks:
            cited = EVIDENCE.findall(mark["rest"])
            if mark["status"] in ("OBS", "DER", "INF") and cited and set(cited) <= own and _SELF not in mark["rest"]:
                start = block.start + mark.start()
                yield "L-K04", start, start + len(mark[0]), f"{', '.join(cited)}: a model's word about itself"


def _line(text: str, at: int) -> tuple[int, str]:
    start = text.rfind("\n", 0, at) + 1
    end = text.find("\n", at)
    return start, text[start : end if end >= 0 else len(text)]


def _in_code(document: Document, at: int) -> bool:
    return any(block.kind == "code" and block.start <= at < block.end for block in document.blocks)
