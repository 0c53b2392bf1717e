"""The checks that fired, as requirements on the logs of other days.

The order of filters, the identity of caches, a filter that lets everything pass: no prompt that is asked again shows
these. Logs do.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import polars as pl

from strataline.escape import code, excerpt, printable
from strataline.report.regressions.folder import kit, said_of_texts

REQUIRED = ("RU", "SG")
"""Attention of findings that are required to be gone; of the others, people take what they want."""
OFFERED = ("DV", "CC")

HOW = """
`checks.txt` holds the requirements: at most so many requests in which a check may hold. Which of them hold, how many
requests are tolerable, and whether a red one blocks a release is for people to say: change the numbers, and take the
`#` from lines that are to hold too. Over the logs of another day, of staging or of production:

    strataline reconstruct LOGS -o CASE
    STRATALINE_CASE=CASE pytest .

`STRATALINE_OPTIONS` adds options of one machine (`--inputs`, `--formats`, `--checks`, `--declared`). The same without
pytest; exit status 3 says that a requirement is not met, 1 that a check could not run:
"""


def files(findings: pl.DataFrame, checks: Mapping[str, bool], own: Collection[str], *, raw: bool) -> dict[str, str]:
    """Path → content.

    Args:
        findings: rows of ``findings``, redacted if they are to be.
        checks: the checks that `strataline check` can run → whether each reads whole texts.
        own: those of them that are not shipped.
        raw: whether log text is as logged.
    """
    rows = [row for row in findings.iter_rows(named=True) if row["check"] in checks]
    fired = [row for row in rows if row["result"] == "fired"]
    required = _ids(fired, REQUIRED)
    offered = [one for one in _ids(fired, OFFERED) if one not in required]
    clear = _ids([row for row in rows if row["result"] == "clear"], REQUIRED)
    lines = [
        f"# {said_of_texts(raw=raw)}",
        "# ID=N: at most N requests in which check ID may hold. --option: an option of strataline check.",
        "",
    ]
    reading = [one for one in (*required, *offered, *clear) if checks[one]]
    if reading:
        option = "--content" if set(reading) & set(required) else "# --content"
        lines += [f"# {', '.join(reading)} read whole texts, and so the inputs of the case:", option, ""]
    lines += ["# Fired in the incident: reached a user against a stop, or a safeguard not evidenced.", ""]
    for one in required:
        lines += [*_told(fired, one, own), f"{one}=0", ""]
    lines += ["# Fired in the incident too: a difference, or a condition known to widen outcomes.", ""]
    for one in offered:
        lines += [*_told(fired, one, own), f"# {one}=0", ""]
    lines += ["# Ran over the incident and found nothing.", ""]
    lines += [f"# {one}=0  # {_word(rows, one)}" for one in clear]
    options = "--content " if "--content" in lines else ""
    command = f"    strataline check CASE {options}--require {','.join(f'{one}=0' for one in required) or 'ID=N'}"
    readme = [
        *("# The incident's checks, as a gate", "", f"> {said_of_texts(raw=raw)}", "", HOW.strip(), "", command, ""),
        *("| required | check | requests of the incident's logs |", "| --- | --- | --- |"),
        *(f"| {code(one + '=0')} | {code(_word(fired, one))} | {_count(fired, one):,} |" for one in required),
        *(f"| open | {code(one)} {code(_word(fired, one))} | {_count(fired, one):,} |" for one in offered),
        "",
    ]
    return {
        "README.md": "\n".join(readme),
        "checks.txt": "\n".join(lines).rstrip("\n") + "\n",
        "test_trace_invariants.py": kit("test_trace_invariants.py"),
    }


def _ids(rows: list[dict[str, object]], attention: tuple[str, ...]) -> list[str]:
    return sorted({str(row["check"]) for row in rows if row["attention"] in attention})


def _word(rows: list[dict[str, object]], check: str) -> str:
    return printable(str(next(row["name"] for row in rows if row["check"] == check)))


def _count(rows: list[dict[str, object]], check: str) -> int:
    return max(int(str(row["count"] or 0)) for row in rows if row["check"] == check)


def _told(rows: list[dict[str, object]], check: str, own: Collection[str]) -> list[str]:
    told = [
        f"# {excerpt(str(row['finding']))}: {excerpt(str(row['statement']))}" for row in rows if row["check"] == check
    ]
    return [*told, *(["# A check of your own: STRATALINE_OPTIONS='--checks DIR'."] if check in own else [])]
