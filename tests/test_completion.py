"""Completion: what is offered where, asked of real shells; and the file that installs it."""

from __future__ import annotations

import json
import os
import pty
import select
import shlex
import shutil
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from strataline.cli import main
from strataline.cli.completion import SHELLS
from strataline.examine import CHECKS
from strataline.parse import catalogue

BASH = shutil.which("bash")
ZSH = shutil.which("zsh")
FISH = shutil.which("fish")
needs_bash = pytest.mark.skipif(BASH is None, reason="bash is not installed")
needs_zsh = pytest.mark.skipif(ZSH is None, reason="zsh is not installed")
needs_fish = pytest.mark.skipif(FISH is None, reason="fish is not installed")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home, a program on PATH, and a folder to work in with two cases and what is none."""
    for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "BASH_COMPLETION_USER_DIR", "ZDOTDIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    program = tmp_path / "bin" / "strataline"
    program.parent.mkdir()
    program.write_text(f"#!{sys.executable}\nfrom strataline.cli import main\nmain(prog_name='strataline')\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    work = tmp_path / "work"
    for name in ("case_a", "case_b", "cases/deep", "logs", "case of; spaces"):
        (work / name).mkdir(parents=True)
        if "case" in name:
            (work / name / "manifest.json").write_text(json.dumps({"strataline": "case"}))
    monkeypatch.chdir(work)
    return tmp_path


def install(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["completion", "install", *arguments], prog_name="strataline")


def where(home: Path, shell: str) -> Path:
    return {
        "bash": home / ".local/share/bash-completion/completions/strataline",
        "zsh": home / ".local/share/zsh/site-functions/_strataline",
        "fish": home / ".config/fish/completions/strataline.fish",
    }[shell]


@pytest.mark.parametrize("shell", SHELLS)
def test_one_command_writes_one_file_and_says_so(home: Path, shell: str) -> None:
    before = sorted(home.rglob("*"))
    made = install(shell)
    file = where(home, shell)
    assert made.exit_code == 0, made.output
    assert f"wrote {file}" in made.output
    assert f"to undo it: rm {file}" in made.output
    new = [one for one in sorted(home.rglob("*")) if one not in before and one.is_file()]
    assert new == [file]
    text = file.read_bytes()
    again = install(shell)
    assert again.exit_code == 0
    assert "is there already, and up to date" in again.output
    assert file.read_bytes() == text
    assert b"_STRATALINE_COMPLETE" in text
    if shell == "zsh":
        assert text.startswith(b"#compdef strataline\n")


def test_the_shell_is_that_of_the_environment(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELL", "/usr/bin/fish")
    assert install().exit_code == 0
    assert where(home, "fish").is_file()
    monkeypatch.setenv("SHELL", "/usr/bin/tcsh")
    unknown = install()
    assert unknown.exit_code == 2
    assert "name one" in unknown.output


def test_folders_that_the_environment_names_are_used(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(home / "data"))
    monkeypatch.setenv("XDG_CONFIG_HOME", "relative, and so to be ignored")
    assert str(home / "data/zsh/site-functions/_strataline") in install("zsh").output
    assert str(where(home, "fish")) in install("fish").output


def test_a_file_of_others_is_left_alone_and_an_old_one_of_ours_is_renewed(home: Path) -> None:
    file = where(home, "fish")
    file.parent.mkdir(parents=True)
    file.write_text("# mine\n")
    refused = install("fish")
    assert refused.exit_code == 2
    assert "did not write" in refused.output
    assert file.read_text() == "# mine\n"
    file.unlink()
    install("fish")
    whole = file.read_text()
    file.write_text(whole.replace("strataline_completion", "older"))
    assert "wrote" in install("fish").output
    assert file.read_text() == whole


def test_an_rc_file_is_changed_only_when_asked_and_once(home: Path) -> None:
    rc = home / ".zshrc"
    rc.write_text("alias ll='ls -l'")
    plain = install("zsh")
    assert "or run this again with --rc" in plain.output
    assert rc.read_text() == "alias ll='ls -l'"
    asked = install("zsh", "--rc")
    assert f"added to {rc}" in asked.output
    assert f"delete these lines of {rc}" in asked.output
    lines = rc.read_text().split("\n")
    assert lines[0] == "alias ll='ls -l'"
    assert [line for line in lines if line in asked.output and line] == lines[1:3]
    again = install("zsh", "--rc")
    assert f"already in {rc}" in again.output
    assert rc.read_text().split("\n") == lines


def test_what_cannot_be_written_is_a_message(home: Path) -> None:
    (home / ".config").write_text("no folder")
    made = install("fish")
    assert made.exit_code == 2
    assert "cannot be written" in made.output


def offered(*words: str) -> list[str]:
    """What bash offers for the last of `words`, as its completion function leaves it."""
    install("bash")
    assert BASH is not None
    line = " ".join(map(shlex.quote, words))
    script = f"""
        compopt() {{ echo compopt "$@"; }}
        source ~/.local/share/bash-completion/completions/strataline
        COMP_WORDS=({line}); COMP_CWORD={len(words) - 1}
        _strataline_completion strataline
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    made = subprocess.run([BASH, "--norc", "-c", script], capture_output=True, check=True, encoding="utf-8")
    assert made.stderr == ""
    return made.stdout.split("\n")[:-1]


