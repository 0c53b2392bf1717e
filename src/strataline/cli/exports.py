"""Commands that hand a case to other tools: exports, and SQL over its tables."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from strataline.cli.completion import any_path
from strataline.cli.known import ANSWERS, TARGETS
from strataline.cli.redaction import redact_options, redactor
from strataline.cli.terminal import CASE, COMPLAINT, OVERWRITE, echo, page, refuse_to_overwrite
from strataline.errors import CaseError
from strataline.escape import printable
from strataline.wording import count

HELP = {"help_option_names": ["-h", "--help"]}
STATUS = """
\b
Exit status: 0 done; 1 done with a complaint (there was no event, or no row, to write);
2 nothing written (usage; no such case or request; a query that cannot be answered; a
file that is there already or cannot be written).
"""


def register(group: click.Group) -> None:
    """Add the commands of this module to `group`."""
    for command in (export, query):
        group.add_command(command)


@click.command(epilog=STATUS, context_settings=HELP)
@CASE
@click.option("--to", type=click.Choice(TARGETS), required=True, metavar="FORMAT", help=f"{', '.join(TARGETS)}.")
@click.option(
    "--request",
    "ids",
    multiple=True,
    metavar="ID",
    help="Only the request that ID names, by any of its ids; of a session or user, all its requests. Repeatable.",
)
@click.option(
    "--affected",
    "selectors",
    multiple=True,
    metavar="SELECTOR",
    help="Only affected requests, as strataline examine takes them. Repeatable.",
)
@click.option("--redact/--no-redact", default=False, show_default=True, help="Replace personal data in log text.")
@redact_options
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="FILE",
    shell_complete=any_path,
    help="File to write; - for standard output.",
)
@OVERWRITE
def export(
    case: Path,
    to: str,
    ids: tuple[str, ...],
    selectors: tuple[str, ...],
    redact: bool,
    key: Path | None,
    fields: tuple[str, ...],
    output: str,
    overwrite: bool,
) -> None:
    """Write the events of CASE for another tool; what each target leaves out is in docs/exports.md.

    Without --request and --affected: all events, tied to a request or not. What the target has no place for is counted
    on standard error.

    \b
    strataline export CASE --to timesketch -o case.jsonl
    strataline export CASE --to perfetto --request chatcmpl-6rQlB1eOOHBUhB7PT26P9sox -o trace.json
    strataline export CASE --to csv --affected check:F-03 -o affected.csv
    strataline export CASE --to jsonl -o - | jq .kind
    strataline export CASE --to csv --redact --redact-field customer -o to_share.csv
    """  # noqa: D301 - \b keeps click from folding the lines
    from strataline import folder
    from strataline.case import Case

    requests: list[str] | None = None
    if ids:
        opened = Case.open(case)
        found = {name: opened.which(name) for name in ids}
        for name, meant in found.items():
            if not meant:
                raise CaseError(f"no request is known by {name!r}", hint="strataline show CASE ID, or strataline find")
        requests = list(dict.fromkeys(one for meant in found.values() for one in meant))
    if selectors:
        chosen = Case.open(case).affected(selectors).requests.unique().sort().to_list()
        requests = list(dict.fromkeys([*(requests or []), *chosen]))
    refuse_to_overwrite(Path(output), overwrite=overwrite)
    hides = redactor(redact, key, fields, off="without --redact")
    shown = None if hides is None else hides.value
    made = folder.export(case, to, sys.stdout.buffer if output == "-" else output, requests, shown)
    sys.stdout.flush()
    said = count(made.events, "event") + ("" if requests is None else f" of {count(len(requests), 'request')}")
    left = "".join(f"; left out {number:,} {reason}" for reason, number in made.left_out.items())
    hidden = "" if hides is None else f"; {count(len(hides.log), 'value')} replaced by pseudonyms"
    click.echo(f"{printable(output)}: {said}{left}{hidden}", err=True)
    sys.exit(0 if made.events else COMPLAINT)


@click.command(epilog=STATUS, context_settings=HELP)
@CASE
@click.argument("sql", metavar="SQL")
@click.option(
    "--format",
    "form",
    type=click.Choice(ANSWERS),
    default="table",
    show_default=True,
    help="table is for reading; json is one object on each line.",
)
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    default=200,
    show_default=True,
    metavar="N",
    help="How many rows a table shows; the other forms have them all.",
)
@click.option(
    "-o",
    "--output",
    default="-",
    metavar="FILE",
    shell_complete=any_path,
    help="File to write.  [default: standard output]",
)
@OVERWRITE
def query(case: Path, sql: str, form: str, limit: int, output: str, overwrite: bool) -> None:
    """Ask the tables of CASE one question in SQL (DuckDB); docs/queries.md has fifteen that responders ask.

    The tables are events, requests, links, clocks, sources, rejects and notes. A query reads these and
    nothing else: no other file, no network; and it changes nothing.

    \b
    strataline query CASE "SELECT verdict, count(*) FROM events GROUP BY ALL ORDER BY ALL"
    strataline query CASE "DESCRIBE events"
    strataline query CASE "FROM requests WHERE list_contains(outcomes, 'error')" --format csv -o errors.csv
    """  # noqa: D301 - \b keeps click from folding the lines
    from strataline import folder

    refuse_to_overwrite(Path(output), overwrite=overwrite)
    if form == "table":
        text, rows = folder.query_table(case, sql, page(), limit)
        if output == "-":
            echo(text)
        else:
            with folder.written(output) as file:
                file.write(text.encode())
    else:
        rows = folder.query(case, sql, form, sys.stdout.buffer if output == "-" else output)
        sys.stdout.flush()
    if output != "-":
        click.echo(f"{printable(output)}: {count(rows, 'row')}", err=True)
    sys.exit(0 if rows else COMPLAINT)
