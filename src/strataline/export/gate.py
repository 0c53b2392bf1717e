"""Requirements on findings: met or not, as text, JSON, JUnit XML and SARIF."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any
from xml.etree import ElementTree as ET

import polars as pl

from strataline.errors import CheckError
from strataline.escape import excerpt, printable
from strataline.export.page import Page
from strataline.wording import count


@dataclass(frozen=True)
class Result:
    """Whether one requirement is met.

    Args:
        check: id of the check.
        name: its name.
        limit: how many requests it may hold in.
        count: how many it holds in; null where it could not run.
        evaluable: how many it could be asked of; null likewise.
        met: null where the check could not run.
        statements: what it found, as sentences.
        addresses: evidence of what it found.
        requests: exemplar requests.
        reason: why it could not run.
    """

    check: str
    name: str
    limit: int
    count: int | None
    evaluable: int | None
    met: bool | None
    statements: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    requests: tuple[str, ...] = ()
    reason: str | None = None


def limits(required: Iterable[str], known: set[str]) -> dict[str, int]:
    """Requirements as they are written on the command line: ``F-01=0,F-02=0``.

    Raises:
        CheckError: if one is not ``ID=N``, names no check, or names one twice with two numbers.
    """
    found: dict[str, int] = {}
    for one in (part.strip() for text in required for part in text.split(",")):
        name, _, number = one.partition("=")
        if not number.strip().isdecimal():
            raise CheckError(f"{one!r} is no requirement", hint="--require F-01=0")
        if name not in known:
            raise CheckError(f"no check is called {name!r}", hint="docs/checks.md lists them")
        if found.setdefault(name, int(number)) != int(number):
            raise CheckError(f"{name} is required twice, with two numbers")
    return found


def results(findings: pl.DataFrame, required: Mapping[str, int]) -> list[Result]:
    """Each requirement and whether it is met, in order of the id.

    Args:
        findings: `event.FINDINGS` of at least the required checks.
        required: check id → how many requests it may hold in. Of a check with several findings the largest counts.
    """
    made = []
    for check, limit in sorted(required.items()):
        of = findings.filter(pl.col("check") == check).to_dicts()
        fired = [row for row in of if row["result"] == "fired"]
        if not of or of[0]["result"] == "not_evaluable":
            reason = of[0]["reason"] if of else "it was not run"
            made.append(Result(check, of[0]["name"] if of else "", limit, None, None, None, reason=reason))
            continue
        most = max((row["count"] for row in fired), default=0)
        made.append(
            Result(
                check,
                of[0]["name"],
                limit,
                most,
                max((row["evaluable"] or 0) for row in of),
                most <= limit,
                tuple(row["statement"] for row in fired),
                tuple(place for row in fired for place in row["addresses"]),
                tuple(one for row in fired for one in row["requests"]),
            )
        )
    return made


def listed(found: Sequence[Result]) -> dict[str, Any]:
    """The results as one JSON object."""
    return {"met": all(one.met for one in found), "requirements": [asdict(one) for one in found]}


def page(found: Sequence[Result], *, width: int | None = None, colour: bool = False) -> str:
    """The results as text: a line for each, and what was found where one is not met."""
    page = Page(width, colour)
    words = {True: "met", False: "not met", None: "unknown"}
    text: list[str] = []
    for one in found:
        numbers = one.reason or f"{count(one.count or 0, 'request')} of {one.evaluable or 0:,}, at most {one.limit:,}"
        text += page.fold([(f"{words[one.met]:<8} {one.check:<6} ", "strong")], [(one.name, ""), (numbers, "")], 16)
        if one.met is False:
            for sentence in one.statements:
                text += page.prose([(" " * 16, "")], excerpt(sentence))
            text += page.fold([(" " * 16, "")], [(place, "dim") for place in one.addresses[:4]], 16)
    return "\n".join(text) + "\n"


def junit(found: Sequence[Result]) -> str:
    """The results as JUnit XML: one test case per requirement; a check that could not run is skipped."""
    suite = ET.Element(
        "testsuite",
        name="strataline check",
        tests=str(len(found)),
        failures=str(sum(one.met is False for one in found)),
        skipped=str(sum(one.met is None for one in found)),
        errors="0",
    )
    for one in found:
        case = ET.SubElement(suite, "testcase", classname="strataline", name=f"{one.check} {one.name} <= {one.limit}")
        if one.met is None:
            ET.SubElement(case, "skipped", message=printable(one.reason or ""))
        elif not one.met:
            failure = ET.SubElement(case, "failure", message=f"{one.count} requests, at most {one.limit}")
            lines = [*one.statements, *(f"evidence {place}" for place in one.addresses)]
            failure.text = "\n".join(excerpt(line) for line in lines)
    root = ET.Element("testsuites")
    root.append(suite)
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def sarif(found: Sequence[Result], findings: pl.DataFrame) -> str:
    """The results as SARIF 2.1.0: a rule per check, a result per evidence address of what is not met."""
    questions = dict(findings.select("check", "question").unique("check", keep="first").iter_rows())
    rules = [
        {"id": one.check, "name": one.name, "help": {"text": questions.get(one.check) or one.name}} for one in found
    ]
    made = []
    for place, one in enumerate(found):
        if one.met is not False:
            continue
        locations = [_location(where) for where in dict.fromkeys(one.addresses)]
        for sentence in one.statements:
            result = {"ruleId": one.check, "ruleIndex": place, "level": "error", "locations": locations}
            made.append({**result, "message": {"text": excerpt(sentence)}})
    run = {"tool": {"driver": {"name": "strataline", "rules": rules}}, "results": made}
    schema = "https://json.schemastore.org/sarif-2.1.0.json"
    return json.dumps({"$schema": schema, "version": "2.1.0", "runs": [run]}, indent=1, ensure_ascii=False) + "\n"


def _location(where: str) -> dict[str, Any]:
    source, _, line = where.rpartition(":")
    physical: dict[str, Any] = {"artifactLocation": {"uri": printable(source).replace(" ", "%20")}}
    if line.isdecimal():
        physical["region"] = {"startLine": int(line)}
    return {"physicalLocation": physical}