@needs_bash
@pytest.mark.usefixtures("home")
def test_bash_completes_commands_options_and_cases() -> None:
    assert offered("strataline", "re") == ["recognise", "reconstruct", "regressions", "rejects", "report"]
    assert offered("strataline", "completion", "install", "") == list(SHELLS)
    assert "--affected" in offered("strataline", "examine", "case_a", "--")
    assert offered("strataline", "export", "--to", "time") == ["timesketch", "timesketch-csv"]
    assert offered("strataline", "show", "") == ["case_a", "case_b"], "folders that are no case are not offered"
    assert offered("strataline", "compare", "case_a", "case_") == ["case_a", "case_b"]
    assert offered("strataline", "show", "cases/") == ["cases/deep"]
    assert offered("strataline", "show", "lo")[0] == "compopt -o dirnames", "where no case is, any folder"
    assert offered("strataline", "examine", "--baseline", "") == ["others", "before", "same-window"]
    assert offered("strataline", "reconstruct", "lo")[0] == "compopt -o default", "logs are files and folders"
    assert offered("strataline", "export", "case_a", "-o", "lo")[0] == "compopt -o default"


@needs_bash
@pytest.mark.usefixtures("home")
def test_bash_completes_checks_and_formats() -> None:
    ids = [check.id for check in CHECKS]
    assert offered("strataline", "examine", "case_a", "--only", "F-0") == [one for one in ids if one.startswith("F-0")]
    assert offered("strataline", "check", "case_a", "--require", "F-03") == ["F-03=0"]
    names = list(catalogue())
    assert offered("strataline", "formats", "otlp") == [name for name in names if name.startswith("otlp")]
    globs = offered("strataline", "recognise", "--format", "lite")
    assert globs == [f"{name}=" for name in names if name.startswith("lite")]


def pressed(home: Path, line: str, *shell: str, until: bytes) -> bytes:
    """What a shell that somebody types `line` and a tab into shows, up to `until` or for a minute."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (50, 160))
    environment = os.environ | {"TERM": "xterm", "INPUTRC": "/dev/null", "HOME": str(home)}
    with subprocess.Popen(
        shell, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, start_new_session=True
    ) as running:
        os.close(theirs)
        seen, end, typed = b"", time.monotonic() + 60, False
        while until not in seen and time.monotonic() < end:
            if select.select([ours], [], [], 1)[0]:
                seen += os.read(ours, 4096)
            # Keys before the prompt would be echoed by the terminal, and a tab among them lost.
            if not typed and b"> " in seen:
                seen, typed = b"", True
                os.write(ours, f"{line}\t".encode())
        running.kill()
    os.close(ours)
    return seen


@needs_bash
def test_in_an_interactive_bash_a_tab_completes(home: Path) -> None:
    install("bash")
    assert BASH is not None
    (home / "rc").write_text(f"PS1='> '\nsource {shlex.quote(str(where(home, 'bash')))}\n")
    seen = pressed(home, "strataline recon", BASH, "--noprofile", "--rcfile", str(home / "rc"), "-i", until=b"struct ")
    assert b"strataline reconstruct " in seen


@needs_zsh
@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("strataline recon", b"strataline reconstruct"),
        ("strataline rej", b"strataline rejects"),
        ("strataline show cases/", b"strataline show cases/deep"),
        ("strataline reconstruct lo", b"strataline reconstruct logs"),
        ("strataline export case_a --to perfetto -o lo", b"-o logs"),
        ("strataline examine --baseline sa", b"--baseline same-window"),
        ("strataline examine case_a --only F-0", b"delivered-despite-block"),
        ("strataline check case_a --require F-01=0,F-03", b"--require F-01=0,F-03=0"),
        ("strataline recognise --format litellm_p", b"--format litellm_proxy_json_logs="),
    ],
)
def test_in_an_interactive_zsh_a_tab_completes(home: Path, line: str, shown: bytes) -> None:
    (home / ".zshrc").write_text("PS1='> '\n")
    assert install("zsh", "--rc").exit_code == 0
    assert ZSH is not None
    assert shown in pressed(home, line, ZSH, "-d", "-i", until=shown)


def fished(line: str) -> list[tuple[str, str]]:
    """What fish offers at the end of `line`, each with its description."""
    install("fish")
    assert FISH is not None
    made = subprocess.run([FISH, "-c", f"complete -C {shlex.quote(line)}"], capture_output=True, check=True, text=True)
    assert made.stderr == ""
    return [(one, said) for one, _, said in (each.partition("\t") for each in made.stdout.splitlines())]


@needs_fish
@pytest.mark.usefixtures("home")
def test_fish_completes_commands_options_cases_and_paths() -> None:
    assert [one for one, _ in fished("strataline re")] == [
        "recognise", "reconstruct", "regressions", "rejects", "report",
    ]  # fmt: skip
    assert [one for one, _ in fished("strataline completion install ")] == sorted(SHELLS)
    assert [one for one, _ in fished("strataline show ")] == ["case_a", "case_b"]
    assert [one for one, _ in fished("strataline show cases/")] == ["cases/deep"]
    assert [one for one, _ in fished("strataline show lo")] == ["logs/"]
    assert [one for one, _ in fished("strataline reconstruct lo")] == ["logs/"]
    assert [one for one, _ in fished("strataline export case_a -o lo")] == ["logs/"]
    helped = dict(fished("strataline examine case_a --a"))
    assert "all values compared, all changes" in helped["--all"], "a comma does not end what an option is for"


@needs_fish
@pytest.mark.usefixtures("home")
def test_fish_completes_checks_and_formats() -> None:
    assert fished("strataline check case_a --require F-03") == [("F-03=0", "failed-open")]
    assert fished("strataline check case_a --require F-01=0,F-03") == [("F-01=0,F-03=0", "failed-open")]
    assert fished("strataline recognise --format litellm_p") == [("litellm_proxy_json_logs=", "")]
