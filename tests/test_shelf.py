"""Whole rows wait in files while narrow ones are correlated: nothing that is made depends on where they waited."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner
from hypothesis import given, strategies as st
from polars.testing import assert_frame_equal

import strataline
from strataline.case import Case
from strataline.cli import main
from strataline.correlate import shelf as shelves, whole as whole_tables
from strataline.correlate.shelf import NAMED, Shelf
from strataline.correlate.work import FILLED, met, told_apart
from strataline.event import EVENTS
from strataline.export import parquet
from strataline.parse import Figures
from strataline.scratch import PREFIX, Scratch

ROOT = Path(__file__).resolve().parent.parent
SAMPLE = ROOT / "sample_logs" / "assist_incident"
TEXTS = st.lists(st.none() | st.text(max_size=4), max_size=12)


@pytest.fixture(scope="module")
def whole(incident: Callable[..., Case]) -> pl.DataFrame:
    return incident().frames["events"]


@pytest.fixture
def spilling(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing stays in memory."""
    monkeypatch.setattr(shelves, "MOST", -1)


def _files(case: Case, folder: Path) -> dict[str, bytes]:
    case.write(folder)
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"since": datetime(2026, 11, 20, 9, 30, tzinfo=UTC), "until": datetime(2026, 11, 20, 12, tzinfo=UTC)},
        {"excerpts": False, "workers": 1},
    ],
    ids=["all", "window", "alone"],
)
def test_a_case_is_the_same_wherever_its_rows_waited(
    options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def made() -> Case:
        return strataline.reconstruct(SAMPLE / "logs", formats=SAMPLE / "formats", **options)

    here = made()
    monkeypatch.setattr(shelves, "MOST", -1)
    there = made()
    assert isinstance(there.frames, parquet.Stored)
    assert not isinstance(here.frames, parquet.Stored)
    assert here.summary() == there.summary()
    assert _files(here, tmp_path / "here") == _files(there, tmp_path / "there")
    assert_frame_equal(here.frames["events"], there.frames["events"])


@pytest.mark.usefixtures("spilling")
def test_what_was_too_much_for_memory_goes_with_the_case(tmp_path: Path) -> None:
    case = strataline.reconstruct(SAMPLE / "logs", formats=SAMPLE / "formats", scratch=tmp_path)
    (folder,) = tmp_path.iterdir()
    assert folder.name.startswith(PREFIX)
    # The rows that waited are gone as soon as the tables are written.
    assert not list(folder.rglob("*.arrow"))
    case.write(tmp_path / "case")
    del case
    assert [one.name for one in tmp_path.iterdir()] == ["case"]
    assert not Case.open(tmp_path / "case", SAMPLE / "logs").verify(tmp_path / "case")


@pytest.mark.usefixtures("spilling")
def test_tables_outlive_the_case_that_they_were_made_with(tmp_path: Path) -> None:
    frames = strataline.reconstruct(SAMPLE / "logs", formats=SAMPLE / "formats", scratch=tmp_path).frames
    facts = Case(frames, {}, {}).facts()
    assert 0 < facts.look("event_id").height <= frames["events"].height
    del frames, facts
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("spilling")
def test_nothing_is_left_when_nothing_can_be_read(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "empty.zip"
    log.parent.mkdir()
    log.write_bytes(b"PK\x03\x04 no archive")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(strataline.StrataError):
        strataline.reconstruct(log, zones={"nothing": "UTC"}, scratch=tmp_path)
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.skipif(sys.platform == "win32", reason="files are locked in another way")
def test_what_a_crash_left_is_removed_and_what_is_in_use_is_not(tmp_path: Path) -> None:
    program = (
        f"import os; from strataline.scratch import Scratch; held = Scratch({str(tmp_path)!r}); held(); os._exit(1)"
    )
    subprocess.run([sys.executable, "-c", program], check=False)
    (left,) = tmp_path.iterdir()
    mine = Scratch(tmp_path)
    used = mine()
    assert not left.exists()
    other = Scratch(tmp_path)
    other()
    assert used.exists()
    other.remove()
    mine.remove()
    assert not list(tmp_path.iterdir())


@given(st.data())
def test_rows_come_back_in_any_order(whole: pl.DataFrame, data: st.DataObject) -> None:
    shelf = Shelf()
    ends = sorted(data.draw(st.lists(st.integers(0, whole.height), max_size=6)))
    bounds = [0, *ends, whole.height]
    shelf.add(shelf.whole(whole[first:last]) for first, last in pairwise(bounds))
    shelf.seen()
    some = st.lists(st.integers(0, whole.height - 1), min_size=1, max_size=40)
    runs = st.integers(0, whole.height - 41).map(lambda first: list(range(first, first + 40)))
    both = st.tuples(some, runs).map(lambda two: two[0] + two[1])
    asked = np.array(data.draw(st.one_of(some, runs, both)))
    assert_frame_equal(shelf.rows(asked), whole[asked].drop(*NAMED, *FILLED))


@given(st.data())
def test_rows_that_are_packed_anew_are_the_same(whole: pl.DataFrame, data: st.DataObject) -> None:
    shelf = Shelf()
    bounds = [0, *sorted(data.draw(st.lists(st.integers(0, whole.height), max_size=6))), whole.height]
    shelf.add(shelf.whole(whole[first:last]) for first, last in pairwise(bounds))
    shelf.seen()
    shuffled = np.random.default_rng(data.draw(st.integers(0, 999))).permutation(whole.height)
    asked = shuffled[: data.draw(st.integers(1, whole.height))]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(shelves, "_TOGETHER", data.draw(st.integers(1, 500)))
        patched.setattr(shelves, "_OFTEN", data.draw(st.sampled_from([0, 4])))
        row = shelf.arranged(asked)
    first = data.draw(st.integers(0, len(asked) - 1))
    assert_frame_equal(shelf.rows(row[first : first + 60]), whole[asked[first : first + 60]].drop(*NAMED, *FILLED))


@given(TEXTS, TEXTS, st.booleans())
def test_texts_are_told_apart_even_where_their_hashes_are_not(
    first: list[str | None], second: list[str | None], alike: bool
) -> None:
    columns = [pl.Series("a", first, dtype=pl.String), pl.Series("b", second, dtype=pl.String)]
    with pytest.MonkeyPatch.context() as patched:
        if alike:
            patched.setattr(pl.Series, "hash", lambda self: pl.Series([7] * len(self), dtype=pl.UInt64))
        texts, places = told_apart(columns)
    assert sorted(texts) == sorted({one for one in (*first, *second) if one is not None})
    assert [texts.gather(place).to_list() for place in places] == [first, second]


@given(TEXTS)
def test_numbers_follow_the_order_in_which_values_are_met(values: list[str | None]) -> None:
    order = {value: place for place, value in enumerate(dict.fromkeys(one for one in values if one is not None))}
    wanted = [None if value is None else order[value] for value in values]
    assert met(pl.Series(values, dtype=pl.String)).to_list() == wanted


@given(st.lists(st.integers(0, 1394), max_size=4).map(sorted))
def test_figures_add_up(whole: pl.DataFrame, ends: list[int]) -> None:
    bounds = [0, *ends, whole.height]
    figures = Figures()
    for first, last in pairwise(bounds):
        figures.take(Figures.of(whole[first:last]))
    assert figures == Figures.of(whole)
    assert figures.events == whole.height
    assert figures.untimed == whole["event_time"].null_count()
    assert {name: count for name, (count, _) in figures.formats.items()} == dict(
        whole.group_by("format").len().iter_rows()
    )


def test_tables_that_lie_in_files_are_written_as_they_are_or_anew(tmp_path: Path, whole: pl.DataFrame) -> None:
    parquet.write(EVENTS, whole, tmp_path / "events.parquet")
    stored = parquet.Stored(tmp_path, [EVENTS])
    stored.write(EVENTS, tmp_path / "copy.parquet")
    assert (tmp_path / "copy.parquet").read_bytes() == (tmp_path / "events.parquet").read_bytes()
    assert (tmp_path / "copy.parquet").stat().st_ino != (tmp_path / "events.parquet").stat().st_ino
    passing = parquet.Stored(tmp_path, [EVENTS], Scratch(tmp_path))
    passing.write(EVENTS, tmp_path / "link.parquet")
    assert (tmp_path / "link.parquet").stat().st_ino == (tmp_path / "events.parquet").stat().st_ino
    # One that another version wrote is written as this one does.
    old = tmp_path / "old"
    old.mkdir()
    whole.drop("delivered").write_parquet(old / "events.parquet")
    parquet.Stored(old, [EVENTS]).write(EVENTS, tmp_path / "new.parquet")
    assert pl.read_parquet_schema(tmp_path / "new.parquet") == EVENTS.schema
    shutil.rmtree(old)


def test_parts_of_a_table_make_the_file_that_the_whole_makes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: pl.DataFrame
) -> None:
    events = whole
    monkeypatch.setattr(parquet, "ROWS", 500)
    parquet.write(EVENTS, events, tmp_path / "whole")
    parquet.write(EVENTS, [events[:7], events[7:7], events[7:1200], events[1200:]], tmp_path / "parts")
    assert (tmp_path / "whole").read_bytes() == (tmp_path / "parts").read_bytes()
    assert_frame_equal(pl.concat(parquet.parts(EVENTS, tmp_path / "whole")), events)
    assert [one.height for one in parquet.parts(EVENTS, tmp_path / "whole")] == [500, 500, 394]
    parquet.write(EVENTS, [], tmp_path / "none")
    assert pl.read_parquet(tmp_path / "none").is_empty()


def test_a_table_that_was_written_anew_is_not_mixed_with_those_before(
    tmp_path: Path, incident: Callable[..., Case]
) -> None:
    incident().write(tmp_path / "case")
    opened = Case.open(tmp_path / "case")
    assert opened.frames["requests"].height
    incident().write(tmp_path / "case", overwrite=True)
    for read in (lambda: opened.frames["events"], lambda: opened.which("x"), lambda: opened.write(tmp_path / "other")):
        with pytest.raises(strataline.CaseError, match="written anew"):
            read()
    assert opened.frames["requests"].height


def test_a_log_in_no_order_makes_the_same_wherever_its_rows_waited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "ui.jsonl"
    lines = [
        f'{{"ts": "2026-01-02T03:{n % 60:02}:{n // 60:02}Z", "event": "answer_rendered", "requestId": "r{n:05}"}}'
        for n in range(3000)
    ]
    log.write_text("\n".join(lines) + "\n")
    here = strataline.reconstruct(log)
    monkeypatch.setattr(shelves, "MOST", -1)
    monkeypatch.setattr(whole_tables, "AT_ONCE", 50)
    monkeypatch.setattr(shelves, "_TOGETHER", 100)
    monkeypatch.setattr(shelves, "_OFTEN", 0)
    there = strataline.reconstruct(log)
    assert here.frames["events"].height == 3000
    assert _files(here, tmp_path / "here") == _files(there, tmp_path / "there")


def test_a_full_disk_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(shelves, "MOST", -1)
    monkeypatch.setattr(Path, "write_bytes", full)
    arguments = [
        "reconstruct",
        str(SAMPLE / "logs"),
        "--formats",
        str(SAMPLE / "formats"),
        "-o",
        str(tmp_path / "case"),
    ]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 2
    assert "No space left on device" in done.stderr
    assert list(tmp_path.iterdir()) == []
