"""Completion of the command line: what fits where, and the command that installs it in a shell."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem, get_completion_class

from strataline.cli.known import BASELINES
from strataline.errors import InputError
from strataline.escape import printable

if TYPE_CHECKING:
    from click import Context, Parameter

SHELLS = ("bash", "zsh", "fish")
PROGRAM = "strataline"
STATUS = """
\b
Exit status: 0 done, or nothing was left to do; 2 nothing written (usage; a file that
is not ours, or cannot be written).
"""
HELP = {"help_option_names": ["-h", "--help"]}

_OURS = "# Written by `strataline completion install`; to undo it, delete this file."
_LINE = "# strataline completion"
# A shell takes others apart; they are completed as folders are.
_PLAIN = re.compile(r"[\w./@%+~:-]+")
# Where the package that loads completions of bash when they are asked for lies.
_LOADERS = (
    "/usr/share/bash-completion/bash_completion",
    "/usr/local/share/bash-completion/bash_completion",
    "/opt/homebrew/etc/profile.d/bash_completion.sh",
    "/usr/local/etc/profile.d/bash_completion.sh",
    "/etc/bash_completion",
)


class CaseFolder(click.Path):
    """A path, completed by the folders that are cases, else by any."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def shell_complete(self, ctx: Context, param: Parameter, incomplete: str) -> list[CompletionItem[str]]:
        """See the class."""
        del ctx, param
        above, _, begun = incomplete.rpartition("/")
        parent = Path(f"{above}/" if incomplete.startswith("/") else above or ".").expanduser()
        try:
            names = sorted(one.name for one in parent.iterdir() if one.name.startswith(begun))
            cases = [name for name in names if (parent / name / "manifest.json").is_file()]
        except OSError:
            cases = []
        before = incomplete.removesuffix(begun)
        found = [CompletionItem(f"{before}{name}") for name in cases if _PLAIN.fullmatch(f"{before}{name}")]
        return found or [CompletionItem(incomplete, type="dir")]


