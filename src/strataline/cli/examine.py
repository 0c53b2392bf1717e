"""Commands that examine a case: what checks find, what they lack, what differs from a good day; checks as a gate."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from strataline.cli.arguments import Moment
from strataline.cli.completion import CaseFolder, baselines, check_ids, required_ids
from strataline.cli.terminal import CASE, COMPLAINT, INPUTS, JSON, dumped, echo, look
from strataline.errors import CheckError
from strataline.escape import printable

if TYPE_CHECKING:
    from strataline.case import Case
    from strataline.examine import Check, Examined

HELP = {"help_option_names": ["-h", "--help"]}
UNMET = 3

STATUS = """
\b
Exit status: 0 done; 2 nothing printed (usage, no such case, a selection that names
nothing, a check that does not load).
"""
GATE_STATUS = """
\b
Exit status: 0 every requirement is met; 1 a required check could not run (unless
--allow-unknown); 2 nothing done (usage, no such case or check); 3 a requirement is
not met.
"""
SELECTING = """
\b
What SELECTOR may be (several unite):
  ID                        a request, by any id of it; a session or user: all of theirs
  time:FROM..TO             requests that began within; UTC unless a zone is stated
  'ui.feedback == "down"'   requests with an event of the layer for which it holds
  check:F-03                requests in which a check holds
  text:WORDS                requests with a record that holds the words (needs the inputs)
  'sql:SELECT request …'    DuckDB over the tables of the case
  @FILE                     selectors, one on each line
