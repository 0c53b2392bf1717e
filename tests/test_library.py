"""The library as a pipeline author holds it: Arrow tables in memory, no prints, no surprises."""

from __future__ import annotations

import inspect
import logging
import os
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

import strataline
from strataline import Case, CaseError, Format, FormatError, InputError, StrataError
from strataline.event import TABLES

REPOSITORY = Path(__file__).resolve().parent.parent
SAMPLES = REPOSITORY / "sample_logs" / "formats"
FORMATS = REPOSITORY / "sample_logs" / "assist_incident" / "formats"
REQUEST = "4ad89d7b-cbc5-47f9-ac30-c72a87cbafde"


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exports") / "logs"
    folder.mkdir()
    for sample in (
        FORMATS / "assist_prompt_log" / "prompt.jsonl",
        FORMATS / "policyd_json" / "policy-a.jsonl",
        SAMPLES / "uvicorn_access" / "uvicorn.log",
        SAMPLES / "posthog_events" / "events.jsonl",
    ):
        shutil.copy(sample, folder)
    return folder


@pytest.fixture(scope="module")
def case(logs: Path) -> Case:
    return strataline.reconstruct(logs, formats=[FORMATS])


def tables(case: Case) -> dict[str, pa.Table]:
    return {one.name: getattr(case, one.name) for one in TABLES}


def test_the_public_names_are_these() -> None:
    assert sorted(strataline.__all__) == [
        "Case", "CaseError", "CheckError", "Format", "FormatError", "InputError", "StrataError", "Survey",
        "reconstruct", "survey",
    ]  # fmt: skip
    assert all(getattr(strataline, name) for name in strataline.__all__)
    assert inspect.isfunction(strataline.reconstruct)
    assert issubclass(CaseError, StrataError)
    assert issubclass(FormatError, StrataError)
    assert issubclass(InputError, StrataError)
    assert inspect.isclass(Format)
    assert (Path(strataline.__file__).parent / "py.typed").is_file()


def test_every_public_thing_says_what_it_does() -> None:
    for name in strataline.__all__:
        assert inspect.getdoc(getattr(strataline, name)), name
    for name, member in inspect.getmembers(Case):
        if not name.startswith("_"):
            assert inspect.getdoc(member), name


def test_tables_are_arrow_with_the_schemas_of_the_contract(case: Case) -> None:
    for one in TABLES:
        table = getattr(case, one.name)
        assert isinstance(table, pa.Table)
        assert table.schema == one.arrow_schema, one.name
        table.validate(full=True)
    assert case.events.num_rows > 40
    assert case.events["event_time"].type == pa.timestamp("ns", "UTC")


def test_a_pipeline_step_gets_tables_markdown_and_a_folder(logs: Path, tmp_path: Path) -> None:
    def step(paths: list[Path], out: Path) -> tuple[pa.Table, str]:
        case = strataline.reconstruct(paths, formats=[FORMATS], assume_zone="America/New_York")
        case.write(out)
        blocked = case.events.filter(pc.equal(case.events["verdict"], "block"))
        return blocked, case.markdown(limit=5)

    blocked, page = step(sorted(logs.iterdir()), tmp_path / "CASE")
    assert blocked.num_rows > 0
    assert set(blocked["layer"].to_pylist()) == {"policy"}
    assert page.startswith("# ")
    assert Case.open(tmp_path / "CASE").timeline(REQUEST).num_rows == 6


def test_a_timeline_is_an_arrow_table_in_order(case: Case) -> None:
    made = case.timeline(REQUEST)
    assert isinstance(made, pa.Table)
    assert made.schema == case.events.schema
    assert made["seq"].to_pylist() == list(range(6))
    kinds = ["ui.message_sent", "prompt.received", "policy.decision", "prompt.rendered", "prompt.sent", "ui.copied"]
    assert made["kind"].to_pylist() == kinds


