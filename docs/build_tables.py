"""Write ``docs/tables.md`` from the tables that ``strataline.event`` declares; ``--check`` only compares.

Usage: ``python docs/build_tables.py [--check]``. With ``--check``, exit status 1 means that it is out of date.
"""

from __future__ import annotations

import sys
from pathlib import Path

from strataline.event import REASONS, TABLES

PAGE = Path(__file__).with_name("tables.md")
HEAD = """\
# The tables of a case

A case folder holds one Parquet file for each table below, and `strataline.reconstruct` returns the same tables
as `pyarrow.Table`s. Times are UTC nanoseconds. Null means *not known*, never zero or empty.

This page is made from `src/strataline/event.py` by `python docs/build_tables.py`.
"""

REJECTS = """\
## Reasons of rejects

| `reason` | meaning | what can be done |
| --- | --- | --- |"""


def page() -> str:
    """The whole page: a list of the tables, one section for each, and the reasons of rejects."""
    listed = [f"- [{table.name}](#{table.name}): {table.meaning}" for table in TABLES]
    reasons = [f"| `{reason}` | {means} | {hint} |" for reason, (means, hint) in REASONS.items()]
    tables = [table.to_markdown() for table in TABLES]
    return "\n".join([HEAD, *listed, "", *tables, REJECTS, *reasons, ""])


def main(arguments: list[str]) -> int:
    """Write the page, or with ``--check`` compare it; return the exit status."""
    if arguments == ["--check"]:
        current = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
        if current != page():
            print(f"docs/{PAGE.name} is out of date: run python docs/build_tables.py", file=sys.stderr)
            return 1
        return 0
    if arguments:
        print("usage: python docs/build_tables.py [--check]", file=sys.stderr)
        return 2
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
