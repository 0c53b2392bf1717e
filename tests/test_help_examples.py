"""Every command's `--help` has examples, and each of them works on the sample incident."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import strataline
from strataline.cli import main

SAMPLES = Path(__file__).resolve().parent.parent / "sample_logs"
INCIDENT = SAMPLES / "assist_incident"


def commands(group: click.Group, *names: str) -> Iterator[tuple[str, click.Command]]:
    for name, command in sorted(group.commands.items()):
        if isinstance(command, click.Group):
            yield from commands(command, *names, name)
        else:
            yield " ".join((*names, name)), command


def examples(command: click.Command) -> list[str]:
    """The commands that a page shows: what is before a pipe, of those that begin with the program."""
    lines = [line.strip() for line in (command.help or "").split("\n")]
    return [line for line in lines if re.match(r"(\w+ .*\| )?strataline ", line)]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all that the examples name."""
    folder = tmp_path_factory.mktemp("desk")
    shutil.copytree(INCIDENT / "logs", folder / "logs")
    shutil.copytree(INCIDENT / "formats", folder / "formats")
    made = strataline.reconstruct([folder / "logs"], formats=[folder / "formats"])
    made.write(folder / "CASE")
    for name in ("incident", "good-day"):
        (folder / name).symlink_to("CASE")
    turns = made.requests.to_pylist()
    (folder / "ids.txt").write_text("".join(f"{one['request']}\n" for one in turns[:3]))
    (folder / "strange.log").write_text(
        "".join(f"2026-11-21T23:00:0{n}Z <{n}> verdict=allow id=d{n}\n" for n in range(9))
    )
    return folder


@pytest.mark.parametrize(("name", "command"), [pytest.param(*one, id=one[0]) for one in commands(main)])
def test_each_command_has_an_example(name: str, command: click.Command) -> None:
    found = examples(command)
    assert found, "--help shows no example"
    assert all(f"strataline {name}" in line for line in found)
    assert [line for line in found if len(line) > 120] == []


@pytest.mark.slow
@pytest.mark.parametrize(("name", "command"), [pytest.param(*one, id=one[0]) for one in commands(main)])
def test_each_example_works(
    name: str, command: click.Command, desk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "desk"
    shutil.copytree(desk, here, symlinks=True)
    monkeypatch.chdir(here)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SHELL", "/bin/bash")
    if name == "reconstruct":
        shutil.rmtree("CASE")
    if name == "lint":
        CliRunner().invoke(main, ["report", "CASE", "--affected", "check:F-03", "-o", "postmortem.md"])
    if name == "check-format":
        CliRunner().invoke(main, ["new-format", "strange.log", "-o", "drafts/", "--layer", "policy"])
    for line in examples(command):
        before, _, line_ = line.rpartition("strataline ")
        words = shlex.split(line_.partition(" | ")[0])
        given = b"" if not before else (here / "logs" / "app" / "prompt.jsonl").read_bytes()
        if before:
            shutil.rmtree("CASE", ignore_errors=True)
        ran = CliRunner().invoke(main, words, input=given, prog_name="strataline")
        if ran.exception is not None and not isinstance(ran.exception, SystemExit):
            raise ran.exception
        assert ran.exit_code in (0, 1, 3 if name == "check" else 0), f"{line}\n{ran.output}"
        assert ran.output or "-o" in words, line
