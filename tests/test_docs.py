"""The pages say what is so: README's commands print what it shows, links lead somewhere, tables are the code's."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

import click
import pytest

from strataline.cli import main
from strataline.parse import catalogue

ROOT = Path(__file__).parent.parent
PAGES = sorted(
    page.relative_to(ROOT).as_posix()
    for page in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("benchmarks/*.md"))
)
BIN = Path(sys.executable).parent
COLUMNS = "120"
"""Width of the terminal in which README's commands run."""

BLOCK = re.compile(r"^```(?P<kind>console|python)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
SET_UP = re.compile(r"(git|pip|python3? -m pip|python3? -m venv|cd|source|apt|apt-get|sudo) ")
"""Commands that fetch, or change the shell they run in: shown to a reader, not run here."""
MAKE = re.compile(r"make (?P<target>[\w-]+)$")


@dataclass(frozen=True)
class Step:
    """One thing that README tells a reader to do, and what it shows in return (``…`` stands for anything)."""

    command: str
    shown: str
    language: str = "console"


def steps(page: str) -> Iterator[Step]:
    """The commands of all ``console`` blocks and the programs of all ``python`` blocks, in order."""
    for block in BLOCK.finditer(page):
        if block["kind"] == "python":
            yield Step(block["text"], "", "python")
            continue
        for part in re.split(r"^\$ ", block["text"], flags=re.MULTILINE)[1:]:
            command, _, shown = re.sub(r"\\\n\s*(?:> )?", "", part).partition("\n")
            yield Step(command.strip(), shown)


def agrees(shown: str, printed: str) -> bool:
    """Whether `printed` is what README shows: ``…`` alone on a line is any lines, within a line any text."""
    pattern = ""
    for line in (line.rstrip() for line in shown.strip("\n").splitlines()):
        if line.strip() == "…":
            pattern += r"(?:.*\n)*?"
        else:
            pattern += ".*?".join(re.escape(piece) for piece in line.split("…")) + "\n"
    lines = (line.rstrip() for line in printed.strip("\n").splitlines())
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in lines)) is not None


def environment() -> dict[str, str]:
    """As a reader's terminal, and without what a `make` that runs these tests hands down."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    path = os.pathsep.join([str(BIN), os.environ.get("PATH", "")])
    return kept | {"PATH": path, "COLUMNS": COLUMNS, "NO_COLOR": "1", "LC_ALL": "C.UTF-8", "PYTHONUTF8": "1"}


def run(command: list[str], folder: Path) -> str:
    """Run `command` in `folder` and return what a terminal would show; its exit status must be 0."""
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"exit status {done.returncode}: {command[-1]}\n{done.stdout}"
    return done.stdout


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what a reader has after `git clone`, to run commands in."""
    kept = ("Makefile", "README.md", "LICENSE", "pyproject.toml", "requirements.lock")
    for name in kept:
        shutil.copy(ROOT / name, tmp_path / name)
    for name in ("benchmarks", "docs", "parsers", "sample_logs", "src", "tests"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    return tmp_path


@pytest.mark.slow
def test_readme_does_what_it_says(checkout: Path) -> None:
    """In order, in one folder: a later command may read the case that an earlier one wrote."""
    done = 0
    for step in steps((ROOT / "README.md").read_text(encoding="utf-8")):
        made = MAKE.match(step.command)
        if step.language == "python":
            printed = run([sys.executable, "-c", step.command], checkout)
        elif made is not None and made["target"] == "demo":
            # What it installs is already here.
            printed = run(["make", "--old-file=.venv/installed", "demo", f"BIN={quote(str(BIN))}"], checkout)
        elif made is not None:
            run(["make", "--dry-run", made["target"]], checkout)
            continue
        elif SET_UP.match(step.command):
            continue
        else:
            printed = run(["bash", "-c", step.command], checkout)
        done += 1
        if step.shown.strip():
            message = f"README shows for `{step.command}`:\n{step.shown}\nIt prints:\n{printed}"
            assert agrees(step.shown, printed), message
    assert done > 0


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("one\ntwo\n", "one\ntwo\n", True),
        ("one\ntwo\n", "one\n\ntwo\n", False),
        ("one\n", "one\ntwo\n", False),
        ("one\n…\n", "one\ntwo\nthree\n", True),
        ("…\nthree\n", "one\ntwo\nthree\n", True),
        ("one\n…\nthree\n", "one\nthree\n", True),
        ("one\n…\nthree\n", "one\ntwo\nfour\n", False),
        ("read … lines\n", "read 12 lines\n", True),
        ("read … lines\n", "read\n12 lines\n", False),
        ("a.c\n", "abc\n", False),
    ],
)
def test_shown_and_printed(shown: str, printed: str, same: bool) -> None:
    assert agrees(shown, printed) is same


def test_steps_of_a_page() -> None:
    console = "```console\n$ one \\\n    --two\nout\n\nmore\n$ three\n```\n"
    page = f"Text.\n{console}```sh\n$ not this\n```\n```python\nx = 1\n```\n"
    assert list(steps(page)) == [
        Step("one --two", "out\n\nmore\n"),
        Step("three", ""),
        Step("x = 1\n", "", "python"),
    ]


def commands(group: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    """The command and, of a group, all commands below it, each with the words that call it."""
    yield name, group
    if isinstance(group, click.Group):
        for sub, command in sorted(group.commands.items()):
            yield from commands(command, f"{name} {sub}")


@pytest.mark.parametrize(("name", "command"), [pytest.param(*c, id=c[0]) for c in commands(main, "strataline")])
def test_help_is_complete(name: str, command: click.Command) -> None:
    """Every command says what it does, every option what it is for, and `--help` shows it all."""
    # As the group would make it: a command keeps the help option that it is first asked for.
    names = ["-h", "--help"]
    with click.Context(command, info_name=name, terminal_width=int(COLUMNS), help_option_names=names) as context:
        shown = command.get_help(context)
        options = [p for p in command.get_params(context) if isinstance(p, click.Option)]
    assert command.help
    assert [option.opts for option in options if not option.help or option.hidden] == []
    assert [option.opts for option in options if option.opts[0] not in shown] == []


def test_made_pages_are_those_of_the_code() -> None:
    spec = importlib.util.spec_from_file_location("build_pages", ROOT / "docs" / "build_pages.py")
    assert spec is not None
    assert spec.loader is not None
    builder = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(builder)
    for name, made in builder.PAGES.items():
        assert (ROOT / "docs" / name).read_text(encoding="utf-8") == made(), "run python docs/build_pages.py"


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as code hosts make them."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ +(.+?)\s*$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(name: str) -> None:
    page = ROOT / name
    text = re.sub(r"^```.*?^```$|`[^`\n]*`", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    dead = []
    for link in re.findall(r"\]\(([^()\s]+)\)", text) + re.findall(r"^\[[^\]]+\]: (\S+)", text, re.MULTILINE):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            dead.append(link)
    assert dead == []


def test_readme_counts_the_catalogue_as_it_is() -> None:
    shipped = [one for name, one in catalogue().items() if (ROOT / "parsers" / f"{name}.py").exists()]
    said = f"[{len(shipped)} formats](docs/formats.md), {sum(one.verified for one in shipped)} of them"
    assert said in (ROOT / "README.md").read_text(encoding="utf-8")
