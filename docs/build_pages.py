"""Write ``docs/tables.md`` and ``docs/formats.md`` from what the code declares; ``--check`` only compares.

Usage: ``python docs/build_pages.py [--check]``. With ``--check``, exit status 1 means that one is out of date.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from strataline.event import EXAMINED, LAYERS, REASONS, TABLES
from strataline.examine import ATTENTION, CHECKS, Check
from strataline.examine.text import FAMILIES
from strataline.format import Format
from strataline.parse import catalogue

DOCS = Path(__file__).parent
TABLES_HEAD = """\
# The tables of a case

A case folder holds one Parquet file for each table below but the last five, and `strataline.reconstruct` returns the
same tables as `pyarrow.Table`s; findings, hits, changes, contrasts and measures are what an examination makes of them.
Times are UTC nanoseconds. Null means *not known*, never zero or empty.

This page is made from `src/strataline/event.py` by `python docs/build_pages.py`.
"""

REJECTS = """\
## Reasons of rejects

| `reason` | meaning | what can be done |
| --- | --- | --- |"""

FORMATS_HEAD = """\
# The catalogue

What Strataline knows at sight: {count} formats, {verified} of them with a record behind them that such a system, or its
vendor's page, wrote (*verified*); the others follow a schema alone, and say so. `strataline formats` prints this list,
`strataline recognise LOGS` what your files are. A log that is not here is read by guesses, each of them a note of the
case (`generic_json`, `generic_text`); [writing formats](writing-formats.md) describes how to teach it for good.

A record is given to the most specific format whose marks it carries, whatever else its file holds. Rows of CSV,
Parquet, Arrow and SQLite are read as JSON objects, and wrappers (docker, Kubernetes, CloudWatch, …) are taken off first
([inputs](inputs.md)): one format serves them all.

*Ids* are those by which a record can be tied to others; a session, user or tenant ties nothing by itself.

This page is made from `parsers/` by `python docs/build_pages.py`."""

COLUMNS = (
    "| format | what it is | verified | ids | cannot tell | where to get it |\n| --- | --- | --- | --- | --- | --- |"
)

CHECKS_HEAD = """\
# The checks

What `strataline examine CASE` asks of the records: {count} checks, {core} of them the core set. A check is a
declaration in `src/strataline/examine/checks/`: what it needs, its rule, the sentence that it says, and what else the
records would look like that for. It never raises on a log that lacks a field: it says so, and `strataline doctor
CASE` says which field, in which log, would let it run.

| attention | read for |
| --- | --- |
{attention}

| status | means |
| --- | --- |
| OBS | stands in a record |
| DER | computed from records that are joined by explicit ids |
| INF | needed a heuristic: records joined by text or time, or a pattern in a text |
| UNK | no record, so the check could not run |

The order of findings is that of reading: attention, then users, then requests. There is no score and no weight in it,
and no check says what an outcome came from, who answers for it, or what anyone meant.