"""

Command = Callable[..., Any]

CHECKS_DIR = click.option(
    "--checks",
    "folders",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder of further checks. Loading one runs its file: only name folders that you trust. Repeatable.",
)
DECLARED = click.option(
    "--declared",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="TOML file of what the team declares of its product (thresholds, limits, allowed hosts): docs/checks.md.",
)
ONLY = click.option(
    "--only",
    multiple=True,
    metavar="ID",
    shell_complete=check_ids,
    help="Run these checks alone (F-03, or F for a group). Repeatable.",
)
FEED = click.option(
    "--changes",
    "feed",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Deploy, flag or commit events: JSONL, CSV, or `git log --format='%cI %h %s'`. Repeatable.",
)


CONTENT = click.option(
    "--content/--no-content",
    default=False,
    show_default=True,
    help="Whether checks may read whole texts, from the inputs.",
)
FORMATS = click.option(
    "--formats",
    "formats",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder of formats that the case was made with, where texts are read by them. Repeatable.",
)


def affected_options(command: Command) -> Command:
    """The options that choose an affected set and what it is compared with."""
    for option in reversed(
        (
            click.option(
                "--affected", "selectors", multiple=True, metavar="SELECTOR", help="Requests that are called affected."
            ),
            click.option("--affected-by", "chosen_by", metavar="ROLE", help="Who chose them: a role, not a name."),
            click.option(
                "--baseline",
                default="others",
                show_default=True,
                metavar="SELECTOR",
                shell_complete=baselines,
                help="What they are compared with: others, before (as long, up to the first of them), same-window, or"
                " a selector.",
            ),
        )
    ):
        command = option(command)
    return command


def register(group: click.Group) -> None:
    """Add the commands of this module to `group`."""
    for command in (examine, doctor, compare, check):
        group.add_command(command)


def declared_in(file: Path | None) -> dict[str, object]:
    """What a TOML file declares; nothing without a file.

    Raises:
        CheckError: if it cannot be read, or is no TOML.
    """
    if file is None:
        return {}
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as problem:
        raise CheckError(f"cannot be read: {problem}", path=str(file)) from problem
    except tomllib.TOMLDecodeError as problem:
        raise CheckError(f"no TOML: {problem}", path=str(file)) from problem


def chosen(checks: tuple[Check, ...], only: tuple[str, ...]) -> tuple[Check, ...]:
    """Those of `checks` that `only` names, by id or group; all where it names none.

    Raises:
        CheckError: if it names one that is not there.
    """
    for name in only:
        if not any(check.id == name or check.id.split("-")[0] == name for check in checks):
            raise CheckError(f"no check or group is called {name!r}", hint="docs/checks.md lists them")
    return tuple(c for c in checks if not only or c.id in only or c.id.split("-")[0] in only)


@click.command(epilog=SELECTING + STATUS, context_settings=HELP)
@CASE
@affected_options
@ONLY
@CHECKS_DIR
@DECLARED
@FEED
@CONTENT
@FORMATS
@INPUTS
@click.option("--signalled", type=Moment(), metavar="TIME", help="When the team first knew, as people say.")
@click.option("--mitigated", type=Moment(), metavar="TIME", help="When the mitigation took effect, as people say.")
@click.option("--all", "every", is_flag=True, help="List everything: all values compared, all changes, clear checks.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="DIR", help="Also write the tables as Parquet files."
)
@JSON
def examine(
    case: Path,
    selectors: tuple[str, ...],
    chosen_by: str | None,
    baseline: str,
    only: tuple[str, ...],
    folders: tuple[Path, ...],
    declared: Path | None,
    feed: tuple[Path, ...],
    content: bool,
    formats: tuple[Path, ...],
    inputs: Path | None,
    signalled: datetime | None,
    mitigated: datetime | None,
    every: bool,
    output: Path | None,
    as_json: bool,
) -> None:
    """Say what the records of CASE show, layer by layer: checks, changes, differences, whom it reached.

    \b
    strataline examine CASE
    strataline examine CASE --affected 'ui.feedback == "down"' --affected-by "on-call, retrieval"
    strataline examine CASE --affected check:F-03 --json
    """  # noqa: D301 - \b keeps click from folding the lines
    from strataline.case import Case
    from strataline.examine import catalogue
    from strataline.export import examined as as_json_of, examined_text

    found = examined(
        Case.open(case, inputs),
        selectors,
        chosen_by,
        baseline,
        checks=chosen(catalogue(folders), only),
        declared=declared_in(declared),
        feed=feed,
        content=content,
        formats=formats,
        signalled=signalled,
        mitigated=mitigated,
    )
    if output is not None:
        _write(found, output)
    if as_json:
        echo(dumped(as_json_of.listed(found)))
    else:
        echo(examined_text.page(found, str(case), every=every, **look()))


def _write(found: Examined, folder: Path) -> None:
    """Write the tables of an examination as Parquet files."""
    from strataline.event import EXAMINED
    from strataline.export import parquet

    try:
        folder.mkdir(parents=True, exist_ok=True)
        for table in EXAMINED:
            parquet.write(table, getattr(found, table.name), folder / f"{table.name}.parquet")
    except OSError as problem:
        raise CheckError(f"cannot write: {problem.strerror or problem}", path=str(folder)) from problem


def examined(
    opened: Case, selectors: tuple[str, ...], chosen_by: str | None, baseline: str, **options: Any
) -> Examined:
    """The examination of a case with an affected set, if `selectors` name one; `options` as `Case.examine` takes."""
    affected = None
    if selectors:
        more = {name: options[name] for name in ("checks", "declared")}
        affected = opened.affected(selectors, chosen_by=chosen_by, baseline=baseline, **more)
    elif baseline != "others" or chosen_by is not None:
        raise click.UsageError("--baseline and --affected-by say something of an affected set: give --affected")
    found: Examined = opened.examine(affected, **options)
    return found


@click.command(epilog=STATUS, context_settings=HELP)
@CASE
@CHECKS_DIR
@DECLARED
@INPUTS
@JSON
def doctor(case: Path, folders: tuple[Path, ...], declared: Path | None, inputs: Path | None, as_json: bool) -> None:
    """Say which checks can run on CASE, and which field, in which log, would let the others.

    Checks that compare are asked with a made-up affected set, so that a missing set hides no missing field.

    \b
    strataline doctor CASE
    strataline doctor CASE --json
    """  # noqa: D301 - \b keeps click from folding the lines
    from strataline.case import Case
    from strataline.examine import catalogue, unlocking
    from strataline.export import examined as as_json_of, examined_text

    checks = catalogue(folders)
    opened = Case.open(case, inputs)
    findings = opened.runnable(checks, declared_in(declared))
    lacking = unlocking(findings, checks)
    if as_json:
        rows = as_json_of.rows(findings.select("check", "name", "result", "evaluable", "reason", "unlocks"))
        echo(dumped({"checks": rows, "unlocking": as_json_of.rows(lacking)}))
    else:
        echo(examined_text.doctor(findings, lacking, **look()))


@click.command(epilog=STATUS, context_settings=HELP)
@click.argument("case", type=CaseFolder(), metavar="CASE_A")
@click.argument("other", type=CaseFolder(), metavar="CASE_B")
@click.option("--all", "every", is_flag=True, help="List every value, also what does not differ.")
@JSON
def compare(case: Path, other: Path, every: bool, as_json: bool) -> None:
    """Compare CASE_A, such as an incident, with CASE_B, such as a good day.

    Versions in force, verdicts, variants of the sequence of events, what was measured; each with the counts of both.

    \b
    strataline compare incident/ good-day/
    strataline compare incident/ good-day/ --all
    """  # noqa: D301 - \b keeps click from folding the lines
    from strataline.case import Case
    from strataline.examine import comparison
    from strataline.export import examined as as_json_of, examined_text

    found = comparison(Case.open(case).facts(), Case.open(other).facts())
    if as_json:
        echo(dumped(as_json_of.compared(found)))
    else:
        echo(examined_text.compared(found, str(case), str(other), every=every, **look()))


@click.command(epilog=GATE_STATUS, context_settings=HELP)
@CASE
@click.option(
    "--require",
    "required",
    multiple=True,
    metavar="ID=N[,ID=N]",
    shell_complete=required_ids,
    help="At most N requests in which check ID holds: F-01=0,F-02=0. Repeatable.",
)
@CHECKS_DIR
@DECLARED
@CONTENT
@FORMATS
@INPUTS
@click.option("--allow-unknown", is_flag=True, help="A required check that cannot run is no complaint.")
@click.option("--junit", type=click.Path(path_type=Path), metavar="FILE", help="Also write JUnit XML.")
@click.option("--sarif", type=click.Path(path_type=Path), metavar="FILE", help="Also write SARIF 2.1.0.")
@JSON
def check(
    case: Path,
    required: tuple[str, ...],
    folders: tuple[Path, ...],
    declared: Path | None,
    content: bool,
    formats: tuple[Path, ...],
    inputs: Path | None,
    allow_unknown: bool,
    junit: Path | None,
    sarif: Path | None,
    as_json: bool,
) -> None:
    """Hold the logs of CASE to what checks may find at most: incident checks as a gate over staging logs.

    \b
    strataline check CASE --require F-01=0,F-02=0 --junit out.xml --sarif out.sarif
    """  # noqa: D301 - \b keeps click from folding the lines
    from strataline.case import Case
    from strataline.examine import catalogue
    from strataline.export import gate

    checks = catalogue(folders)
    limits = gate.limits(required, {one.id for one in checks})
    if not limits:
        raise click.UsageError("give at least one --require ID=N")
    opened = Case.open(case, inputs)
    wanted = tuple(one for one in checks if one.id in limits)
    options: dict[str, Any] = {"declared": declared_in(declared), "content": content, "formats": formats}
    found = opened.examine(None, checks=wanted, **options)
    results = gate.results(found.findings, limits)
    try:
        if junit is not None:
            junit.write_text(gate.junit(results), encoding="utf-8")
        if sarif is not None:
            sarif.write_text(gate.sarif(results, found.findings), encoding="utf-8")
    except OSError as problem:
        raise CheckError(f"cannot write: {problem.strerror}", path=str(problem.filename)) from problem
    echo(dumped(gate.listed(results)) if as_json else gate.page(results, **look()))
    unmet = [one for one in results if one.met is False]
    unknown = [one for one in results if one.met is None]
    for one in unknown:
        click.echo(f"strataline: {one.check} could not run: {printable(one.reason or '')}", err=True)
    sys.exit(UNMET if unmet else COMPLAINT if unknown and not allow_unknown else 0)
