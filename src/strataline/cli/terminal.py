"""What the commands share: options, exit statuses, and how a page or an object is printed."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import click

from strataline.cli.arguments import Pair
from strataline.cli.completion import CaseFolder, format_globs
from strataline.errors import CaseError

if TYPE_CHECKING:
    from strataline.export.page import Page

COMPLAINT, NOTHING = 1, 2

CASE = click.argument("case", type=CaseFolder())
INPUTS = click.option(
    "--inputs",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Where the inputs are now, if not where they were.",
)
FORMATS = click.option(
    "--formats",
    "folders",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder of further formats. Loading a format runs its file: only name folders that you trust. Repeatable.",
)
FORCE = click.option(
    "--format",
    "force",
    multiple=True,
    type=Pair("NAME=GLOB", first=True),
    metavar="NAME=GLOB",
    shell_complete=format_globs,
    help="Read the sources that GLOB fits as format NAME, without recognising them. Repeatable.",
)
ZONES = click.option(
    "--zone",
    "zones",
    multiple=True,
    type=Pair("GLOB=ZONE"),
    metavar="GLOB=ZONE",
    help="IANA zone of times that state none, in the sources that GLOB fits: 'app/uvicorn.log*=America/New_York'."
    " Repeatable.",
)
ASSUME_ZONE = click.option(
    "--assume-zone",
    metavar="ZONE",
    help="Zone of times that state none, where neither --zone nor the format names one.  [default: UTC, and noted]",
)
ENCODINGS = click.option(
    "--encoding",
    "encodings",
    multiple=True,
    type=Pair("GLOB=NAME"),
    metavar="GLOB=NAME",
    help="Encoding of the text in the sources that GLOB fits, such as 'old/*.log=cp1252'. Repeatable."
    "  [default: UTF-8 or UTF-16, and what the bytes tell, which is noted]",
)
OVERWRITE = click.option("--overwrite", is_flag=True, help="Replace a file that is there already.")
JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


class Look(TypedDict):
    """Width (null: no bound) and colour, as the functions of `export` take them."""

    width: int | None
    colour: bool


def refuse_to_overwrite(
    file: Path | None, *, overwrite: bool, hint: str = "--overwrite replaces a file that is there already"
) -> None:
    """Raise if something is at `file` that nobody said may be replaced; ``-`` is standard output.

    Raises:
        CaseError: with `hint`.
    """
    if file is not None and str(file) != "-" and not overwrite and file.exists():
        raise CaseError("something is there already", path=str(file), hint=hint)


def look() -> Look:
    """Width and colour of the terminal; no width and no colour where standard output is none."""
    terminal = sys.stdout.isatty()
    return {
        "width": shutil.get_terminal_size().columns if terminal else None,
        "colour": terminal and "NO_COLOR" not in os.environ,
    }


def page() -> Page:
    """The page that standard output is."""
    from strataline.export.page import Page

    return Page(**look())


def echo(text: str) -> None:
    """Print what ends with a line end of its own."""
    click.echo(text, nl=False)


def dumped(value: Any) -> str:
    """`value` as one line of JSON."""
    return json.dumps(value, ensure_ascii=False) + "\n"