*Needs* are `layer.column` of [the events](tables.md#events). *Content* checks read whole texts from the inputs
(`--content`); *baseline* checks compare an affected set with others (`--affected`). Words in braces are filled in.

## Text that resembles instructions

P-04 and R-07 look at form alone, by families. Text is folded first (NFKC, letter case, invisible marks
taken out). One of *hidden* and *scaffold* is enough, or one of a team's own (`instruction_patterns` of `--declared`);
of the others two must stand within 1,200 characters. On 9,763 pieces of benign text the rule named 6 (0.06 %), all for
something hidden; by itself a family names up to 0.27 %. How that was measured, and what was not (chat with people who
give a model a role): [benchmarks](../benchmarks/README.md#text-that-resembles-instructions). Of 25 texts that are
addressed to a model it tells 21. A miss is not clearance.

{families}

This page is made from the declarations by `python docs/build_pages.py`.

{own}
"""

OWN_CHECKS = """\
## Your own checks

A Python file that ends in `CHECKS = (Check(...), ...)`, in a folder that `--checks DIR` names, in
`~/.config/strataline/checks`, or in an installed package that an entry point of the group `strataline.checks` names.
It is held to the same promises when it is loaded: a known attention and status, needs that a case can have, a
sentence without words of judgement, a question. Loading a file runs it: only name folders that you trust.

```python
import polars as pl

from strataline.examine import Check, Found


def _long_answers(facts):
    answers = facts.responses.filter(pl.col("completed") & pl.col("output_chars").is_not_null())
    long = answers.filter(pl.col("output_chars") > 4000)
    hits = long.group_by("request", maintain_order=True).agg(events=pl.col("event_id"))
    return [Found(hits, answers["request"])]


CHECKS = (
    Check(
        id="O-1",
        name="long-answer",
        layers=("model",),
        attention="CX",
        status="OBS",
        needs=("model.output_chars",),
        rule=_long_answers,
        statement="Answers in {{n:request}} are longer than 4,000 characters.",
        question="How long does the page show answers, and what becomes of the rest?",
    ),
)
```

`facts` gives `events`, `of(layer, kind)`, `responses`, `verdicts`, `renders`, `reached`, `requests`, `affected` and the
tables of the case as Polars frames (`src/strataline/examine/facts.py`).
"""

TITLES = {
    "prompt": "Prompts and conversations",
    "retrieval": "Retrieval",
    "model": "Models and gateways",
    "policy": "Policy filters",
    "ui": "Pages and users",
    "change": "Changes",
    "other": "Between the layers",
}


def tables_page() -> str:
    """A list of the tables, one section for each, and the reasons of rejects."""
    listed = [f"- [{table.name}](#{table.name}): {table.meaning}" for table in (*TABLES, *EXAMINED)]
    reasons = [f"| `{reason}` | {means} | {hint} |" for reason, (means, hint) in REASONS.items()]
    tables = [table.to_markdown() for table in (*TABLES, *EXAMINED)]
    return "\n".join([TABLES_HEAD, *listed, "", *tables, REJECTS, *reasons, ""])


def formats_page() -> str:
    """One section per layer, then the containers of spans and the dialects of what is in them."""
    # The files of the repository, whatever else is installed beside them.
    known = [one for name, one in catalogue().items() if (DOCS.parent / "parsers" / f"{name}.py").exists()]
    head = FORMATS_HEAD.format(count=len(known), verified=sum(one.verified for one in known))
    records = [one for one in known if one.of is None and one.items is None]
    parts = [head]
    for layer in LAYERS:
        parts += _section(TITLES[layer], [one for one in records if one.layer == layer])
    parts += _section("Containers of trace spans", [one for one in known if one.items is not None])
    parts += _section("Dialects of trace spans, each span by its own", [one for one in known if one.of is not None])
    return "\n".join([*parts, ""])


def _section(title: str, formats: list[Format]) -> list[str]:
    if not formats:
        return []
    return ["", f"## {title}", "", COLUMNS, *(_row(one) for one in formats)]


def _row(one: Format) -> str:
    ids = {i.kind for i in (*one.ids, *(i for event in one.events for i in event.ids)) if i.role == "alias"}
    layers = {event.layer or one.layer for event in one.events} - {one.layer}
    title = one.title + (f" (also {', '.join(sorted(layers))})" if layers else "")
    guesses = "guessed from its words" if one.guessed else ", ".join(f"`{kind}`" for kind in sorted(ids)) or "–"
    name = f"[`{one.name}`]({one.reference})" if one.reference.startswith("http") else f"`{one.name}`"
    cells = (name, title, "yes" if one.verified else "no", guesses, one.limits, one.export)
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def checks_page() -> str:
    """One section per group of checks, in the order of the catalogue."""
    attention = "\n".join(f"| {name} | {means} |" for name, means in ATTENTION.items())
    core = sum(check.core for check in CHECKS)
    known = "\n".join(f"| {name} | {means} |" for name, means in FAMILIES.items())
    families = f"| family | text that |\n| --- | --- |\n{known}"
    own = OWN_CHECKS.replace("{{", "{").replace("}}", "}")
    parts = [CHECKS_HEAD.format(count=len(CHECKS), core=core, attention=attention, own=own, families=families)]
    groups: dict[str, list[Check]] = {}
    for check in CHECKS:
        groups.setdefault(GROUPS.get(check.id[0], "Others"), []).append(check)
    for title, some in groups.items():
        parts += [f"## {title}", "", *(line for check in some for line in _check(check))]
    return "\n".join(parts)


def _check(check: Check) -> list[str]:
    marks = [check.attention, check.status]
    marks += ["content"] if check.content else []
    marks += ["baseline"] if check.baseline else []
    marks += [] if check.core else ["extension"]
    needs = ", ".join(f"`{need}`" for need in check.needs) or "nothing"
    lines = [f"### {check.id} {check.name}", "", f"{', '.join(marks)}; {', '.join(check.layers)}. Needs {needs}.", ""]
    lines += [f"> {check.statement}", ""]
    if check.parameters:
        lines += ["Parameters: " + ", ".join(f"{name} = {value}" for name, value in check.parameters.items()) + ".", ""]
    lines += [f"- or: {one}" for one in check.alternatives]
    return [*lines, f"- ask: {check.question}", ""]


GROUPS = {
    "P": "Prompt",
    "R": "Retrieval",
    "M": "Models and gateways",
    "F": "Policy filters",
    "U": "Pages and users",
    "X": "Across the layers",
    "C": "Changes and contrasts",
    "E": "Quality of the evidence",
}

PAGES: dict[str, Callable[[], str]] = {
    "tables.md": tables_page,
    "formats.md": formats_page,
    "checks.md": checks_page,
}


def main(arguments: list[str]) -> int:
    """Write the pages, or with ``--check`` compare them; return the exit status."""
    if arguments not in ([], ["--check"]):
        print("usage: python docs/build_pages.py [--check]", file=sys.stderr)
        return 2
    stale = 0
    for name, made in PAGES.items():
        page = DOCS / name
        if not arguments:
            page.write_text(made(), encoding="utf-8")
        elif not page.exists() or page.read_text(encoding="utf-8") != made():
            print(f"docs/{name} is out of date: run python docs/build_pages.py", file=sys.stderr)
            stale = 1
    return stale


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
