"""Commands that draft a postmortem from a case, and make an edited draft anew."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from strataline.cli.arguments import Moment
from strataline.cli.completion import CaseFolder
from strataline.cli.examine import (
    CHECKS_DIR,
    DECLARED,
    FEED,
    HELP,
    ONLY,
    SELECTING,
    affected_options,
    chosen,
    declared_in,
    examined,
)
from strataline.cli.html import write as write_page
from strataline.cli.redaction import redact_options, redaction
from strataline.cli.terminal import INPUTS, echo, refuse_to_overwrite
from strataline.errors import CaseError
from strataline.escape import printable
from strataline.wording import count

if TYPE_CHECKING:
    from strataline.report.draft import Draft
    from strataline.report.update import Updated

STATUS = """
\b
Exit status: 0 done; 2 nothing written (usage, no such case, a selection that names
nothing, a file that is no draft, or one that is there already).
"""
SIDECAR = ".claims.json"


def register(group: click.Group) -> None:
    """Add the commands of this module to `group`."""
    group.add_command(report)


@click.command(epilog=SELECTING + STATUS, context_settings=HELP)
@click.argument("case", type=CaseFolder(), required=False)
@affected_options
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, allow_dash=True), metavar="FILE", help="Where; - prints it."
)
@click.option(
    "--html",
    "page",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Also write it as one offline page, with the lanes of the requests: docs/html.md.",
)
@click.option(
    "--update",
    "edited",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Make the generated parts of FILE anew, and keep what people wrote in it. Without -o, FILE is rewritten.",
)
@click.option(
    "--overwrite",
    is_flag=True,
    help="Replace a draft that is there already, and what people wrote in it; and a page.",
)
@click.option("--template", "empty", is_flag=True, help="The same outline without a case, for a later --update.")
@click.option("--redact/--no-redact", default=True, show_default=True, help="Replace personal data in log text.")
@redact_options
@ONLY
@CHECKS_DIR
@click.option(
    "--formats",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder of the formats that the case was made with, to read whole texts again. Loading one runs its file:"
    " only name folders that you trust. Repeatable.",
)
@DECLARED
@FEED
@INPUTS
@click.option("--content", is_flag=True, help="Also run checks that read whole texts from the inputs.")
@click.option("--signalled", type=Moment(), metavar="TIME", help="When the team first knew, as people say.")
@click.option("--mitigated", type=Moment(), metavar="TIME", help="When the mitigation took effect, as people say.")
def report(
    case: Path | None,
    selectors: tuple[str, ...],
    chosen_by: str | None,
    baseline: str,
    output: Path | None,
    page: Path | None,
    edited: Path | None,
    overwrite: bool,
    empty: bool,
    redact: bool,
    key: Path | None,
    fields: tuple[str, ...],
    only: tuple[str, ...],
    folders: tuple[Path, ...],
    formats: tuple[Path, ...],
    declared: Path | None,
    feed: tuple[Path, ...],
    inputs: Path | None,
    content: bool,
    signalled: datetime | None,
    mitigated: datetime | None,
) -> None:
    """Draft a postmortem: what the records show, cited line by line, and left open where people decide.

    \b
    strataline report CASE --affected check:F-03 --affected-by "on-call" -o postmortem.md
    strataline report CASE --affected check:F-03 --update postmortem.md
    strataline report CASE --affected check:F-03 --html postmortem.html
    strataline report --template -o template.md

    Beside FILE.md stands FILE.claims.json: every claim with its evidence, for `strataline lint` and --update.
    """  # noqa: D301 - \b keeps click from folding the lines
    from importlib.metadata import version

    from strataline.case import Case
    from strataline.examine import catalogue
    from strataline.report.draft import template
    from strataline.report.update import update

    target = output or edited
    if target is None and page is None:
        raise click.UsageError("say where: -o FILE, -o - to print it, or --html FILE")
    if empty:
        if case is not None or edited is not None or page is not None:
            raise click.UsageError("--template needs no case and updates nothing; it has no page")
        if target is None:
            raise click.UsageError("say where: -o FILE, or -o - to print it")
        _keep(output, edited, overwrite=overwrite)
        _write(target, template(version("strataline")))
        return
    if case is None:
        raise click.UsageError("name a case, or ask for --template")
    _keep(output, edited, overwrite=overwrite)
    refuse_to_overwrite(page, overwrite=overwrite)
    opened = Case.open(case, inputs)
    options: dict[str, Any] = {"checks": chosen(catalogue(folders), only), "declared": declared_in(declared)}
    options |= {"feed": feed, "signalled": signalled, "mitigated": mitigated, "content": content}
    found = examined(opened, selectors, chosen_by, baseline, **options, formats=formats)
    before, sidecar = (None, None) if edited is None else _edited(edited)
    how = redaction(redact, key, fields)
    made = opened.report(
        found,
        how,
        sidecar,
        content=content,
        options=_asked(selectors, chosen_by, baseline, only, feed, signalled, mitigated, content),
        formats=formats,
    )
    if page is not None:
        write_page(page, opened.html(found, redaction=how, draft=made))
    if target is None:
        return
    if before is None:
        _write(target, made)
        return
    changed = update(before, sidecar, made)
    _write(target, changed.draft)
    _say(changed, sidecar)


def _asked(
    selectors: Iterable[str],
    chosen_by: str | None,
    baseline: str,
    only: Iterable[str],
    feed: Iterable[Path],
    signalled: datetime | None,
    mitigated: datetime | None,
    content: bool,
) -> list[tuple[str, str]]:
    """What was asked for, as appendix D names it. No path of this machine is among it."""
    given = [
        *(("Affected", one) for one in selectors),
        ("Chosen by", chosen_by or ""),
        ("Compared with", baseline),
        ("Checks, of all", ", ".join(only)),
        ("Changes from", ", ".join(one.name for one in feed)),
        ("First internal signal, as stated", "" if signalled is None else signalled.isoformat()),
        ("Mitigation, as stated", "" if mitigated is None else mitigated.isoformat()),
        ("Checks of whole texts", "on" if content else "off (`--content`)"),
    ]
    return [(name, value) for name, value in given if value]


def _sidecar(target: Path) -> Path:
    return target.with_name(target.name.removesuffix(".md") + SIDECAR)


def _edited(file: Path) -> tuple[str, dict[str, Any] | None]:
    """An edited draft, and its sidecar if it is there."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise CaseError(f"the draft cannot be read: {problem}", path=str(file)) from problem
    beside = _sidecar(file)
    try:
        found = json.loads(beside.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return text, None
    except (OSError, ValueError) as problem:
        raise CaseError(f"the claims of the draft cannot be read: {problem}", path=str(beside)) from problem
    if not isinstance(found, dict) or "claims" not in found:
        raise CaseError("these are no claims of a draft", path=str(beside))
    return text, found


def _keep(output: Path | None, edited: Path | None, *, overwrite: bool) -> None:
    """Keep what people wrote: a draft is replaced only where somebody says so."""
    hint = f"--update {output} keeps what people wrote in it; --overwrite does not"
    refuse_to_overwrite(output, overwrite=overwrite or output == edited, hint=hint)


def _write(target: Path, made: Draft) -> None:
    from strataline.folder import written

    if str(target) == "-":
        echo(made.text)
        return
    beside = _sidecar(target)
    for place, text in ((target, made.text), (beside, made.sidecar)):
        with written(place) as file:
            file.write(text.encode())
    said = f"{count(len(made.claims['claims']), 'claim')}; their evidence is in {printable(str(beside))}"
    click.echo(f"{printable(str(target))}: {said}", err=True)


def _say(changed: Updated, sidecar: dict[str, Any] | None) -> None:
    if sidecar is None:
        click.echo(
            "strataline: no claims beside the draft: lines that are not made again were taken for people's", err=True
        )
    said = ", ".join(changed.replaced) or "nothing"
    click.echo(f"strataline: made anew: {count(len(changed.replaced), 'part')} ({said})", err=True)
    for one in changed.kept:
        click.echo(f"strataline: kept: {one}", err=True)
    sys.stderr.flush()
