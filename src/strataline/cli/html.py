"""The offline page of a case: one HTML file that opens without a network, for people who read no terminal."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click

from strataline.cli.arguments import Moment
from strataline.cli.examine import (
    CHECKS_DIR,
    DECLARED,
    FEED,
    HELP,
    SELECTING,
    affected_options,
    declared_in,
    examined,
)
from strataline.cli.known import DRAWN
from strataline.cli.redaction import redact_options, redaction
from strataline.cli.terminal import CASE, INPUTS, OVERWRITE, refuse_to_overwrite
from strataline.errors import CaseError
from strataline.escape import printable
from strataline.wording import count

STATUS = """
\b
Exit status: 0 done; 2 nothing written (usage, no such case, a selection that names
nothing, a file that is there already or cannot be written).
"""


def write(target: Path, page: str) -> None:
    """Write a page, and say how large it is.

    Raises:
        CaseError: if it cannot be written.
    """
    made = page.encode()
    try:
        target.write_bytes(made)
    except OSError as problem:
        raise CaseError(f"cannot write: {problem.strerror or problem}", path=str(target)) from problem
    click.echo(f"{count(len(made), 'byte')}: {printable(str(target))}", err=True)


def register(group: click.Group) -> None:
    """Add the command of this module to `group`."""
    group.add_command(html)


@click.command(epilog=SELECTING + STATUS, context_settings=HELP)
@CASE
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), metavar="FILE", help="Where to write the page."
)
@OVERWRITE
@affected_options
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    default=DRAWN,
    show_default=True,
    metavar="N",
    help="How many requests to draw; the page says how many it leaves out.",
)
@click.option("--title", default="Incident record", show_default=True, metavar="TEXT", help="Heading of the page.")
@click.option("--redact/--no-redact", default=True, show_default=True, help="Replace personal data in log text.")
@redact_options
@CHECKS_DIR
@DECLARED
@FEED
@INPUTS
@click.option("--signalled", type=Moment(), metavar="TIME", help="When the team first knew, as people say.")
@click.option("--mitigated", type=Moment(), metavar="TIME", help="When the mitigation took effect, as people say.")
def html(
    case: Path,
    output: Path,
    overwrite: bool,
    selectors: tuple[str, ...],
    chosen_by: str | None,
    baseline: str,
    limit: int,
    title: str,
    redact: bool,
    key: Path | None,
    fields: tuple[str, ...],
    folders: tuple[Path, ...],
    declared: Path | None,
    feed: tuple[Path, ...],
    inputs: Path | None,
    signalled: datetime | None,
    mitigated: datetime | None,
) -> None:
    """Write what the records of CASE show as one offline HTML page, with the lanes of its requests to look at.

    \b
    strataline html CASE -o page.html --affected 'ui.feedback == "down"' --affected-by "on-call, retrieval"

    The page holds all that it needs and fetches nothing. It holds excerpts of the logs: make the case with
    --excerpts none for a page without them. `strataline report CASE --html FILE` is the same with the draft in it.
    """  # noqa: D301 - \b keeps click from folding the lines
    from strataline.case import Case
    from strataline.examine import catalogue

    refuse_to_overwrite(output, overwrite=overwrite)
    opened = Case.open(case, inputs)
    found = examined(
        opened,
        selectors,
        chosen_by,
        baseline,
        checks=catalogue(folders),
        declared=declared_in(declared),
        feed=feed,
        signalled=signalled,
        mitigated=mitigated,
    )
    text = opened.html(found, limit=limit, title=title, redaction=redaction(redact, key, fields))
    write(output, text)
