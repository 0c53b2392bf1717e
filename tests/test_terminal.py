"""What a person reads in a terminal, on the sample incident: at 80 and 200 columns, without colour, and in a pipe.

``GOLDEN=write pytest tests/test_terminal.py`` writes what is printed now; then read every line of it.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner
from rich.cells import cell_len

import strataline
from strataline.cli import main

INCIDENT = Path(__file__).resolve().parent.parent / "sample_logs" / "assist_incident"
GOLDEN = Path(__file__).parent / "golden" / "terminal"
PROGRAM = [sys.executable, "-c", "from strataline.cli import main; main()"]
HEADLINE = "chatcmpl-6rQlB1eOOHBUhB7PT26P9sox"
COMMANDS = {
    "show": ["show", "CASE", HEADLINE],
    "examine": ["examine", "CASE", "--affected", "check:F-03", "--only", "F-03", "--only", "R-05", "--only", "M-03"],
    "clocks": ["clocks", "CASE"],
    "recognise": ["recognise", "logs", "--formats", "formats"],
    "rejects": ["rejects", "CASE"],
}


@pytest.fixture(scope="module")
def desk(incident: Callable[..., strataline.Case], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sample's logs and formats, and the case that was made of them."""
    folder = tmp_path_factory.mktemp("terminal")
    for name in ("logs", "formats"):
        (folder / name).symlink_to(INCIDENT / name)
    incident().write(folder / "CASE")
    return folder


def printed(folder: Path, arguments: list[str], columns: int | None, **environment: str) -> str:
    """What the program prints: to a terminal so wide, or to a pipe."""
    unset = {"NO_COLOR", "COLUMNS", "LINES", "FORCE_COLOR"}
    known = {name: value for name, value in os.environ.items() if name not in unset} | environment
    if columns is None:
        made = subprocess.run([*PROGRAM, *arguments], cwd=folder, env=known, capture_output=True, check=True)
        return made.stdout.decode()
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    with subprocess.Popen([*PROGRAM, *arguments], cwd=folder, env=known, stdin=theirs, stdout=theirs) as process:
        os.close(theirs)
        pieces = []
        while True:
            try:
                piece = os.read(ours, 65536)
            except OSError:  # the other end is closed
                break
            if not piece:
                break
            pieces.append(piece)
        os.close(ours)
    assert process.returncode == 0
    return b"".join(pieces).decode().replace("\r\n", "\n")


@pytest.mark.parametrize("columns", [80, 200])
@pytest.mark.parametrize("name", COMMANDS)
def test_a_terminal_shows_what_is_golden(desk: Path, name: str, columns: int) -> None:
    made = printed(desk, COMMANDS[name], columns, NO_COLOR="1")
    file = GOLDEN / f"{name}_{columns}.txt"
    if os.environ.get("GOLDEN") == "write":
        file.parent.mkdir(exist_ok=True)
        file.write_text(made, encoding="utf-8")
    assert made == file.read_text(encoding="utf-8")


def golden() -> list[Path]:
    return sorted(GOLDEN.glob("*.txt"))


@pytest.mark.parametrize("file", golden(), ids=lambda file: file.stem)
def test_no_line_is_wider_than_the_terminal(file: Path) -> None:
    columns = int(file.stem.rpartition("_")[2])
    # A word that is wider than what is left stays whole: an address or an id that is cut is of no use.
    wide = [line for line in file.read_text(encoding="utf-8").split("\n") if cell_len(line) > columns]
    assert [line for line in wide if " " in line.strip()] == []


@pytest.mark.parametrize("file", golden(), ids=lambda file: file.stem)
def test_no_colour_no_boxes_and_no_trailing_space(file: Path) -> None:
    said = file.read_text(encoding="utf-8")
    assert "\x1b" not in said
    assert not re.search("[\u2500-\u259f]", said), "lines and blocks say nothing to who hears them"
    assert [line for line in said.split("\n") if line != line.rstrip()] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_a_pipe_gets_the_same_words_and_whole_lines(desk: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    piped = printed(desk, COMMANDS[name], None)
    assert "\x1b" not in piped
    wide = (GOLDEN / f"{name}_200.txt").read_text(encoding="utf-8")
    # Texts are cut where a terminal ends, and columns stand beside each other: the words are the same.
    spoken = re.sub(r"…”?", "", wide).split()
    lacking = set(spoken) - set(piped.split())
    assert {word for word in lacking if not any(word in line for line in piped.split())} == set()
    monkeypatch.chdir(desk)
    assert piped == CliRunner().invoke(main, COMMANDS[name], env={"NO_COLOR": "1"}).output, "a pipe never has colour"


def test_colour_adds_no_word(desk: Path) -> None:
    coloured = printed(desk, COMMANDS["show"], 80)
    assert "\x1b[" in coloured
    plain = re.sub(r"\x1b\[[0-9]*m", "", coloured)
    here = [line.rstrip() for line in plain.split("\n")]
    assert here == (GOLDEN / "show_80.txt").read_text(encoding="utf-8").split("\n")


def test_what_matters_comes_first(desk: Path) -> None:
    """What was asked and what came of it, then what is missing, then who and when in detail, then the chain."""
    said = (GOLDEN / "show_80.txt").read_text(encoding="utf-8")
    labels = re.findall(r"(?m)^  (request|opened|input|output|came out|layers|in force|what|who) ", said)
    assert labels == ["request", "opened", "input", "output", "came out", "layers", "in force", "what", "who"]
    assert said.index("  came out") < said.index("UTC              +ms")
    opened = strataline.Case.open(desk / "CASE")
    assert opened.which(HEADLINE)[0] in said.split("\n")[0]


def test_every_mark_is_a_word_too(desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(desk)
    opened = strataline.Case.open("CASE")
    marked = 0
    for request in opened.frames["requests"].filter(pl.col("kind") == "turn")["request"].head(8):
        said = CliRunner().invoke(main, ["show", "CASE", request]).output.split("\n")
        for line, below in pairwise(said):
            if re.match(r" ?\d+  \d\d:\d\d:\d\d\.\d{3}  +[+-][\d,]+<", line):
                marked += 1
                assert "its clock puts it before " in below
            assert " ~0." not in line
    assert marked