@pytest.mark.parametrize(
    "named",
    [
        str,
        lambda folder: folder,
        lambda folder: [folder],
        lambda folder: [str(folder / "*.jsonl"), folder / "uvicorn.log"],
        lambda folder: (one for one in folder.iterdir()),
        lambda folder: {os.fspath(one) for one in folder.iterdir()},
    ],
    ids=["text", "path", "list", "globs", "generator", "set"],
)
def test_inputs_are_named_in_any_way_that_python_names_paths(
    logs: Path, case: Case, named: Callable[[Path], Any]
) -> None:
    assert strataline.reconstruct(named(logs), formats=[FORMATS]).events.equals(case.events)


def test_formats_may_be_one_folder_or_several(logs: Path, case: Case) -> None:
    assert strataline.reconstruct(logs, formats=(one for one in [str(FORMATS)])).events.equals(case.events)
    assert strataline.reconstruct(logs, formats=[FORMATS, FORMATS]).events.equals(case.events)


def test_a_single_folder_of_formats_needs_no_list(logs: Path, case: Case) -> None:
    # A text is a list of its letters: without care each letter is taken for a folder.
    assert strataline.reconstruct(logs, formats=str(FORMATS)).events.equals(case.events)


def test_progress_tells_bytes_that_grow_up_to_the_total(logs: Path) -> None:
    told: list[tuple[str, int, int]] = []
    strataline.reconstruct(logs, formats=[FORMATS], progress=lambda *step: told.append(step))
    sources, done, whole = zip(*told, strict=True)
    assert list(done) == sorted(done)
    assert set(whole) == {sum(one.stat().st_size for one in logs.iterdir())}
    assert (done[0], done[-1]) == (0, whole[0])
    assert list(dict.fromkeys(sources))[:4] == sorted(one.name for one in logs.iterdir())


def test_progress_moves_within_a_large_file(tmp_path: Path) -> None:
    line = b'2026-11-21 17:59:55,786 INFO:     127.0.0.1:58332 - "POST /api/chat HTTP/1.1" 200 OK\n'
    (tmp_path / "uvicorn.log").write_bytes(line * (18 * 1024 * 1024 // len(line)))
    told: list[int] = []
    strataline.reconstruct(tmp_path / "uvicorn.log", assume_zone="UTC", progress=lambda _, done, __: told.append(done))
    assert len(set(told)) > 2, "more than nothing and all"


def test_an_error_in_the_callers_progress_flies(logs: Path) -> None:
    def stop(source: str, done: int, whole: int) -> None:
        raise KeyError(source, done, whole)

    with pytest.raises(KeyError):
        strataline.reconstruct(logs, progress=stop)


def test_nothing_is_printed_logged_or_warned_of(
    logs: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = strataline.reconstruct(logs, formats=[FORMATS])
        folder = made.write(tmp_path / "CASE")
        opened = Case.open(folder)
        opened.verify(folder)
        opened.find(text="SAML")
        opened.summary()
        with pytest.raises(CaseError):
            opened.timeline("nothing")
    assert capfd.readouterr() == ("", "")
    assert caplog.records == []


def states() -> Iterator[object]:
    """What a library could leave changed in a process."""
    yield Path.cwd()
    yield dict(os.environ)
    yield sys.dont_write_bytecode
    yield list(sys.path)
    yield logging.getLogger().handlers[:]
    yield sorted(name for name in sys.modules if name.startswith("_strataline_format"))


def test_the_process_is_left_as_it_was_and_no_file_beside_the_inputs(logs: Path) -> None:
    before, lying = list(states()), sorted([*logs.rglob("*"), *FORMATS.rglob("*")])
    strataline.reconstruct(logs, formats=[FORMATS])
    assert list(states()) == before
    assert sorted([*logs.rglob("*"), *FORMATS.rglob("*")]) == lying


def test_twice_in_one_process_gives_the_same(logs: Path, case: Case) -> None:
    again = strataline.reconstruct(logs, formats=[FORMATS])
    assert tables(again) == tables(case)
    assert again.manifest == case.manifest


def test_in_several_threads_at_once_gives_the_same(logs: Path, case: Case) -> None:
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: strataline.reconstruct(logs, formats=[FORMATS]), range(8)))
    for one in made:
        assert tables(one) == tables(case)
    assert not sys.dont_write_bytecode or "PYTHONDONTWRITEBYTECODE" in os.environ, "restored by the last of them"


def test_one_case_may_be_asked_by_several_threads(case: Case) -> None:
    fresh = Case(case.frames, case.manifest, case.inputs)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: (fresh.which(REQUEST), fresh.find(text="SAML").height), range(16)))
    assert set(map(str, found)) == {str((case.which(REQUEST), case.find(text="SAML").height))}


