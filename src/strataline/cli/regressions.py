"""The command that hands an incident over to those who keep it from coming back unseen."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from strataline.cli.examine import (
    CHECKS_DIR,
    DECLARED,
    FORMATS,
    HELP,
    SELECTING,
    affected_options,
    declared_in,
    examined,
)
from strataline.cli.known import HAND_OFFS, HANDED
from strataline.cli.redaction import redact_options, redactor
from strataline.cli.terminal import CASE, COMPLAINT, INPUTS
from strataline.errors import CaseError
from strataline.escape import printable
from strataline.wording import count

if TYPE_CHECKING:
    from strataline.report.regressions import HandOff

STATUS = """
\b
Exit status: 0 done; 1 done with a complaint (texts that could not be read); 2 nothing
written (usage, no such case, a selection that names nothing, a folder that holds
something).
"""


def register(group: click.Group) -> None:
    """Add the command of this module to `group`."""
    group.add_command(regressions)


@click.command(epilog=SELECTING + STATUS, context_settings=HELP)
@CASE
@affected_options
@click.option(
    "--to",
    "target",
    type=click.Choice(HAND_OFFS),
    default=HAND_OFFS[0],
    show_default=True,
    help="pytest, promptfoo and inspect hold requests to ask again; trace-invariants holds checks over later logs.",
)
@click.option(
    "--raw", is_flag=True, help="Leave log text as logged, with the personal data and secrets that may be in it."
)
@redact_options
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=HANDED,
    show_default=True,
    metavar="N",
    help="How many of the affected requests, at most.",
)
@CHECKS_DIR
@DECLARED
@click.option(
    "--content/--no-content",
    default=True,
    show_default=True,
    help="Whether checks may read whole texts, from the inputs. The texts of the requests are read in any case.",
)
@FORMATS
@INPUTS
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), metavar="DIR", help="A folder: new, or empty."
)
def regressions(
    case: Path,
    selectors: tuple[str, ...],
    chosen_by: str | None,
    baseline: str,
    target: str,
    raw: bool,
    key: Path | None,
    fields: tuple[str, ...],
    limit: int,
    folders: tuple[Path, ...],
    declared: Path | None,
    content: bool,
    formats: tuple[Path, ...],
    inputs: Path | None,
    output: Path,
) -> None:
    """Hand affected requests over as tests: exact prompt, frozen context, what was in force, what was found.

    \b
    strataline regressions CASE --affected check:F-03 -o tests/incident
    strataline regressions CASE --affected @ids.txt --to promptfoo -o evals/incident
    strataline regressions CASE --affected check:F-03 --to trace-invariants -o gate

    What the product is to answer is left open, as a test that fails, but for what a record itself says must not be
    shown.
    """  # noqa: D301 - \b keeps click from folding the lines
    from strataline.case import Case
    from strataline.examine import CHECKS, catalogue
    from strataline.report.regressions import hand_off

    if not selectors:
        raise click.UsageError("say which requests: --affected SELECTOR")
    _refuse_what_holds_something(output)
    made_of = redactor(not raw, key, fields, off="with --raw")
    opened = Case.open(case, inputs)
    checks = catalogue(folders)
    options: dict[str, Any] = {"checks": checks, "declared": declared_in(declared)}
    found = examined(opened, selectors, chosen_by, baseline, **options, content=content, formats=formats)

    def texts(events: Iterable[str]) -> Mapping[str, Any]:
        return opened.texts(events, formats)

    shipped = {one.id for one in CHECKS}
    made = hand_off(
        found,
        opened.frames,
        texts,
        target,
        redact=None if made_of is None else made_of.text,
        limit=limit,
        own={one.id for one in checks} - shipped,
    )
    _write(made, output)
    _say(made, target, raw=raw)
    sys.exit(COMPLAINT if made.unread else 0)


def _refuse_what_holds_something(folder: Path) -> None:
    """What people wrote into an earlier hand-off is not written over."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise CaseError("something is there already", path=str(folder), hint="-o names a new or empty folder")


def _write(made: HandOff, folder: Path) -> None:
    try:
        for name, text in made.files.items():
            file = folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            # As bytes: line ends in log text are part of it.
            file.write_bytes(text.encode("utf-8", "backslashreplace"))
    except OSError as problem:
        raise CaseError(f"cannot write: {problem.strerror}", path=str(problem.filename)) from problem


def _say(made: HandOff, target: str, *, raw: bool) -> None:
    if target == "trace-invariants":
        click.echo(f"{count(len(made.files), 'file')}; checks.txt holds the requirements")
    else:
        expected = sum(len(one.facts["expectations"]) for one in made.exemplars)
        open_ = sum(one.facts["todo"] is not None for one in made.exemplars)
        click.echo(
            f"{count(len(made.exemplars), 'request')} of {made.affected:,} affected; "
            f"{count(expected, 'mechanical expectation')}; {count(open_, 'case')} left to people"
        )
        if len(made.exemplars) < made.affected:
            click.echo(f"--limit {made.affected} hands all of them over")
    if raw:
        click.echo("strataline: --raw: texts are as logged, and may hold personal data and secrets", err=True)
    for why, events in sorted(made.unread.items()):
        click.echo(f"strataline: texts of {count(events, 'event')} could not be read: {printable(why)}", err=True)
