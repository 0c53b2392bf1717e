"""Commands about formats: what logs are, what is known, and how to teach what is not."""

from __future__ import annotations

import shlex
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path

import click

from strataline.cli import terminal
from strataline.cli.completion import any_path, format_names
from strataline.cli.known import LAYERS
from strataline.cli.terminal import ASSUME_ZONE, COMPLAINT, ENCODINGS, FORCE, FORMATS, JSON, ZONES, dumped, echo
from strataline.errors import FormatError, InputError
from strataline.escape import printable
from strataline.wording import count

STATUS = """
\b
Exit status: 0 done; 1 done with a complaint (a file that cannot be read, or of which
no record could); 2 nothing done (usage, or nothing that can be read).
"""
CHECKED = """
\b
Exit status: 0 done; 1 done with a complaint (a format does not keep its promises);
2 nothing checked.
"""

HELP = {"help_option_names": ["-h", "--help"]}


def register(group: click.Group) -> None:
    """Add the commands of this module to `group`."""
    for command in (recognise, formats, new_format, check_format):
        group.add_command(command)


@click.command(epilog=STATUS, context_settings=HELP)
@click.argument("paths", nargs=-1, required=True, metavar="PATH...", shell_complete=any_path)
@FORMATS
@FORCE
@ZONES
@ASSUME_ZONE
@ENCODINGS
@click.option(
    "--explain",
    "line",
    type=click.IntRange(min=0),
    metavar="LINE",
    help="Say of one record, by its line (of a table: its row, from 0), what it is, or what keeps the formats from"
    " describing it. PATH is then one file.",
)
@JSON
def recognise(
    paths: tuple[str, ...],
    folders: tuple[Path, ...],
    force: tuple[tuple[str, str], ...],
    zones: tuple[tuple[str, str], ...],
    assume_zone: str | None,
    encodings: tuple[tuple[str, str], ...],
    line: int | None,
    as_json: bool,
) -> None:
    """Say what the logs at each PATH are: format, times, zone, what was read and what was not.

    Nothing is reconstructed and nothing written. A file that no format describes is guessed at, which is said, or is
    not recognised; what would tell more is named.

    \b
    strataline recognise logs/
    strataline recognise logs/ --formats formats/ --json
    strataline recognise logs/app/uvicorn.log --explain 3
    """  # noqa: D301 - \b keeps click from folding the lines
    from strataline.cli import told
    from strataline.reconstruct import survey

    if line is not None:
        if len(paths) != 1:
            raise click.UsageError("--explain takes exactly one PATH")
        options = told.Choices({glob: name for name, glob in force}, dict(zones), assume_zone, dict(encodings))
        found = told.line_of(paths[0], line, folders, options)
        echo(dumped(found.plain()) if as_json else told.explained(found, terminal.page()))
        return
    made = survey(
        paths,
        formats=folders,
        force={glob: name for name, glob in force},
        zones=dict(zones),
        assume_zone=assume_zone,
        encodings=dict(encodings),
        stdin=sys.stdin.buffer,
    )
    sources = [told.plain(row) for row in told.rows(made.sources)]
    notes = told.rows(made.notes)
    for row in sources:
        here = [note for note in notes if note["source"] == row["source"]]
        row["problem"] = next((one["detail"] for one in here if one["topic"] in ("unreadable", "stream_cut")), None)
        row["guesses"] = [one["detail"] for one in here if one["topic"] == "guessed"]
    refused = [note for note in notes if note["topic"] == "refused"]
    for note in refused:
        click.echo(f"strataline: {printable(note['subject'])}: not read: {printable(note['detail'])}", err=True)
    if all(row["container"] == "unreadable" for row in sources):
        row = sources[0] if sources else {"source": None, "problem": "nothing to read"}
        raise InputError(row["problem"] or "cannot be read", path=row["source"])
    if as_json:
        used = Counter(row["format"] for row in sources if row["format"])
        states = Counter(told.state(row) for row in sources)
        echo(dumped({"sources": sources, "formats": dict(sorted(used.items())), "files": dict(sorted(states.items()))}))
    else:
        echo(told.recognised(sources, terminal.page()))
    wrong = any(row["problem"] or told.state(row) in ("unreadable", "in_vain", "not_recognised") for row in sources)
    sys.exit(COMPLAINT if wrong or refused else 0)


