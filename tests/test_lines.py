"""Text formats: one regex over a column, and the second reading of the lines that it refuses."""

from __future__ import annotations

import itertools
import time
from dataclasses import replace
from functools import cache
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, strategies as st

from strataline.errors import FormatError
from strataline.format import Event, Format, group
from strataline.parse import Kernel, Marks, Parsed, Plan, catalogue, parse_source
from strataline.parse.lines import Part, match, match_other, second_reading
from strataline.read.frame import conform

REPOSITORY = Path(__file__).resolve().parent.parent
OWN = REPOSITORY / "sample_logs" / "assist_incident" / "formats"

ACCESS = '2026-11-21 17:59:55,786 INFO:     127.0.0.1:58332 - "POST /api/chat HTTP/1.1" 200 OK'
STARTED = "2026-11-21 17:59:28,620 INFO:     Started server process [1132]"
DECISION = (
    "2026-11-22 00:00:00,917 INFO policyd: decision id=1 stage=input verdict=allow rule=- rev=2026.11.0 "
    "user=u_0042 session=sess-0007 ms=3.1"
)
SLOW = "2026-11-22 04:30:07,100 WARNING [worker-1] kb.search - slow query 812 ms k=4 q='How long do refunds take?'"


@cache
def formats() -> dict[str, Format]:
    return {name: one for name, one in catalogue([OWN]).items() if one.container == "text"}


GOOD = {"uvicorn_access": ACCESS, "policyd_text": DECISION, "kb_service_text": SLOW}
OTHER = {
    "uvicorn_access": STARTED,
    "policyd_text": "2026-11-22 00:00:00,917 INFO policyd: reloading",
    "kb_service_text": "2026-11-22 04:30:07,100 INFO [main] kb.server - listening on 0.0.0.0:8300",
}


def parse(fmt: Format, *lines: str) -> Parsed:
    raw = [line.encode() for line in lines]
    offsets = [sum(len(line) + 1 for line in raw[:number]) for number in range(len(raw))]
    batch = pl.DataFrame(
        {"line": range(1, len(raw) + 1), "offset": offsets, "length": [len(line) for line in raw], "text": raw},
        schema={"line": pl.Int64, "offset": pl.Int64, "length": pl.Int64, "text": pl.Binary},
    )
    return parse_source(Kernel(), Plan(Marks({}), forced=fmt), [conform(batch)]).result()


def rows(parsed: Parsed) -> list[tuple[int, int, str, str | None]]:
    """Offset, length, kind, why it was recovered."""
    return parsed.events.sort("offset").select("offset", "length", "kind", "recovered").rows()


# One regex over a column.


def test_fields_are_the_groups_of_a_line_that_the_pattern_describes() -> None:
    found = match(formats()["uvicorn_access"], pl.Series([ACCESS, STARTED, "", "banner"]))
    assert found["_described"].to_list() == [True, False, False, False]
    first = found.row(0, named=True)
    assert first["time"] == "2026-11-21 17:59:55,786"
    assert (first["method"], first["target"], first["status"], first["version"]) == ("POST", "/api/chat", "200", "1.1")


def test_pattern_describes_the_whole_line_or_nothing() -> None:
    fmt = formats()["uvicorn_access"]
    found = match(fmt, pl.Series([f"x{ACCESS}", f"{ACCESS} 1", f"{ACCESS}{ACCESS}", ACCESS[:-8], f" {ACCESS}"]))
    assert found["_described"].to_list() == [False] * 5


def test_empty_group_and_one_that_took_no_part_are_null() -> None:
    fmt = Format(
        name="kv",
        title="kv",
        layer="prompt",
        reference="none",
        container="text",
        pattern=r"a=(?P<a>\w*)(?: b=(?P<b>\w*))?",
        fields={"a": group("a"), "b": group("b"), "c": group("c")},
        events=(Event(kind="app.log"),),
    )
    found = match(fmt, pl.Series(["a=1 b=2", "a=1", "a= b=2"]))
    assert found.select("a", "b", "c").rows() == [("1", "2", None), ("1", None, None), (None, "2", None)]


@pytest.mark.parametrize("pattern", [r"(?P<a>\w+)(?=x)", r"(?P<a>\w)\1", "(?P<a>"])
def test_pattern_that_is_no_linear_regex_is_refused_with_the_name_of_its_format(pattern: str) -> None:
    with pytest.raises(FormatError, match="format mine: not a linear-time regex"):
        replace(formats()["uvicorn_access"], name="mine", pattern=pattern)


