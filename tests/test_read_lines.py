"""Lines and what is built of them: every byte in one record or separator, whatever the pieces."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl
import pytest
from hypothesis import example, given, settings, strategies as st

from strataline.read.frame import FRAME, Reading, conform
from strataline.read.lines import HEAD_BYTES, sniff_end, sniff_sse, split_lines, split_sse

CAP = 40


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


def lines(data: bytes, size: int, cap: int = CAP) -> tuple[pl.DataFrame, Reading]:
    reading = Reading()
    frames = [conform(frame) for frame in split_lines(pieces(data, size), sniff_end(data), reading, cap)]
    return pl.concat([conform(pl.DataFrame()).clear(), *frames]), reading


def events(data: bytes, size: int, cap: int = 1000) -> tuple[pl.DataFrame, Reading]:
    reading = Reading()
    frames = [conform(frame) for frame in split_sse(pieces(data, size), sniff_end(data), reading, cap)]
    return pl.concat([conform(pl.DataFrame()).clear(), *frames]), reading


BYTES = st.lists(
    st.sampled_from([b"a", b"\n", b"\r", b"\r\n", b" ", b"\x00", b"\xff", b"x" * 39, b"x" * 41, bytes(39), bytes(43)])
).map(b"".join)


@given(BYTES, st.integers(1, 50))
@example(b"x" * 41 + b"\r\n", 41)
@settings(max_examples=300, deadline=None)
def test_every_byte_of_a_line_file_is_in_one_record_or_separator(data: bytes, size: int) -> None:
    found, reading = lines(data, size)
    end = sniff_end(data)
    at = 0
    for offset, length, text in found.select("offset", "length", "text").iter_rows():
        assert set(data[at:offset]) <= set(b"\r\n")
        assert text == data[offset : offset + (length if length <= CAP else min(length, HEAD_BYTES))]
        assert end not in data[offset : offset + length]
        at = offset + length
    assert set(data[at:]) <= set(b"\r\n")
    assert reading.record_bytes + reading.separator_bytes == len(data)
    assert reading.lines == found["line"].n_unique()


@given(BYTES, st.integers(1, 50))
@settings(max_examples=200, deadline=None)
def test_lines_do_not_depend_on_the_pieces(data: bytes, size: int) -> None:
    assert lines(data, size)[0].equals(lines(data, 10_000)[0])


@pytest.mark.parametrize(
    ("head", "end"), [(b"a\rb\rc", b"\r"), (b"a\r\nb", b"\n"), (b"a\nb\rc", b"\n"), (b"a", b"\n"), (b"a\r", b"\n")]
)
def test_carriage_return_ends_a_line_only_where_there_is_no_line_feed(head: bytes, end: bytes) -> None:
    assert sniff_end(head) == end


def test_line_separators_of_unicode_end_no_line() -> None:
    found, _ = lines('{"a":"x\u2028y\u2029z\x85\x0b\x0c"}\nb'.encode(), 3)
    assert found["text"].to_list() == ['{"a":"x\u2028y\u2029z\x85\x0b\x0c"}'.encode(), b"b"]


SSE = b': ping\n\nevent: chunk\nid: 7\ndata: {"a":\ndata: 1}\n\ndata:[DONE]\nretry: 5\n\n\ndata: last'


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_event_stream_gives_the_data_of_each_event_and_what_stands_beside_it(end: bytes, size: int) -> None:
    data = SSE.replace(b"\n", end)
    found, reading = events(data, size)
    assert found["text"].to_list() == [b"", b'{"a":\n1}', b"[DONE]", b"last"]
    # A stream of completions ends with a word that is no record.
    assert found["fault"].to_list() == [FRAME, None, FRAME, None]
    known = [{one["key"]: one["value"] for one in row} for row in found["envelope"].to_list()]
    assert known[1] == {"envelope": "sse", "id": "7", "labels.event": "chunk"}
    assert known[2] == {"envelope": "sse", "labels.retry": "5"}
    assert reading.record_bytes + reading.separator_bytes == len(data)
    spans = [data[offset : offset + length] for offset, length in found.select("offset", "length").iter_rows()]
    assert spans[1].startswith(b"event: chunk")
    assert spans[1].endswith(b"data: 1}")
    assert b"".join(spans) + bytes(reading.separator_bytes) == b"".join(spans) + bytes(len(data) - sum(map(len, spans)))


def test_line_of_an_event_stream_that_is_no_field_is_a_record() -> None:
    data = b'data: 1\ncurl: (18) transfer closed\n{"error": "x"}\ndata: 2\n\n'
    found, reading = events(data, 5)
    assert found["text"].to_list() == [b"1", b"curl: (18) transfer closed", b'{"error": "x"}', b"2"]
    assert found["raw"].to_list() == [False, True, True, False]
    assert reading.record_bytes + reading.separator_bytes == len(data)


def test_event_that_outgrows_the_cap_loses_its_text_and_no_other_does() -> None:
    found, reading = events(b"data: " + b"x" * 60 + b"\n\ndata: y\n\n", 5, cap=50)
    assert found["fault"].to_list() == ["too_long", None]
    assert found["text"].to_list()[1] == b"y"
    assert reading.record_bytes + reading.separator_bytes == 77


@pytest.mark.parametrize(
    ("head", "is_one"),
    [(SSE, True), (b"data: 1\n\n", True), (b": ping\n\n: ping\n\n", False), (b'{"data": 1}\n', False), (b"", False)],
)
def test_event_stream_is_told_by_its_fields(head: bytes, *, is_one: bool) -> None:
    assert sniff_sse(head, whole=True) is is_one
