"""What the lint found, as text, JSON, SARIF and GitHub annotations."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from strataline.escape import excerpt, printable
from strataline.report.lint import Linted
from strataline.report.lint.rules import LEVELS, RULES, Found
from strataline.wording import count

_SARIF = {"E": "error", "W": "warning", "I": "note"}
_GITHUB = {"E": "error", "W": "warning", "I": "notice"}


def as_text(linted: Linted, name: str) -> str:
    """Lines as compilers write them: place, level, rule, what is the matter, what may stand there."""
    lines = []
    said: set[str] = set()
    for one in linted.found:
        if one.waiver is not None:
            continue
        lines.append(
            f"{printable(name)}:{one.line}:{one.column}: {LEVELS[one.level]} {one.rule} {excerpt(one.message)}"
        )
        # A suggestion is read once.
        if one.rule not in said:
            said.add(one.rule)
            lines.append(f"    instead: {one.suggestion}")
    if linted.waivers:
        lines += ["", "Waived:"]
        for waiver in linted.waivers:
            state = "" if waiver.used else " (nothing was found there)" if waiver.reason else ""
            lines.append(
                f"  line {waiver.line}: {waiver.rule}: "
                f"{excerpt(waiver.reason) or 'no reason is given, so it does not count'}{state}"
            )
    if linted.not_run:
        lines += ["", "Not run, or not in full:"]
        lines += [f"  {rule}: {why}" for rule, why in linted.not_run]
    lines += ["", _sum(linted)]
    return "\n".join(lines).lstrip("\n") + "\n"


def _sum(linted: Linted) -> str:
    live = [one for one in linted.found if one.waiver is None]
    parts = [count(sum(one.level == level for one in live), word) for level, word in LEVELS.items()]
    return f"{', '.join(parts)}; {count(len(linted.found) - len(live), 'finding')} waived."


def as_json(linted: Linted, name: str) -> dict[str, Any]:
    """Everything, as one JSON object."""
    return {
        "document": name,
        "errors": linted.errors,
        "findings": [asdict(one) for one in linted.found],
        "waivers": [asdict(one) for one in linted.waivers],
        "not_run": [{"rule": rule, "reason": why} for rule, why in linted.not_run],
    }


def sarif(linted: Linted, name: str) -> str:
    """SARIF 2.1.0: a rule for each that found something, a result for each place; waived ones are suppressed."""
    ids = sorted({one.rule for one in linted.found})
    rules = [
        {
            "id": id_,
            "shortDescription": {"text": RULES[id_].detects},
            "help": {"text": RULES[id_].suggestion},
            "defaultConfiguration": {"level": _SARIF[RULES[id_].level]},
        }
        for id_ in ids
    ]
    results = [_result(one, ids.index(one.rule), name) for one in linted.found]
    run = {
        "tool": {"driver": {"name": "strataline lint", "rules": rules}},
        "columnKind": "unicodeCodePoints",
        "results": results,
    }
    schema = "https://json.schemastore.org/sarif-2.1.0.json"
    return json.dumps({"$schema": schema, "version": "2.1.0", "runs": [run]}, indent=1, ensure_ascii=False) + "\n"


def _result(one: Found, place: int, name: str) -> dict[str, Any]:
    region = {"startLine": one.line, "startColumn": one.column}
    location = {"artifactLocation": {"uri": printable(name).replace(" ", "%20")}, "region": region}
    made: dict[str, Any] = {
        "ruleId": one.rule,
        "ruleIndex": place,
        "level": _SARIF[one.level],
        "message": {"text": f"{excerpt(one.message)} Instead: {one.suggestion}."},
        "locations": [{"physicalLocation": location}],
    }
    if one.waiver is not None:
        made["suppressions"] = [{"kind": "inSource", "justification": excerpt(one.waiver)}]
    return made


def github(linted: Linted, name: str) -> str:
    """Annotations as a GitHub workflow prints them."""
    return "".join(
        f"::{_GITHUB[one.level]} file={_property(name)},line={one.line},col={one.column},title={one.rule}"
        f"::{_data(f'{excerpt(one.message)} Instead: {one.suggestion}.')}\n"
        for one in linted.found
        if one.waiver is None
    )


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(printable(text)).replace(":", "%3A").replace(",", "%2C")