def any_path(ctx: Context, param: Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """Files and folders, which the shell lists: for what is no path alone, such as a glob, an address or ``-``."""
    del ctx, param
    return [CompletionItem(incomplete, type="file")]


def format_names(ctx: Context, param: Parameter, incomplete: str) -> list[str]:
    """The formats that are shipped, and those of the folders that `--formats` names: a file is called as its format."""
    del param
    shipped = find_spec("strataline.parsers")
    places = [*((shipped and shipped.submodule_search_locations) or ()), *(ctx.params.get("folders") or ())]
    names = {file.stem for place in places for file in Path(place).glob("*.py")}
    return sorted(name for name in names if name.startswith(incomplete) and not name.startswith("_"))


def format_globs(ctx: Context, param: Parameter, incomplete: str) -> list[str]:
    """As `format_names`, ready for the glob: ``NAME=``."""
    return [f"{name}=" for name in format_names(ctx, param, incomplete)]


def check_ids(ctx: Context, param: Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """The checks that are shipped, by id, with their names."""
    del ctx, param
    from strataline.examine import CHECKS

    return [CompletionItem(one.id, help=one.name) for one in CHECKS if one.id.startswith(incomplete)]


def required_ids(ctx: Context, param: Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """As `check_ids`, with the number that a gate begins with: ``F-03=0``; the last of a list."""
    before, comma, last = incomplete.rpartition(",")
    return [CompletionItem(f"{before}{comma}{one.value}=0", help=one.help) for one in check_ids(ctx, param, last)]


def baselines(ctx: Context, param: Parameter, incomplete: str) -> list[str]:
    """What an affected set is compared with."""
    del ctx, param
    return [one for one in BASELINES if one.startswith(incomplete)]


def register(group: click.Group) -> None:
    """Add the commands of this module to `group`."""
    group.add_command(completion)


@click.group(epilog=STATUS, context_settings=HELP)
def completion() -> None:
    """Let a shell complete commands, options, cases, checks and formats.

    \b
    strataline completion install             for the shell that runs
    strataline completion install zsh --rc    and add what it needs to ~/.zshrc
    """  # noqa: D301 - \b keeps click from folding the lines


@completion.command(epilog=STATUS, context_settings=HELP)
@click.argument("shell", required=False, type=click.Choice(SHELLS), metavar="[bash|zsh|fish]")
@click.option("--rc", "edit", is_flag=True, help="Also add the lines that the shell needs to its rc file, once.")
@click.pass_context
def install(ctx: click.Context, shell: str | None, edit: bool) -> None:
    """Write the completion where the shell looks for it; say what was written, and how to undo it.

    The shell is that of $SHELL, if none is named. What is there already and is the same is left as it is; no other
    file is changed, without --rc.

    \b
    strataline completion install
    strataline completion install fish
    strataline completion install bash --rc
    """  # noqa: D301 - \b keeps click from folding the lines
    shell = shell or Path(os.environ.get("SHELL", "")).name
    if shell not in SHELLS:
        raise click.UsageError(f"$SHELL names none of {', '.join(SHELLS)}: name one")
    target = _place(shell)
    script = _script(ctx.find_root().command, shell)
    say = click.echo
    if _written(target, script):
        say(f"wrote {printable(str(target))}")
    else:
        say(f"{printable(str(target))} is there already, and up to date")
    lines = _needed(shell, target)
    if lines and edit:
        rc = Path(os.environ.get("ZDOTDIR") or Path.home()) / ".zshrc" if shell == "zsh" else Path.home() / ".bashrc"
        added = _added(rc, lines)
        say(f"{'added to' if added else 'already in'} {printable(str(rc))}:")
        lines_shown, undo_rc = lines, f"; and delete these lines of {printable(str(rc))}"
    else:
        if lines:
            say("the shell does not look there by itself. Add to its rc file, or run this again with --rc:")
        lines_shown, undo_rc = lines, ""
    for line in lines_shown:
        say(f"  {printable(line)}")
    say("it holds in shells that are started from now on")
    say(f"to undo it: rm {printable(shlex.quote(str(target)))}{undo_rc}")


def _home(variable: str, below: str) -> Path:
    """A folder that a variable names, as the XDG base directories are; else one below the home."""
    named = os.environ.get(variable, "")
    return Path(named) if named.startswith("/") else Path.home() / below


def _place(shell: str) -> Path:
    """The file that the shell loads when the program is to be completed."""
    if shell == "fish":
        return _home("XDG_CONFIG_HOME", ".config") / "fish" / "completions" / f"{PROGRAM}.fish"
    data = _home("XDG_DATA_HOME", ".local/share")
    if shell == "zsh":
        return data / "zsh" / "site-functions" / f"_{PROGRAM}"
    return _home("BASH_COMPLETION_USER_DIR", str(data / "bash-completion")) / "completions" / PROGRAM


def _script(command: click.Command, shell: str) -> str:
    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"no completion for {shell}")
    text = kind(command, {}, PROGRAM, f"_{PROGRAM.upper()}_COMPLETE").source()
    # What click has for fish parts type and value at every comma: it cuts a list of checks, and help, at the first.
    made = text.replace('string split ","', 'string split -m 1 ","').strip("\n").split("\n")
    # zsh takes what a file is for from its first line.
    first = made[:1] if made[0].startswith("#compdef") else []
    return "\n".join([*first, _OURS, *made[len(first) :]]) + "\n"


def _written(target: Path, script: str) -> bool:
    """Write the file, unless it is the same already; whether it was written.

    Raises:
        InputError: if a file is there that is not ours, or it cannot be written.
    """
    try:
        there = target.read_text(encoding="utf-8", errors="replace") if target.exists() else None
        if there == script:
            return False
        if there is not None and _OURS not in there:
            hint = "move it away first"
            raise InputError("a file is there that strataline did not write", path=str(target), hint=hint)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(script, encoding="utf-8")
    except OSError as problem:
        raise InputError(f"cannot be written: {problem.strerror or problem}", path=str(target)) from problem
    return True


def _needed(shell: str, target: Path) -> list[str]:
    """The lines that an rc file needs for the shell to find `target`."""
    if shell == "zsh":
        folder = shlex.quote(str(target.parent))
        return [f"fpath=({folder} $fpath)  {_LINE}", f"autoload -Uz compinit && compinit  {_LINE}"]
    if shell == "bash" and not any(Path(one).is_file() for one in _LOADERS):
        return [f"source {shlex.quote(str(target))}  {_LINE}"]
    return []


def _added(rc: Path, lines: Iterable[str]) -> bool:
    """Add to an rc file what it lacks of `lines`; whether it lacked any.

    Raises:
        InputError: if it cannot be read or written.
    """
    try:
        there = rc.read_text(encoding="utf-8", errors="surrogateescape") if rc.exists() else ""
        lacking = [line for line in lines if line not in there.split("\n")]
        if lacking:
            gap = "" if not there or there.endswith("\n") else "\n"
            with rc.open("a", encoding="utf-8") as file:
                file.write(gap + "\n".join(lacking) + "\n")
    except OSError as problem:
        raise InputError(f"cannot be written: {problem.strerror or problem}", path=str(rc)) from problem
    return bool(lacking)