@click.command(epilog=STATUS, context_settings=HELP)
@click.argument("name", required=False, shell_complete=format_names)
@click.option("--layer", type=click.Choice(LAYERS), help="Only formats with events of this layer.")
@FORMATS
@JSON
def formats(name: str | None, layer: str | None, folders: tuple[Path, ...], as_json: bool) -> None:
    """List the formats that are known; with NAME, everything about one.

    A format is verified if a real record stands behind it. A dialect describes spans, whichever container they lie in.

    \b
    strataline formats --layer policy
    strataline formats litellm_standard_logging
    """  # noqa: D301 - \b keeps click from folding the lines
    from strataline.cli import told
    from strataline.parse import catalogue

    known = catalogue(folders)
    if name is not None:
        if name not in known:
            near = get_close_matches(name, known, n=3)
            hint = f"near it: {', '.join(near)}" if near else "strataline formats lists them"
            raise FormatError(f"no format is called {name!r}", hint=hint)
        one = told.declared(known[name], known)
        echo(dumped(one) if as_json else told.about(one, terminal.page()))
        return
    rows = [told.declared(fmt, known) for fmt in known.values()]
    rows = [row for row in rows if layer is None or layer in row["layers"]]
    totals = {
        one: {
            "formats": sum(one in row["layers"] for row in rows),
            "verified": sum(one in row["layers"] and row["verified"] for row in rows),
        }
        for one in LAYERS
    }
    verified = sum(row["verified"] for row in rows)
    if as_json:
        echo(dumped({"count": len(rows), "verified": verified, "layers": totals, "formats": rows}))
        return
    echo(told.listed(rows, totals, verified, terminal.page()))


@click.command("new-format", epilog=STATUS, context_settings=HELP)
@click.argument("sample", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", "folder", type=click.Path(path_type=Path), required=True, metavar="DIR", help="Where to."
)
@click.option("--layer", type=click.Choice(LAYERS), help="Layer of its events.  [default: guessed from its words]")
@click.option("--name", metavar="NAME", help="What to call it.  [default: as the log]")
@click.option("--force", is_flag=True, help="Draft it though a format describes the log.")
def new_format(sample: Path, folder: Path, layer: str | None, name: str | None, force: bool) -> None:
    """Draft a format from a log that no format describes.

    Writes DIR/NAME.py, in which each guess says what it was made from, DIR/NAME/ with the first records of SAMPLE as
    they stand there (read them before you share them), and expected.jsonl, which says what the format makes of these.

    \b
    strataline new-format strange.log -o drafts/ --layer policy
    """  # noqa: D301 - \b keeps click from folding the lines
    from strataline.cli import told
    from strataline.conformance import draft_format

    with _writing(folder):
        made = draft_format(sample, folder, layer=layer, name=name, force=force)
    page = terminal.page()
    text = page.fold([(made.name, "strong"), ("  ", "")], [(f"{made.container}, layer {made.layer}", "")], told.INDENT)
    text += page.labelled("format", [(str(made.file), "")])
    text += page.labelled("sample", [(str(made.sample), "")])
    text += page.labelled(
        "expectation", [(str(made.sample.parent / "expected.jsonl"), ""), (count(made.rows, "row"), "")]
    )
    for topic, why in made.reasons.items():
        text += page.prose([(f"  {'guessed':<13}", "dim")], f"{topic}: {why}" if not why.startswith(topic) else why)
    text += page.prose(
        [(f"  {'now':<13}", "dim")], "read every guess in the file, and every row of the expectation; then"
    )
    for command in (
        f"strataline check-format {shlex.quote(str(folder))}",
        f"strataline recognise {shlex.quote(str(sample))} --formats {shlex.quote(str(folder))}",
    ):
        text += page.labelled("", [(command, "")])
    echo("\n".join(text) + "\n")
    if made.complaints:
        echo("\n".join(line for one in made.complaints for line in told.complaint(one, page)) + "\n")
        sys.exit(COMPLAINT)


@click.command("check-format", epilog=CHECKED, context_settings=HELP)
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
@click.option("--write", is_flag=True, help="First write each expected.jsonl anew: then read every row of it.")
def check_format(folder: Path, write: bool) -> None:
    """Check every format in DIR against the sample beside it.

    DIR holds NAME.py and, in DIR/NAME/, a log or several and expected.jsonl, a row per event. Loading a format runs its
    file: only name a folder that you trust.

    \b
    strataline check-format drafts/
    strataline check-format drafts/ --write
    """  # noqa: D301 - \b keeps click from folding the lines
    from strataline.cli import told
    from strataline.conformance import check_folder, rewrite

    if not folder.is_dir():
        raise FormatError("no such folder of formats", path=str(folder))
    page = terminal.page()
    if write:
        with _writing(folder):
            for name, rows in rewrite(folder):
                echo(f"{printable(name)}: wrote {count(rows, 'row')}: read every one before you keep them\n")
    wrong = 0
    for name, complaints in check_folder(folder):
        said = count(len(complaints), "complaint") if complaints else "ok"
        text = page.fold([(name, "strong"), ("  ", "")], [(said, "strong" if complaints else "")], told.INDENT)
        text += [line for one in complaints for line in told.complaint(one, page)]
        echo("\n".join(text) + "\n")
        wrong += bool(complaints)
    sys.exit(COMPLAINT if wrong else 0)


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Turns what keeps a file from being written into a message."""
    try:
        yield
    except OSError as problem:
        raise FormatError(f"cannot be written: {problem.strerror or problem}", path=str(folder)) from problem