def test_other_line_gives_what_its_pattern_finds_and_is_not_described() -> None:
    found = match_other(formats()["uvicorn_access"], pl.Series([STARTED, "banner"]))
    assert found["_described"].to_list() == [False, False]
    assert found["time"].to_list() == ["2026-11-21 17:59:28,620", None]
    assert found["method"].to_list() == [None, None]


def test_format_without_other_finds_nothing_in_other_lines() -> None:
    found = match_other(replace(formats()["uvicorn_access"], other=None), pl.Series([STARTED]))
    assert found.row(0, named=True)["time"] is None


@pytest.mark.parametrize("name", GOOD)
def test_other_line_becomes_an_event_with_its_time_and_no_layer_facts(name: str) -> None:
    parsed = parse(formats()[name], GOOD[name], OTHER[name], "banner")
    events = parsed.events.sort("line")
    assert events["kind"].to_list()[1:] == ["log.other", "log.other"]
    assert events["recovered"].to_list() == [None, None, None]
    assert events["event_time"].is_not_null().to_list() == [True, True, False]
    assert events["input_excerpt"].to_list()[1:] == [OTHER[name], "banner"]
    assert events["attributes"].to_list()[1:] == [None, None]
    assert parsed.rejects.is_empty()


# The second reading.


def test_lines_that_ran_together_are_parted_where_a_record_begins() -> None:
    text = ACCESS + ACCESS
    wanted = [(0, len(ACCESS)), (len(ACCESS), len(text))]
    assert second_reading(formats()["uvicorn_access"], text) == [
        Part(start, end, described=True, why="merged_records") for start, end in wanted
    ]


@pytest.mark.parametrize("name", GOOD)
def test_merged_lines_are_two_events_and_counted_as_two_records(name: str) -> None:
    good = GOOD[name]
    parsed = parse(formats()[name], good, good + good, good)
    alone = rows(parse(formats()[name], good))[0][2]
    size = len(good)
    assert rows(parsed) == [
        (0, size, alone, None),
        (size + 1, size, alone, "merged_records"),
        (2 * size + 1, size, alone, "merged_records"),
        (3 * size + 2, size, alone, None),
    ]
    assert (parsed.records, parsed.with_events, parsed.rejected, parsed.recovered) == (4, 4, 0, 2)
    content = parsed.events.sort("offset").drop("event_id", "line", "offset", "length", "recovered")
    assert content.unique().height == 1, "a recovered line says what it says alone"


@pytest.mark.parametrize("name", GOOD)
def test_cut_line_that_another_ran_into_is_marked_and_costs_the_other_nothing(name: str) -> None:
    good = GOOD[name]
    cut = good[: len(good) - 14]
    parsed = parse(formats()[name], cut + good)
    assert [row[:2] for row in rows(parsed)] == [(0, len(cut)), (len(cut), len(good))]
    assert rows(parsed)[0][2:] == ("log.other", "merged_records, cut_short")
    assert rows(parsed)[1][3] == "merged_records"
    assert rows(parsed)[1][2] == rows(parse(formats()[name], good))[0][2]


@pytest.mark.parametrize("name", ["uvicorn_access", "kb_service_text"])
def test_merged_line_and_the_beginning_of_one_are_told_apart(name: str) -> None:
    good = GOOD[name]
    parsed = parse(formats()[name], good + good[:40])
    assert [row[3] for row in rows(parsed)] == ["merged_records", "merged_records, cut_short"]


def test_garbage_before_a_record_does_not_cost_the_record() -> None:
    parsed = parse(formats()["uvicorn_access"], "\x1b[0mgarbage " + ACCESS)
    assert [(kind, why) for *_, kind, why in rows(parsed)] == [
        ("log.other", "merged_records"),
        ("prompt.access", "merged_records"),
    ]


def test_line_that_only_quotes_the_beginning_of_a_record_stays_whole() -> None:
    text = f"{STARTED}: saw 'INFO: x' and 'ERROR: y'"
    assert second_reading(formats()["uvicorn_access"], text) == [Part(0, len(text), described=False, why=None)]


