"""Continuation lines: tracebacks stay with their record, and no byte and no record is lost on the way."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl
import pytest
from hypothesis import given, settings, strategies as st

from strataline.read.continuation import Grouper
from strataline.read.frame import RECORDS, Reading, conform
from strataline.read.lines import split_lines

TRACE = [b"Traceback (most recent call last):", b'  File "a.py", line 1, in x', b"    y()", b"ValueError: bad"]
LINES = [
    *TRACE,
    b"2026-01-01 00:00:00 INFO text",
    b"  indented",
    b"\tat a.b.C(D.java:1)",
    b"Caused by: x",
    b"",
    b"  ",
    b'{"a": 1}',
    b"  INFO indented record",
    b"During handling of the above exception, another exception occurred:",
    b"plain",
]


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


def grouped(data: bytes, size: int = 10_000, cap: int = 1000) -> tuple[pl.DataFrame, Reading]:
    reading = Reading()
    grouper = Grouper(reading, cap)
    frames = [grouper.feed(conform(frame)) for frame in split_lines(pieces(data, size), b"\n", reading, cap)]
    return pl.concat([pl.DataFrame(schema=RECORDS), *frames, grouper.end()]), reading


def texts(*lines: bytes) -> list[bytes]:
    return grouped(b"\n".join(lines))[0]["text"].to_list()


def test_traceback_stays_with_the_text_that_it_follows_and_ends_with_its_exception() -> None:
    assert texts(b"2026-01-01 ERROR boom", *TRACE, b"next") == [b"\n".join([b"2026-01-01 ERROR boom", *TRACE]), b"next"]


def test_chained_tracebacks_are_one_record_with_the_blank_lines_between_them() -> None:
    chained = [*TRACE, b"", b"During handling of the above exception, another exception occurred:", b"", *TRACE]
    assert texts(*chained, b"", b"next") == [b"\n".join(chained), b"", b"next"]


def test_traceback_after_a_json_record_is_a_record_of_its_own() -> None:
    assert texts(b'{"a": 1}', *TRACE, b'{"b": 2}') == [b'{"a": 1}', b"\n".join(TRACE), b'{"b": 2}']


def test_exception_is_followed_by_the_next_record_even_without_its_name() -> None:
    assert texts(*TRACE[:3], b"2026-01-01 00:00:00 INFO on") == [b"\n".join(TRACE[:3]), b"2026-01-01 00:00:00 INFO on"]


def test_java_frames_and_their_origin_stay_with_their_record() -> None:
    record = [b"ERROR x", b"\tat a.B(C.java:1)", b"Caused by: y", b"\t... 3 more"]
    assert texts(*record, b"INFO z") == [b"\n".join(record), b"INFO z"]


def test_indented_lines_of_a_banner_are_lines() -> None:
    assert texts(b"", b"  ###  ", b"  # #  ", b"Starting", b"  with A") == [
        b"",
        b"  ###  ",
        b"  # #  ",
        b"Starting",
        b"  with A",
    ]


def test_indented_lines_that_begin_as_records_do_are_records() -> None:
    own = [b"  2026-01-01T00:00:00Z INFO a", b"  2026-01-01T00:00:01Z INFO b", b" ERROR c"]
    assert texts(*own) == own


def test_line_ends_inside_of_a_record_are_its_own() -> None:
    data = b"INFO a\r\n  b\r\n  c\r\nd\r\n"
    found, reading = grouped(data)
    assert found["text"].to_list() == [b"INFO a\r\n  b\r\n  c", b"d"]
    assert (reading.record_bytes, reading.separator_bytes) == (17, 4)


@given(st.lists(st.sampled_from(LINES), max_size=20), st.integers(1, 60), st.sampled_from([b"\n", b"\r\n"]))
@settings(max_examples=300, deadline=None)
def test_no_byte_is_lost_and_pieces_do_not_matter(rows: list[bytes], size: int, end: bytes) -> None:
    data = end.join(rows)
    found, reading = grouped(data, size)
    assert found.equals(grouped(data)[0])
    assert reading.record_bytes + reading.separator_bytes == len(data)
    at = 0
    for offset, length, text in found.sort("offset").select("offset", "length", "text").iter_rows():
        assert set(data[at:offset]) <= set(b"\r\n")
        assert text == data[offset : offset + length]
        at = offset + length


def test_record_that_outgrew_the_cap_takes_no_further_line() -> None:
    found, reading = grouped(b"INFO\n" + b"  at frame\n" * 30, cap=50)
    assert [(topic, count) for topic, _, count in reading.notes] == [("continuation_cut", 7)]
    assert max(found["length"].to_list()) <= 50
    assert found.height == 8


WRAPPED = [(b"2026-01-01 ERROR a", "p1"), (b"2026-01-01 ERROR b", "p2"), (TRACE[0], "p1"), (TRACE[0], "p2")]


def wrapped(rows: list[tuple[bytes, str]]) -> pl.DataFrame:
    made = [
        {"line": n + 1, "offset": 100 * n, "length": 50, "text": text, "raw": False}
        | {"envelope": [{"key": "pod", "value": pod}]}
        for n, (text, pod) in enumerate(rows)
    ]
    return conform(pl.DataFrame(made))


@pytest.mark.parametrize("size", [1, 2, 5, 100])
def test_lines_of_streams_that_alternate_go_to_their_own_record(size: int) -> None:
    rows = [*WRAPPED, (TRACE[1], "p2"), (TRACE[1], "p1"), (b"2026-01-01 INFO c", "p1")]
    grouper = Grouper(Reading(), 1000)
    frame = wrapped(rows)
    found = pl.concat([*(grouper.feed(frame.slice(at, size)) for at in range(0, len(rows), size)), grouper.end()])
    found = found.sort("offset")
    first, second = (b"\n".join([head, *TRACE[:2]]) for head in (b"2026-01-01 ERROR a", b"2026-01-01 ERROR b"))
    assert found["text"].to_list() == [first, second, b"2026-01-01 INFO c"]
    assert [[part["offset"] for part in parts] for parts in found["parts"].to_list()[:2]] == [
        [0, 200, 500],
        [100, 300, 400],
    ]
    assert found["length"].to_list() == [150, 150, 50]


def test_stream_that_went_quiet_is_not_waited_for() -> None:
    rows = [(b"2026-01-01 ERROR a", "quiet"), *[(b"2026-01-01 INFO b", "busy")] * 3000, (b"  late", "quiet")]
    grouper = Grouper(Reading(), 1000)
    given_out = grouper.feed(wrapped(rows[:-1]))
    assert given_out.height >= 2000
    rest = pl.concat([grouper.feed(wrapped(rows[-1:])), grouper.end()])
    assert b"  late" in rest["text"].to_list()


def test_records_of_one_address_stay_in_one_frame() -> None:
    rows = wrapped([(b"a", "p")] * 4).with_columns(offset=pl.Series([0, 7, 7, 7]), inner=pl.Series([0, 0, 1, 2]))
    grouper = Grouper(Reading(), 1000)
    assert grouper.feed(rows)["offset"].to_list() == [0]
    assert grouper.end()["offset"].to_list() == [7, 7, 7]


def test_tracebacks_that_alternate_without_end_are_held_back_in_bounded_memory() -> None:
    """Forty pods whose tracebacks overlap, one after another, for ever."""
    rows = [(line, f"pod{(number + shift) % 40}") for number in range(1500) for shift, line in enumerate(TRACE * 2)]
    frame = wrapped([(b"2026-01-01 ERROR", f"pod{pod}") for pod in range(40)] + rows)
    made, noted = [], []
    for size in (500, 3001):
        grouper, held, found = Grouper(Reading(), 1 << 20), 0, []
        for at in range(0, frame.height, size):
            found.append(grouper.feed(frame.slice(at, size)))
            held = max(held, 0 if grouper._held is None else grouper._held.height)
        made.append(pl.concat([*found, grouper.end()]).sort("offset"))
        noted.append([(topic, count) for topic, _, count in grouper._reading.notes])
        assert held <= 14_000
    assert made[0].equals(made[1])
    assert noted[0] == noted[1]
    assert noted[0][0][0] == "continuation_cut"
    assert made[0].height < frame.height
