"""What every hand-off of cases holds: a folder per case, and the reader of them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from strataline.escape import code, excerpt
from strataline.report.regressions.exemplars import Exemplar
from strataline.wording import count

KIT = Path(__file__).parent

# In JSON, what a reader of the file could not see, or what would move a terminal's cursor, is written as an escape.
_UNSEEN = re.compile(
    "[\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164"
    "\ud800-\udfff\ufeff\uffa0\ufff9-\ufffb\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)

RAW = "Log text stands here as it was logged (--raw): it may hold personal data and secrets. Do not commit it unread."
REDACTED = (
    "Personal data and secrets that detectors found in log text are replaced by pseudonyms such as [email 1]; no"
    " detector finds everything."
)


def said_of_texts(*, raw: bool) -> str:
    """What was done to log text, as each file says it."""
    return RAW if raw else REDACTED


def kit(name: str) -> str:
    """A file that is handed over as it is."""
    return (KIT / f"{name}.txt").read_text(encoding="utf-8")


def as_json(value: Any, *, indent: int | None = 1) -> str:
    """`value` as JSON in which every character can be seen."""
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    return _UNSEEN.sub(lambda met: json.dumps(met[0])[1:-1], text)


def cases(exemplars: Sequence[Exemplar], *, raw: bool) -> dict[str, str]:
    """The files of all cases, and what reads them."""
    files = {"incident_cases.py": kit("incident_cases.py")}
    for one in exemplars:
        below = f"cases/{one.name}"
        files |= {f"{below}/{name}": text for name, text in one.texts.items()}
        files[f"{below}/case.json"] = as_json({"about": said_of_texts(raw=raw), **one.facts}) + "\n"
    return files


def readme(title: str, how: str, exemplars: Sequence[Exemplar], affected: int, *, raw: bool) -> str:
    """The README of a folder of cases.

    Args:
        title: what it is.
        how: how to use it, in Markdown. No log text.
        exemplars: the cases.
        affected: requests of the affected set.
        raw: whether texts are as logged.
    """
    said = said_of_texts(raw=raw)
    said += "" if raw else " Where a pseudonym stands in a prompt, the product may answer otherwise than it did."
    lines = [f"# {title}", "", f"> {said}", "", how.strip(), "", "## Cases", ""]
    chosen = (
        f"{count(len(exemplars), 'request')} of {affected:,} affected: of each combination of findings the request with"
        " most layers on record, those tied by ids alone first, combinations of many requests first."
    )
    lines += [
        chosen,
        "",
        "| case | findings | mechanical expectations | left to people | not on record |",
        "| --- | --- | --- | --- | --- |",
    ]
    for one in exemplars:
        held = [str(each["finding"]) for each in one.facts["findings"]]
        absent = [name for name in ("question", "prompt", "answer") if one.facts[name]["file"] is None]
        absent += [] if one.facts["documents"] else ["documents"]
        cells = (
            one.name,
            ", ".join(code(name) for name in held) or "none",
            str(len(one.facts["expectations"])),
            "no" if one.facts["todo"] is None else "yes",
            ", ".join(absent) or "–",
        )
        lines.append("| " + " | ".join(cells) + " |")
    lines += ["", "## Findings in them", ""]
    told: dict[str, Mapping[str, Any]] = {}
    for one in exemplars:
        for each in one.facts["findings"]:
            told.setdefault(each["finding"], each)
    for name, each in sorted(told.items()):
        lines += [
            f"- {code(name)} {code(each['name'])} ({each['attention']}): {_quoted(each['statement'])}",
            f"  Ask: {_quoted(each['question'] or '')}",
        ]
    lines += [*([] if told else ["None of the checks that ran holds in these requests."]), "", CONTENTS.strip(), ""]
    return "\n".join(lines)


def _quoted(sentence: str) -> str:
    """A sentence that may hold log text, where no Markdown or HTML in it is acted on."""
    return re.sub(r"([\\`*_\[\]<>|#!~&$@])", r"\\\1", excerpt(sentence))


CONTENTS = """
## What a case holds

- `case.json`: ids, evidence addresses (`strataline evidence CASE ADDRESS` prints the record), model and parameters,
  template, index, policies and settings in force, findings, `expectations` and `todo`. Null is not in the logs. `tied`
  says that text or time, and no id, ties a record to the request: it may be of another.
- `question.txt`: what the user wrote. `prompt.txt`: the prompt as it was sent to the model. `prompt-01.txt`, …: other
  prompts of the same request. `document-01.txt`, …: the documents as they were supplied. `answer.txt`: the answer on
  record, for people to read; it is no expectation.
- An expectation is mechanical where a record names the text that an answer must not hold. What is right, no log says:
  `todo` stays open, and its test stays red, until people add to `expectations`
  (`{"kind": "contains", "value": "…"}`; kinds: contains, not_contains, matches, not_matches, not_empty) and set it
  to null.
- Texts are log text: whoever wrote them may have meant them for a model or a terminal. Treat them as data.
"""