@pytest.mark.parametrize("name", GOOD)
def test_beginning_of_a_line_is_cut_short(name: str) -> None:
    good = GOOD[name]
    fmt = formats()[name]
    for at in range(25, len(good) - 14):
        assert second_reading(fmt, good[:at]) == [Part(0, at, described=False, why="cut_short")], good[:at]


def test_cut_line_is_an_event_that_says_so_and_keeps_its_time() -> None:
    parsed = parse(formats()["uvicorn_access"], ACCESS, "2026-11-21 18:00:17,477 INFO:     127.0.0.")
    (cut,) = parsed.events.filter(pl.col("line") == 2).select("kind", "recovered", "time_raw").rows()
    assert cut == ("log.other", "cut_short", "2026-11-21 18:00:17,477")
    assert [(note.topic, note.line, note.count) for note in parsed.notes] == [("recovered", 2, 1)]


def test_format_that_names_no_beginning_parts_nothing() -> None:
    fmt = replace(formats()["uvicorn_access"], begins=None)
    assert [part.why for part in second_reading(fmt, ACCESS + ACCESS)] == [None]


def test_line_with_characters_of_several_bytes_keeps_its_places_in_bytes() -> None:
    good = ACCESS.replace("/api/chat", "/é/😀")
    parsed = parse(formats()["uvicorn_access"], good + good, "ü" + good)
    size = len(good.encode())
    assert [row[:2] for row in rows(parsed)] == [
        (0, size), (size, size), (2 * size + 1, 2), (2 * size + 3, size),
    ]  # fmt: skip


fragments = st.sampled_from([*GOOD.values(), *OTHER.values(), "x", " ", "é", "\x00", "INFO: ", "2026-11-21 ", "'", '"'])


@given(
    st.sampled_from(sorted(GOOD)), st.lists(st.one_of(fragments, st.text(max_size=5)), max_size=6), st.integers(0, 90)
)
def test_parts_cover_the_line_in_order(name: str, pieces: list[str], cut: int) -> None:
    line = "".join(pieces).encode("utf-8", "replace").decode().replace("\n", "")
    line = line[: max(len(line) - cut, 0)]
    parts = second_reading(formats()[name], line)
    assert parts[0].start == 0
    assert parts[-1].end == len(line)
    assert all(one.end == two.start for one, two in itertools.pairwise(parts))
    assert all(part.why is not None for part in parts) or len(parts) == 1


# Cost: hostile lines, each by every format. A backtracking engine reads them, with its patience limited.

MEGABYTE = 1_000_000
HOSTILE = {
    "records begun": "2026-11-21 17:59:28,620 INFO:     ",
    "threads opened": "2026-11-21 17:59:28,620 INFO [",
    "levels": "INFO: ",
    "dates": "2026-11-21 17:59:28,620 ",
    "capitals": "A",
    "digits": "1",
    "spaces": " ",
    "quotes": "'",
    "words": "a ",
    "decisions": "2026-11-21 17:59:28,620 INFO policyd: decision id=",
    "fields": "id=a stage=b verdict=c ",
}
HEADS = {
    "uvicorn_access": '2026-11-21 17:59:28,620 INFO:     1 - "GET / HTTP/1.1" 200 ',
    "policyd_text": "2026-11-21 17:59:28,620 INFO policyd: decision id=1 stage=input verdict=allow rule=",
    "kb_service_text": "2026-11-21 17:59:28,620 INFO [a] kb.search - slow query 1 ms k=1 q='",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_megabyte_is_read_in_about_a_second(name: str, hostile: str) -> None:
    fmt, unit = formats()[name], HOSTILE[hostile]
    for line in (unit * (MEGABYTE // len(unit)), HEADS[name] + unit * (MEGABYTE // len(unit)) + "\x00"):
        before = time.process_time()
        parts = second_reading(fmt, line)
        match(fmt, pl.Series([line]))
        match_other(fmt, pl.Series([line]))
        assert time.process_time() - before < 5
        assert parts[-1].end == len(line)


def test_pattern_that_backtracks_without_end_is_given_up_on() -> None:
    fmt = replace(formats()["uvicorn_access"], pattern=r"(?:a|aa)+(?P<level>b)", begins=None)
    line = "a" * 5000 + "c"
    before = time.process_time()
    (part,) = second_reading(fmt, line)
    assert (part.start, part.end, part.described) == (0, len(line), False)
    assert time.process_time() - before < 5
