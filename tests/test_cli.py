"""The command line on small real logs: what it prints, where, with which exit status, and what it withstands."""

from __future__ import annotations

import json
import os
import pty
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from strataline.case import Case
from strataline.cli import main

REPOSITORY = Path(__file__).resolve().parent.parent
SAMPLES = REPOSITORY / "sample_logs" / "formats"
FORMATS = REPOSITORY / "sample_logs" / "assist_incident" / "formats"
PROGRAM = [sys.executable, "-c", "from strataline.cli import main; main()"]

REQUEST = "4ad89d7b-cbc5-47f9-ac30-c72a87cbafde"
SESSION = "01a20056-6747-758c-92b6-6aef85d8af0f"


@dataclass(frozen=True)
class Ran:
    status: int
    out: str
    err: str


def cli(*arguments: str | Path) -> Ran:
    """Run the program in this process; what is no exit status flies."""
    # Colours stay, so that what would reach a terminal is seen.
    result = CliRunner().invoke(main, [str(one) for one in arguments], color=True)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Ran(result.exit_code, result.stdout, result.stderr)


def run(*arguments: str | Path | bytes, **environment: str) -> Ran:
    """Run the program in a process of its own, without a terminal."""
    made = subprocess.run(
        [*PROGRAM, *arguments],
        capture_output=True, encoding="utf-8", errors="surrogateescape", timeout=60, check=False,
        stdin=subprocess.DEVNULL, env=os.environ | environment,
    )  # fmt: skip
    return Ran(made.returncode, made.stdout, made.stderr)


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Logs of all layers, as a responder would be handed them."""
    logs = tmp_path_factory.mktemp("exports") / "logs"
    for place, sample in {
        "app/prompt.jsonl": FORMATS / "assist_prompt_log" / "prompt.jsonl",
        "app/uvicorn.log": SAMPLES / "uvicorn_access" / "uvicorn.log",
        "gateway/standard_logging.jsonl": SAMPLES / "litellm_standard_logging" / "standard_logging.jsonl",
        "policy/policy-a.jsonl": FORMATS / "policyd_json" / "policy-a.jsonl",
        "retrieval/spans.otlp.jsonl": SAMPLES / "span_openinference" / "retriever.otlp.jsonl",
        "ui/events.jsonl": SAMPLES / "posthog_events" / "events.jsonl",
    }.items():
        (logs / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(sample, logs / place)
    return logs


@pytest.fixture(scope="module")
def written(exports: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    case = tmp_path_factory.mktemp("cases") / "CASE"
    assert cli("reconstruct", exports, "--formats", FORMATS, "-o", case).status == 0
    return case


@pytest.fixture
def case(written: Path, tmp_path: Path) -> Path:
    """A case that a test may change."""
    return Path(shutil.copytree(written, tmp_path / "CASE"))


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """One small log."""
    return Path(shutil.copy(SAMPLES / "uvicorn_access" / "uvicorn.log", tmp_path / "uvicorn.log"))


@pytest.fixture
def damaged(log: Path) -> Path:
    """The small log with two lines that cannot be read."""
    with log.open("ab") as file:
        file.write(b"2026-11-21 23:00:00,000 INFO: \xff\xfe\n\x00\x00\x00\n")
    return log


def files(folder: Path) -> dict[str, bytes]:
    return {one.name: one.read_bytes() for one in folder.iterdir()}


# Reconstructing


def test_a_run_writes_the_case_says_what_it_read_and_where_to_look(exports: Path, tmp_path: Path) -> None:
    case = tmp_path / "deep" / "CASE"
    made = cli("reconstruct", exports, "--formats", FORMATS, "-o", case)
    assert made.status == 0
    assert made.err == ""
    assert "6 sources" in made.out
    assert str(case) in made.out
    assert f"strataline show {case}" in made.out
    assert "app/uvicorn.log" in made.out, "the source whose zone was assumed"
    assert cli("verify", case).status == 0


@pytest.mark.slow
def test_threads_and_hashes_and_the_order_of_names_change_no_byte(exports: Path, tmp_path: Path) -> None:
    names = [*sorted((exports / "app").iterdir()), exports / "gateway", exports / "policy", exports / "ui"]
    for number, order in (("1", names), ("2", names[::-1])):
        made = run(
            "reconstruct", *order, "--formats", FORMATS, "-o", tmp_path / number, "--json",
            POLARS_MAX_THREADS=number, PYTHONHASHSEED=number,
        )  # fmt: skip
        assert made.status == 0, made.err
    one, other = files(tmp_path / "1"), files(tmp_path / "2")
    assert sorted(one) == sorted(other)
    assert [name for name in one if one[name] != other[name]] == []


def test_json_is_one_object(exports: Path, tmp_path: Path) -> None:
    made = cli("reconstruct", exports, "--formats", FORMATS, "-o", tmp_path / "CASE", "--json")
    summary = json.loads(made.out)
    assert summary["case"] == str(tmp_path / "CASE")
    assert summary["records"] == summary["with_events"] + summary["rejected"] + summary["skipped"]
    assert summary["requests"] == sum(summary["requests_by_kind"].values())
    assert made.out.count("\n") == 1


def test_json_is_one_object_beside_show_too(exports: Path) -> None:
    made = cli("reconstruct", exports, "--formats", FORMATS, "--show", REQUEST, "--json")
    assert made.status == 0
    chain = json.loads(made.out)["chain"]
    assert [event["seq"] for event in chain] == list(range(len(chain)))
    assert len(chain) > 1


def test_json_is_one_object_where_there_is_a_complaint(damaged: Path, tmp_path: Path) -> None:
    made = cli("reconstruct", damaged, "-o", tmp_path / "CASE", "--json", "--max-rejects", "0")
    assert made.status == 1
    assert json.loads(made.out)["rejected"] > 0


def test_show_without_output_prints_the_chain_and_writes_nothing(exports: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    made = cli("reconstruct", exports, "--formats", FORMATS, "--show", REQUEST)
    assert made.status == 0
    assert REQUEST in made.out
    assert "app/prompt.jsonl:2" in made.out
    assert "read" not in made.out.split("\n", maxsplit=1)[0], "no summary before it"
    assert sorted(tmp_path.rglob("*")) == before


def test_show_beside_output_does_both(exports: Path, tmp_path: Path) -> None:
    made = cli("reconstruct", exports, "--formats", FORMATS, "--show", REQUEST, "-o", tmp_path / "CASE")
    assert made.status == 0
    assert cli("show", tmp_path / "CASE", REQUEST).out in made.out


def test_neither_output_nor_show_is_a_mistake_that_is_told_before_reading(exports: Path) -> None:
    made = cli("reconstruct", exports)
    assert made.status == 2
    assert "-o CASE" in made.err


def test_rejects_above_the_limit_are_a_complaint(damaged: Path, tmp_path: Path) -> None:
    assert cli("reconstruct", damaged, "-o", tmp_path / "a").status == 0
    assert cli("reconstruct", damaged, "-o", tmp_path / "b", "--max-rejects", "2").status == 0
    made = cli("reconstruct", damaged, "-o", tmp_path / "c", "--max-rejects", "1")
    assert made.status == 1
    assert "2 rejects, more than --max-rejects 1" in made.err
    assert cli("verify", tmp_path / "c").status == 0, "the case was written"


def test_what_is_there_already_is_told_before_reading(exports: Path, case: Path, tmp_path: Path) -> None:
    before = files(case)
    made = cli("reconstruct", exports, "-o", case)
    assert (made.status, made.out) == (2, "")
    assert "--overwrite" in made.err
    assert files(case) == before
    other = tmp_path / "mine"
    other.mkdir()
    (other / "thesis.txt").write_text("years of work")
    made = cli("reconstruct", exports, "-o", other, "--overwrite")
    assert made.status == 2
    assert "choose another folder" in made.err
    assert (other / "thesis.txt").read_text() == "years of work"


def test_a_folder_with_a_manifest_of_something_else_is_not_replaced(log: Path, tmp_path: Path) -> None:
    other = tmp_path / "extension"
    other.mkdir()
    (other / "manifest.json").write_text('{"manifest_version": 3, "name": "mine"}')
    (other / "background.js").write_text("// years of work")
    made = cli("reconstruct", log, "-o", other, "--overwrite")
    assert made.status == 2
    assert (other / "background.js").read_text() == "// years of work"


def test_overwrite_replaces_a_case(log: Path, case: Path) -> None:
    assert cli("reconstruct", log, "-o", case, "--overwrite").status == 0
    assert Case.open(case).sources.num_rows == 1


def test_limit_leaves_requests_out_of_the_timeline_alone(exports: Path, tmp_path: Path) -> None:
    assert cli("reconstruct", exports, "--formats", FORMATS, "-o", tmp_path / "a", "--limit", "1").status == 0
    one = (tmp_path / "a" / "timeline.md").read_text(encoding="utf-8")
    made = Case.open(tmp_path / "a")
    assert made.requests.num_rows > 1
    assert len(one) < len(made.markdown())


def test_since_and_until_keep_what_overlaps_the_window(exports: Path, tmp_path: Path) -> None:
    window = ["--since", "2026-11-21T22:59:53", "--until", "2026-11-22T00:59:54+02:00"]
    assert cli("reconstruct", exports, "--formats", FORMATS, "-o", tmp_path / "a", *window).status == 0
    made = Case.open(tmp_path / "a")
    assert made.which(REQUEST)
    assert made.which("55604c48-422c-4952-ba55-6025ae87131e")
    assert made.which("77a625ec-7330-4bfb-9d2f-70c7c3df5e6a") == [], "a turn that began eight seconds later"


@pytest.mark.parametrize(
    "arguments",
    [
        ["--since", "yesterday"],
        ["--until", "2026-13-01"],
        ["--reuse-gap", "6"],
        ["--reuse-gap", "-6h"],
        ["--reuse-gap", "99999999999999d"],
        ["--limit", "-1"],
        ["--max-record", "0"],
        ["--max-rejects", "-1"],
        ["--excerpts", "long"],
        ["--zone", "America/New_York"],
        ["--zone", "*="],
        ["--no-such-option"],
    ],
    ids=" ".join,
)
def test_a_mistake_in_an_option_is_told_with_the_option(log: Path, tmp_path: Path, arguments: list[str]) -> None:
    made = cli("reconstruct", log, "-o", tmp_path / "CASE", *arguments)
    assert made.status == 2
    assert arguments[0] in made.err
    assert "Traceback" not in made.err
    assert not (tmp_path / "CASE").exists()


def told(made: Ran, *words: str) -> None:
    """One message with a hint, exit status 2, nothing on standard output."""
    assert made.status == 2
    assert made.out == ""
    assert made.err.startswith("strataline: ")
    assert "Traceback" not in made.err
    for word in words:
        assert word in made.err


def test_a_zone_that_fits_no_source_is_told(exports: Path, tmp_path: Path) -> None:
    made = cli("reconstruct", exports, "-o", tmp_path / "CASE", "--zone", "gateway/*.log=America/New_York")
    told(made, "gateway/*.log", "hint: sources are named app/prompt.jsonl")
    assert not (tmp_path / "CASE").exists()


@pytest.mark.parametrize("option", [["--zone", "*=Mars/Olympus"], ["--assume-zone", "New York"]], ids=" ".join)
def test_a_zone_of_no_place_is_told(exports: Path, tmp_path: Path, option: list[str]) -> None:
    name = option[1].rpartition("=")[2]
    told(cli("reconstruct", exports, "-o", tmp_path / "CASE", *option), name, "hint: ", "Europe/Berlin")


def test_a_format_that_is_not_there_is_told(log: Path, tmp_path: Path) -> None:
    told(cli("reconstruct", log, "-o", tmp_path / "C", "--format", "uvicorn=*.log"), "'uvicorn'", "uvicorn_access")
    made = cli("reconstruct", log, "-o", tmp_path / "C", "--format", "uvicorn_access=*.txt")
    told(made, "*.txt", "hint: sources are named uvicorn.log")


def test_a_glob_may_hold_an_equals_sign(log: Path, tmp_path: Path) -> None:
    # So are the folders of a data lake named.
    lake = tmp_path / "lake"
    (lake / "dt=2026-11-21").mkdir(parents=True)
    shutil.move(log, lake / "dt=2026-11-21" / "uvicorn.log")
    options = ["--zone", "dt=2026-11-21/*=America/New_York", "--format", "uvicorn_access=dt=2026-11-21/*"]
    made = cli("reconstruct", lake, "-o", tmp_path / "CASE", *options)
    assert made.status == 0, made.err
    row = Case.open(tmp_path / "CASE").sources.to_pylist()[0] | {"first_time": None, "last_time": None}
    assert (row["zone"], row["format_basis"]) == ("America/New_York", "option")


def test_of_two_zones_that_fit_the_last_one_counts(log: Path, tmp_path: Path) -> None:
    options = ["--zone", "*=America/New_York", "--zone", "uvicorn*=Asia/Kolkata"]
    assert cli("reconstruct", log, "-o", tmp_path / "CASE", *options).status == 0
    assert Case.open(tmp_path / "CASE").sources["zone"].to_pylist() == ["Asia/Kolkata"]


# Inputs that cannot be read


UNREADABLE = Path("/proc/self/mem")
"""A file that opens and cannot be read, for the superuser too: permissions would not stop one."""

needs_proc = pytest.mark.skipif(not UNREADABLE.exists(), reason="needs a file that nobody can read")


@needs_proc
def test_a_file_that_cannot_be_read_is_a_complaint_and_the_others_are_read(log: Path, tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    shutil.move(log, tmp_path / "logs" / "uvicorn.log")
    (tmp_path / "logs" / "gateway.log").symlink_to(UNREADABLE)
    made = cli("reconstruct", tmp_path / "logs", "-o", tmp_path / "CASE")
    assert made.status == 1
    assert "gateway.log: cannot be read" in made.err
    case = Case.open(tmp_path / "CASE")
    assert case.sources["source"].to_pylist() == ["gateway.log", "uvicorn.log"]
    assert [note["source"] for note in case.notes.to_pylist() if note["topic"] == "unreadable"] == ["gateway.log"]
    assert case.events.num_rows > 0


@needs_proc
def test_where_no_file_can_be_read_nothing_is_written(tmp_path: Path) -> None:
    (tmp_path / "gateway.log").symlink_to(UNREADABLE)
    told(cli("reconstruct", tmp_path / "gateway.log", "-o", tmp_path / "CASE"), "gateway.log")
    assert not (tmp_path / "CASE").exists()


def test_a_link_that_leads_nowhere_is_a_complaint_and_the_others_are_read(log: Path, tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    shutil.move(log, tmp_path / "logs" / "uvicorn.log")
    (tmp_path / "logs" / "uvicorn.log.1").symlink_to(tmp_path / "rotated away")
    (tmp_path / "logs" / "loop.log").symlink_to("loop.log")
    made = cli("reconstruct", tmp_path / "logs", "-o", tmp_path / "CASE")
    assert made.status == 1
    assert "uvicorn.log.1" in made.err
    assert "loop.log" in made.err


def test_a_linked_log_keeps_the_name_it_was_given(log: Path, tmp_path: Path) -> None:
    # So lie the logs of containers: app/0.log is a link to some other place.
    (tmp_path / "logs" / "app").mkdir(parents=True)
    (tmp_path / "logs" / "app" / "current.log").symlink_to(log)
    made = cli("reconstruct", tmp_path / "logs", "-o", tmp_path / "CASE", "--zone", "app/*=UTC")
    assert made.status == 0, made.err
    assert Case.open(tmp_path / "CASE").sources["source"].to_pylist() == ["app/current.log"]
    assert cli("verify", tmp_path / "CASE", "--inputs", tmp_path / "logs").status == 0


def test_a_linked_folder_is_read_or_named(log: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    shutil.copy(log, tmp_path / "elsewhere" / "other.log")
    (tmp_path / "logs").mkdir()
    shutil.move(log, tmp_path / "logs" / "uvicorn.log")
    (tmp_path / "logs" / "pods").symlink_to(tmp_path / "elsewhere")
    made = cli("reconstruct", tmp_path / "logs", "-o", tmp_path / "CASE")
    case = Case.open(tmp_path / "CASE")
    read = "pods/other.log" in case.sources["source"].to_pylist()
    named = any("pods" in f"{row['source']} {row['subject']} {row['detail']}" for row in case.notes.to_pylist())
    assert read or named or "pods" in made.err


@pytest.mark.parametrize("name", ["nowhere.log", "nowhere/*.log", "", "empty", "hidden"])
def test_a_name_at_which_nothing_lies_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    work = tmp_path / "work"
    (work / "empty").mkdir(parents=True)
    (work / "hidden").mkdir()
    (work / "hidden" / ".log").write_text("x\n")
    (work / "not asked for.log").write_text("x\n")
    monkeypatch.chdir(work)
    told(cli("reconstruct", name, "-o", tmp_path / "CASE"), "nothing to read", "hint: ")
    assert not (tmp_path / "CASE").exists()


def test_an_empty_file_and_a_binary_file_are_read_and_said(log: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.log").write_bytes(b"")
    (tmp_path / "core").write_bytes(random.Random(7).randbytes(50_000))  # noqa: S311 - no secret
    (tmp_path / "blank.log").write_bytes(b"\n\r\n \n")
    made = cli(
        "reconstruct", log, tmp_path / "empty.log", tmp_path / "core", tmp_path / "blank.log", "-o", tmp_path / "C"
    )
    assert made.status == 1, "nothing of one of them could be read"
    assert "core" in made.out
    rows = {row[0]: row[1:] for row in Case.open(tmp_path / "C").frames["sources"].select(
        "source", "records", "with_events", "rejected", "skipped").iter_rows()}  # fmt: skip
    assert rows["empty.log"] == (0, 0, 0, 0)
    assert rows["blank.log"] == (3, 0, 0, 3)
    records, with_events, rejected, skipped = rows["core"]
    assert records == rejected + skipped > 0 == with_events
    assert cli("verify", tmp_path / "C").status == 0


HOSTILE = {
    "a newline": b"a\nb.log",
    "quotes": b'it\'s "quoted" `here`.log',
    "Markdown and HTML": b"[x](http:) | <img src=x> *b*.log",
    "letters of other scripts": "журнал-日志-🙂.log".encode(),
    "a terminal's commands": b"\x1b[2J\x1b[31mred.log",
    "a right-to-left override": "gol\u202e.exe.log".encode(),
    "a glob": b"[a-z]*?.log",
    "a leading dash": b"-rf.log",
    "a backslash": b"a\\b.log",
    "bytes that are no UTF-8": b"caf\xe9.log",
}
UNSEEN = ["\x1b", "\u202e"]


@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_file_name_is_read_and_never_printed_as_it_is(log: Path, tmp_path: Path, name: bytes) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    hostile = folder / os.fsdecode(name)
    shutil.move(log, hostile)
    case = tmp_path / "CASE"
    ran = [cli("reconstruct", folder, "-o", case), cli("verify", case), cli("find", case, "--text", "GET")]
    assert [one.status for one in ran] == [0, 0, 0]
    assert "0 events" not in ran[2].out
    hostile.unlink()
    gone = cli("verify", case)
    assert gone.status == 1
    assert gone.out.count("\n") == 1, "one sentence, one line"
    pages = [text for one in [*ran, gone] for text in (one.out, one.err)]
    pages.append((case / "timeline.md").read_text(encoding="utf-8"))
    assert [mark for mark in UNSEEN for text in pages if mark in text] == []


@needs_proc
def test_a_hostile_name_of_a_file_that_cannot_be_read_is_not_printed_as_it_is(log: Path, tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    shutil.move(log, tmp_path / "logs" / "uvicorn.log")
    (tmp_path / "logs" / "\x1b[2Jgateway.log").symlink_to(UNREADABLE)
    made = cli("reconstruct", tmp_path / "logs", "-o", tmp_path / "CASE")
    assert made.status == 1
    assert "gateway.log" in made.err
    assert "\x1b" not in made.err + made.out


# Formats of one's own

SOUND = (FORMATS / "policyd_text.py").read_text(encoding="utf-8")
BROKEN = {
    "a syntax error": ("policyd.py", "FORMAT = Format(\n", "SyntaxError"),
    "bytes that are no Python": ("policyd.py", "\x00\x01", "policyd.py"),
    "no FORMAT": ("policyd.py", "import polars as pl\n", "FORMAT"),
    "a FORMAT that is none": ("policyd.py", "FORMAT = {'name': 'policyd'}\n", "FORMAT"),
    "an import of what is not there": ("policyd.py", "import no_such_package\nFORMAT = 1\n", "no_such_package"),
    "an error of its own": ("policyd.py", "raise RuntimeError('not today')\nFORMAT = 1\n", "not today"),
    "a way out": ("policyd.py", "import sys\nsys.exit(0)\nFORMAT = 1\n", "policyd.py"),
    "another name": ("policyd.py", SOUND, "policyd_text"),
    "the name of a shipped format": (
        "uvicorn_access.py",
        SOUND.replace('"policyd_text"', '"uvicorn_access"'),
        "second",
    ),
    "a layer that is none": ("policyd_text.py", SOUND.replace('layer="policy"', 'layer="filter"'), "filter"),
    "a column that is none": (
        "policyd_text.py",
        SOUND.replace('"policy_version"', '"policy_revision"'),
        "policy_revision",
    ),
    "a pattern that does not compile": (
        "policyd_text.py",
        SOUND.replace("pattern=", 'pattern="(?P<x" + '),
        "policyd_text",
    ),
}


@pytest.mark.parametrize(("file", "source", "word"), BROKEN.values(), ids=BROKEN)
def test_a_broken_format_file_is_told_with_its_path_and_a_hint(
    log: Path, tmp_path: Path, file: str, source: str, word: str
) -> None:
    folder = tmp_path / "formats"
    folder.mkdir()
    (folder / file).write_text(source)
    made = cli("reconstruct", log, "--formats", folder, "-o", tmp_path / "CASE")
    told(made, str(folder / file), word, "hint: ")
    assert made.err.count("strataline: ") == 1
    assert not (tmp_path / "CASE").exists()


def test_a_format_that_names_a_field_it_does_not_declare_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "formats"
    folder.mkdir()
    (folder / "policyd_text.py").write_text(SOUND.replace('"policy_version": "', '"policy_version": "no_such_field_'))
    logs = FORMATS / "policyd_text" / "policy-b.log"
    told(cli("reconstruct", logs, "--formats", folder, "-o", tmp_path / "CASE"), "policyd_text", "no_such_field_")


def test_a_folder_of_formats_that_is_not_there_is_told(log: Path, tmp_path: Path) -> None:
    told(cli("reconstruct", log, "--formats", tmp_path / "nowhere", "-o", tmp_path / "CASE"), str(tmp_path / "nowhere"))


# Asking a case


def test_show_prints_one_chain_by_any_id(case: Path) -> None:
    shown = cli("show", case, REQUEST)
    assert (shown.status, shown.err) == (0, "")
    request = Case.open(case).which(REQUEST)[0]
    for name in (request, request[:10], REQUEST.upper(), REQUEST.replace("-", ""), "77df0679b9bb6f69abd7c37dbbe8cbf9"):
        assert cli("show", case, name) == shown
    assert "app/prompt.jsonl:2" in shown.out


def test_show_lists_the_requests_of_a_session_and_of_a_user(case: Path) -> None:
    for name in (SESSION, "u_17063"):
        listed = cli("show", case, name)
        assert listed.status == 0
        requests = Case.open(case).which(name)
        assert len(requests) > 1
        assert f"{len(requests)} requests" in listed.out
        assert [one for one in requests if one[:12] not in listed.out] == []


def test_show_says_where_an_id_is_tied_to_nothing_or_is_not_there(case: Path) -> None:
    opened = Case.open(case)
    lone = next(
        row["ids"][0]["value"]
        for row in opened.frames["events"].select("request", "ids").rows(named=True)
        if row["request"] is None and row["ids"] and not opened.which(row["ids"][0]["value"])
    )
    carried = cli("show", case, lone)
    assert carried.status == 0
    assert "none of them is tied to a request" in carried.out
    absent = cli("show", case, "req_of_another_product")
    assert (absent.status, absent.out) == (1, "")
    assert "strataline find" in absent.err


def test_find_prints_what_holds_the_text_and_how_much_more_there_is(case: Path) -> None:
    found = cli("find", case, "--text", "which PLAN has saml")
    assert (found.status, found.err) == (0, "")
    assert "app/prompt.jsonl:3" in found.out
    many = cli("find", case, "--user", "u_17063", "--limit", "1")
    assert "more; --limit" in many.out
    assert cli("find", case, "--text", "no such words").out == "0 events of 0 requests\n"


def test_find_by_moment_takes_a_zone_and_a_width(case: Path) -> None:
    one = cli("find", case, "--at", "2026-11-21T22:59:54.083", "--within", "10s")
    other = cli("find", case, "--at", "2026-11-21T17:59:54.083-05:00", "--within", "10s")
    assert one == other
    assert "app/prompt.jsonl:3" in one.out
    assert "app/prompt.jsonl:3" not in cli("find", case, "--at", "2026-11-21T23:10", "--within", "1s").out


def test_find_asks_for_something_to_find(case: Path) -> None:
    made = cli("find", case)
    assert made.status == 2
    assert "--text" in made.err
    told(cli("find", case, "--text", " "), "empty")


def test_find_says_where_inputs_are_missing(exports: Path, tmp_path: Path) -> None:
    logs = Path(shutil.copytree(exports, tmp_path / "logs"))
    case = tmp_path / "CASE"
    assert cli("reconstruct", logs, "--formats", FORMATS, "-o", case).status == 0
    logs.rename(tmp_path / "archive")
    shallow = cli("find", case, "--text", "SAML")
    assert "--inputs DIR" in shallow.err
    assert "app/prompt.jsonl:3" in shallow.out
    deep = cli("find", case, "--text", "See the admin console under Settings", "--inputs", tmp_path / "archive")
    assert (deep.status, deep.err) == (0, "")
    assert "app/prompt.jsonl:3" in deep.out
    assert cli("show", case, REQUEST).status == 0
    assert cli("verify", case).status == 1
    assert cli("verify", case, "--inputs", tmp_path / "archive").status == 0


def test_verify_says_what_does_not_agree(case: Path) -> None:
    sound = cli("verify", case)
    assert (sound.status, sound.err) == (0, "")
    assert sound.out.startswith("verified: 6 inputs, 8 files, ")
    events = case / "events.parquet"
    pq.write_table(pq.read_table(events).slice(1), events)
    changed = cli("verify", case)
    assert changed.status == 1
    assert changed.out == "events.parquet: its content is not what was written\n"


@pytest.mark.parametrize("harm", [lambda file: file.unlink(), lambda file: os.truncate(file, 100)], ids=["gone", "cut"])
def test_verify_names_a_table_that_cannot_be_opened(case: Path, harm: Callable[[Path], None]) -> None:
    harm(case / "links.parquet")
    made = cli("verify", case)
    assert made.status in (1, 2)
    assert "links.parquet" in made.out + made.err


@pytest.mark.parametrize("command", [["show", "x"], ["find", "--text", "x"], ["verify"]], ids=lambda words: words[0])
def test_a_folder_that_is_no_case_is_told(tmp_path: Path, command: list[str]) -> None:
    told(cli(command[0], tmp_path, *command[1:]), str(tmp_path), "not a case", "hint: ")
    told(cli(command[0], tmp_path / "nowhere", *command[1:]), "not a case")


# Terminals, pipes and help


def test_without_a_terminal_there_is_no_bar_no_colour_and_nothing_on_standard_error(
    exports: Path, tmp_path: Path
) -> None:
    made = run("reconstruct", exports, "--formats", FORMATS, "-o", tmp_path / "CASE", FORCE_COLOR="1", TERM="xterm")
    assert (made.status, made.err) == (0, "")
    assert "\x1b" not in made.out


@pytest.mark.slow
def test_on_a_terminal_the_bar_goes_to_standard_error_and_json_stays_alone(exports: Path, tmp_path: Path) -> None:
    for option in ([], ["--json"]):
        main_end, other_end = pty.openpty()
        made = subprocess.run(
            [*PROGRAM, "reconstruct", exports, "--formats", FORMATS, "-o", tmp_path / f"CASE{len(option)}", *option],
            stdout=subprocess.PIPE, stderr=other_end, stdin=subprocess.DEVNULL, timeout=60, check=True,
            env=os.environ | {"TERM": "xterm"},
        )  # fmt: skip
        os.close(other_end)
        os.set_blocking(main_end, False)
        try:
            bar = os.read(main_end, 1 << 16)
        except OSError:  # nothing was written
            bar = b""
        os.close(main_end)
        assert bool(bar) == (not option)
        assert b"\x1b" not in made.stdout


def test_a_reader_that_goes_away_is_no_error(case: Path) -> None:
    with subprocess.Popen(
        [*PROGRAM, "find", case, "--at", "2026-11-21T23:00", "--within", "9d", "--limit", "1000"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as made:  # fmt: skip
        assert made.stdout is not None
        assert made.stderr is not None
        made.stdout.close()
        assert b"Traceback" not in made.stderr.read()


def test_a_terminal_that_knows_few_letters_gets_what_it_can_show(case: Path) -> None:
    made = run("show", case, REQUEST, PYTHONIOENCODING="ascii")
    assert made.status == 0, made.err[-300:]


def commands() -> list[click.Command]:
    return [main, *main.commands.values()]


@pytest.mark.parametrize("command", commands(), ids=lambda command: str(command.name))
def test_help_describes_every_option_and_argument(command: click.Command) -> None:
    names = [] if command is main else [str(command.name)]
    page = cli(*names, "--help")
    assert page.status == 0
    assert cli(*names, "-h") == page
    assert command.help
    folded = " ".join(page.out.split())
    for one in command.params:
        if isinstance(one, click.Option):
            assert one.help, one.name
            assert all(name in page.out for name in one.opts), one.name
            assert " ".join(one.help.split())[:40] in folded, one.name
        else:
            assert one.make_metavar(click.Context(command)).strip("[].").upper() in page.out
    assert re.search(r"Exit status: 0 [^;]+; [12] ", folded)
    for name, other in getattr(command, "commands", {}).items():
        assert name in page.out
        assert other.help


def test_the_version_is_that_of_the_package() -> None:
    made = cli("--version")
    assert made.status == 0
    assert made.out.strip().endswith("0.1.0")


def test_no_command_is_answered_with_help() -> None:
    made = cli()
    assert made.status == 2
    assert "reconstruct" in made.out + made.err
    assert cli("frobnicate").status == 2