MISTAKES: dict[str, dict[str, Any]] = {
    "a path that is not there": {"paths": ["nowhere.log"]},
    "no path at all": {"paths": []},
    "an empty path": {"paths": [""]},
    "a folder of formats that is not there": {"formats": ["nowhere"]},
    "a zone of no place": {"zones": {"*": "Mars/Olympus"}},
    "a zone of no place for all": {"assume_zone": "EST5EDT6"},
    "a zone for no source": {"zones": {"*.csv": "UTC"}},
    "a format of no name": {"force": {"*": "no_such_format"}},
    "a format for no source": {"force": {"*.csv": "uvicorn_access"}},
}


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
def test_a_callers_mistake_is_one_kind_of_error(
    logs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mistake: dict[str, Any]
) -> None:
    (tmp_path / "not asked for.log").write_text("x\n")
    monkeypatch.chdir(tmp_path)
    arguments: dict[str, Any] = {"paths": logs, "formats": [FORMATS]} | mistake
    with pytest.raises(StrataError) as caught:
        strataline.reconstruct(**arguments)
    assert caught.value.message
    assert not caught.value.message.endswith(".")


def utc_or_told(ask: Callable[[datetime], Any]) -> None:
    """A moment without a zone is taken as UTC, or is a mistake that speaks of the zone; nothing else."""
    naive = datetime(2026, 11, 21, 22, 59, 54)  # noqa: DTZ001
    told, found = "", None
    try:
        found = ask(naive)
    except StrataError as problem:
        told = str(problem)
    assert "zone" in told or (found is not None and found.equals(ask(naive.replace(tzinfo=UTC))))


def test_a_moment_without_a_zone_is_utc_or_a_mistake(logs: Path, case: Case) -> None:
    utc_or_told(lambda moment: case.find(at=moment))
    utc_or_told(lambda moment: strataline.reconstruct(logs, formats=[FORMATS], since=moment).events)
    utc_or_told(lambda moment: strataline.reconstruct(logs, formats=[FORMATS], until=moment).events)


def test_a_gap_as_long_as_time_splits_nothing(logs: Path, case: Case) -> None:
    for gap in (timedelta(days=36_500), timedelta.max):
        assert strataline.reconstruct(logs, formats=[FORMATS], reuse_gap=gap).events.equals(case.events)


def test_an_error_says_where_what_and_what_to_do() -> None:
    whole = StrataError("holds no FORMAT", path="formats/mine.py", line=3, hint="end the file in FORMAT = …")
    assert str(whole) == "formats/mine.py:3: holds no FORMAT\n  hint: end the file in FORMAT = …"
    assert str(StrataError("holds no FORMAT", path="formats/mine.py")) == "formats/mine.py: holds no FORMAT"
    assert str(StrataError("holds no FORMAT")) == "holds no FORMAT"
    assert (whole.message, whole.path, whole.line, whole.hint) == (
        "holds no FORMAT", "formats/mine.py", 3, "end the file in FORMAT = …",
    )  # fmt: skip


def test_importing_it_neither_prints_nor_loads_the_command_line() -> None:
    program = (
        "import sys, strataline; print(sorted(m for m in ('click', 'rich', 'strataline.cli') if m in sys.modules))"
    )
    made = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert (made.stdout, made.stderr) == ("[]\n", "")


def test_a_case_without_its_inputs_is_a_value(case: Case) -> None:
    alone = Case(case.frames, case.manifest, {})
    assert tables(alone) == tables(case)
    assert alone.evidence(alone.frames["events"].head(3)) == [None] * 3
    assert alone.find(text="you are Nimbus Assist").height > 0
