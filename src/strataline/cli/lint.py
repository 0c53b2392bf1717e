"""The command that lints a draft which people edited."""

from __future__ import annotations

import json
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from strataline.cli.terminal import COMPLAINT, JSON, dumped, echo
from strataline.errors import CaseError

STATUS = """
\b
Exit status: 0 no error; 1 an error (with --final also an open placeholder); 2 nothing
linted (usage, a file that cannot be read).
"""
SIDECAR = ".claims.json"


def register(group: click.Group) -> None:
    """Add the commands of this module to `group`."""
    group.add_command(lint)


@click.command(epilog=STATUS, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("document", type=click.Path(path_type=Path, allow_dash=True), metavar="FILE")
@click.option("--final", is_flag=True, help="Open placeholders are errors: for a document that is to be signed.")
@click.option(
    "--claims",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="What the draft claimed when it was made.  [default: FILE.claims.json beside FILE.md]",
)
@click.option(
    "--roster",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Names of people, one on each line (# begins a comment): CODEOWNERS, git authors, an on-call export.",
)
@click.option(
    "--on",
    type=click.DateTime(["%Y-%m-%d"]),
    metavar="DATE",
    help="The day of publication, to say how late it is; the clock of this machine is never asked.",
)
@JSON
@click.option(
    "--sarif",
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    metavar="FILE",
    help="Also write SARIF 2.1.0; - prints that alone.",
)
@click.option("--github", is_flag=True, help="Print annotations of a GitHub workflow.")
def lint(
    document: Path,
    final: bool,
    claims: Path | None,
    roster: Path | None,
    on: datetime | None,
    as_json: bool,
    sarif: Path | None,
    github: bool,
) -> None:
    """Look over a draft that people edited: blame, hindsight, single explanations, and claims that changed.

    \b
    strataline lint postmortem.md
    strataline lint postmortem.md --final --sarif lint.sarif

    Nothing is rewritten: each finding says what may stand there instead. `<!-- lint-ok L-B01 reason -->` before or in
    a paragraph waives a rule there, and is listed. The rules: docs/lint.md.
    """  # noqa: D301 - \b keeps click from folding the lines
    from strataline.report import lint as linting
    from strataline.report.lint import show

    if as_json + github + (sarif is not None and str(sarif) == "-") > 1:
        raise click.UsageError("one of --json, --github and --sarif - prints; name one")
    text = _read(document)
    found = linting.lint(
        text,
        _claims(document, claims),
        final=final,
        roster=_names(roster),
        on=None if on is None else on.date(),
    )
    name = "stdin" if str(document) == "-" else document.as_posix()
    if sarif is not None and str(sarif) != "-":
        try:
            sarif.write_text(show.sarif(found, name), encoding="utf-8")
        except OSError as problem:
            raise CaseError(f"cannot write: {problem.strerror}", path=str(sarif)) from problem
    if as_json:
        echo(dumped(show.as_json(found, name)))
    elif github:
        echo(show.github(found, name))
    elif sarif is not None and str(sarif) == "-":
        echo(show.sarif(found, name))
    else:
        echo(show.as_text(found, name))
    sys.exit(COMPLAINT if found.errors else 0)


def _read(file: Path) -> str:
    try:
        return sys.stdin.buffer.read().decode("utf-8") if str(file) == "-" else file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise CaseError(f"the document cannot be read: {problem}", path=str(file)) from problem


def _claims(document: Path, named: Path | None) -> dict[str, Any] | None:
    """The sidecar: the one that is named has to be there; the one beside the document may be missing."""
    if named is None and str(document) == "-":
        return None
    beside = named or document.with_name(document.name.removesuffix(".md") + SIDECAR)
    try:
        found = json.loads(beside.read_text(encoding="utf-8"))
    except FileNotFoundError as problem:
        if named is None:
            return None
        raise CaseError("no such file", path=str(beside)) from problem
    except (OSError, ValueError) as problem:
        raise CaseError(f"the claims cannot be read: {problem}", path=str(beside)) from problem
    if not isinstance(found, dict) or not isinstance(found.get("claims"), list):
        raise CaseError("these are no claims of a draft", path=str(beside))
    return found


def _names(roster: Path | None) -> list[str]:
    """The names of a roster: a line each; of CODEOWNERS and `git shortlog` the handles, names and addresses."""
    if roster is None:
        return []
    lines = [line.partition("#")[0].strip() for line in _read(roster).splitlines()]
    names = []
    for line in lines:
        words = line.split()
        handles = [word for word in words if word.startswith("@")]
        if handles:
            names += handles
            continue
        plain = " ".join(word for word in words if not word.isdecimal() and "@" not in word and "<" not in word)
        names += [plain] if len(plain) > 1 else []
    return list(dict.fromkeys(names))
