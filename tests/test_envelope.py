from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings, strategies as st

from strataline.read.envelope import DEPTH, Envelope, Inner, Unwrapper, merged, plan
from strataline.read.frame import FRAME, RECORDS, conform


def outer(texts: Sequence[bytes | None], start: int = 0) -> pl.DataFrame:
    """Records as lines: each ends in one byte that is not its own."""
    at = start
    rows = []
    for number, text in enumerate(texts):
        size = len(text or b"12345")
        rows.append({"line": number + 1, "offset": at, "length": size, "text": text})
        at += size + 1
    schema = {name: RECORDS[name] for name in ("line", "offset", "length", "text")}
    return conform(pl.DataFrame(rows, schema=schema))


def rows(frame: pl.DataFrame) -> list[dict[str, Any]]:
    found = frame.to_dicts()
    for row in found:
        row["envelope"] = row["envelope"] and {pair["key"]: pair["value"] for pair in row["envelope"]}
        row["parts"] = row["parts"] and [(part["offset"], part["length"]) for part in row["parts"]]
    return found


def unwrap(texts: Sequence[bytes | None], *envelopes: Envelope, most: int = 1000) -> list[dict[str, Any]]:
    unwrapper = Unwrapper(envelopes, most)
    return rows(unwrapper.feed(outer(texts))) + rows(unwrapper.end())


def tagged(name: str, mark: bytes) -> Envelope:
    """``<mark>text`` holds text; ``<mark>a|b`` two; ``<mark>!`` nothing."""

    def read(text: bytes) -> list[Inner] | None:
        if not text.startswith(mark):
            return None
        inside = text[len(mark) :]
        return [] if inside == b"!" else [Inner(one, {"host": name, "id": ""}) for one in inside.split(b"|")]

    return Envelope(name, read)


A, B, C, D, E = (tagged(mark, mark.encode()) for mark in "ABCDE")


def read_pieces(text: bytes) -> list[Inner] | None:
    """``stream time more text``, several of them parted by ``;``."""
    found = []
    for one in text.split(b";"):
        if one.count(b" ") < 3:
            return None
        stream, time, more, inside = one.split(b" ", 3)
        found.append(Inner(inside, {"time": time.decode()}, more=more == b"P", joins=stream.decode()))
    return found


PIECES = Envelope("pieces", read_pieces)


def read_beside(text: bytes) -> list[Inner] | None:
    return [Inner(text, {"trace_id": "t"})] if text.startswith(b"{") else None


BESIDE = Envelope("beside", read_beside)


# --- plan


def names(chosen: Sequence[Envelope]) -> list[str]:
    return [one.name for one in chosen]


def test_a_plan_goes_from_the_outermost_inwards() -> None:
    assert names(plan([b"ABx", b"ABy"], lambda _: False, [A, B, C])) == ["A", "B"]


def test_a_plan_takes_the_first_that_opens_half() -> None:
    either = tagged("either", b"")
    assert names(plan([b"Ax", b"Ay", b"Bx", b"By", b"", b"  "], lambda _: False, [C, B, A])) == ["B"]
    assert names(plan([b"Ax", b"y", b"z"], lambda _: False, [A])) == []
    assert names(plan([b"Ax"], lambda _: False, [A, either])) == ["A", "either"]


def test_a_plan_is_four_deep_at_most() -> None:
    assert names(plan([b"ABCDEx"], lambda _: False, [A, B, C, D, E])) == ["A", "B", "C", "D"]
    assert names(plan([b"AAAAAAx"], lambda _: False, [A])) == ["A"] * DEPTH


def test_a_described_sample_ends_the_plan() -> None:
    seen = []

    def described(sample: list[bytes]) -> bool:
        seen.append(sample)
        return sample[0].startswith(b"B")

    assert names(plan([b"ABx", b"", b"ABy|Bz"], described, [A, B])) == ["A"]
    assert seen == [[b"ABx", b"ABy|Bz"], [b"Bx", b"By", b"Bz"]]
    assert plan([b"Bx"], lambda _: True, [A, B]) == []


def test_what_stands_beside_is_read_once_and_even_of_described_records() -> None:
    assert names(plan([b'{"a":1}'], lambda _: True, [A, BESIDE])) == ["beside"]
    assert names(plan([b'{"a":1}'], lambda _: False, [A, BESIDE])) == ["beside"]
    assert names(plan([b'A{"a":1}'], lambda sample: sample[0].startswith(b"{"), [A, BESIDE])) == ["A", "beside"]


def test_nothing_is_gained_by_a_wrapper_that_changes_and_knows_nothing() -> None:
    assert plan([b"x"], lambda _: False, [Envelope("same", lambda text: [Inner(text, {})])]) == []


def test_a_sample_of_control_messages_alone_is_one_of_envelopes() -> None:
    assert names(plan([b"A!", b"A!"], lambda _: False, [A])) == ["A"]


def test_an_empty_sample_has_no_envelopes() -> None:
    assert plan([], lambda _: False, [A]) == []
    assert plan([b"", b"  "], lambda _: False, [A]) == []


def test_pieces_are_put_together_before_the_next_wrapper_is_looked_for() -> None:
    assert names(plan([b"s 1 P A", b"s 2 F x", b"s 3 F Ay"], lambda _: False, [A, PIECES])) == ["pieces", "A"]


def test_short_pieces_that_never_end_are_whole_lines() -> None:
    sample = [b"s 1 P a", b"s 2 P b"]
    (one,) = plan(sample, lambda inside: inside[0] == b"a", [PIECES])
    assert [row["text"] for row in unwrap(sample, one)] == [b"a", b"b"]
    (one,) = plan([*sample, b"s 3 F c"], lambda inside: inside[0] == b"abc", [PIECES])
    assert [row["text"] for row in unwrap(sample, one)] == [b"ab"]
    long = [b"s 1 P " + b"a" * 8192, b"s 2 P " + b"b" * 8192]
    (one,) = plan(long, lambda inside: len(inside[0]) == 16384, [PIECES])
    assert len(unwrap(long, one)) == 1


# --- what is known


@pytest.mark.parametrize(
    ("around", "inside", "known"),
    [
        ({"host": "a", "pod": "p"}, {"host": "b"}, {"host": "b", "pod": "p"}),
        ({"host": "a"}, {"host": ""}, {"host": "a"}),
        ({"time": "1", "time_role": "write"}, {}, {"time": "1", "time_role": "write"}),
        ({"time": "1", "time_role": "write"}, {"time": "2"}, {"time": "2", "received": "1"}),
        (
            {"time": "1", "time_zone": "UTC", "ended": "3"},
            {"time": "2", "time_role": "event"},
            {"time": "2", "time_role": "event", "received": "1", "received_zone": "UTC"},
        ),
        ({"time": "1", "received": "9"}, {"time": "2"}, {"time": "2", "received": "9"}),
        ({"time": "1"}, {"time": "2", "received": "9"}, {"time": "2", "received": "9"}),
        ({"received": "8", "received_zone": "UTC"}, {"received": "9"}, {"received": "9"}),
    ],
)
def test_the_inner_wrapper_wins(around: dict[str, str], inside: dict[str, str], known: dict[str, str]) -> None:
    assert merged(around, inside) == known


def test_the_outermost_of_three_times_is_when_it_was_received() -> None:
    known: dict[str, str] = {}
    for time in "123":
        known = merged(known, {"time": time})
    assert known == {"time": "3", "received": "1"}


# --- Unwrapper


def test_what_is_inside_keeps_the_address_and_is_counted() -> None:
    first, second = unwrap([b"ABx|By"], A, B)
    assert first == {
        "line": 1,
        "offset": 0,
        "length": 6,
        "parts": None,
        "inner": 0,
        "text": b"x",
        "raw": False,
        "fault": None,
        "detail": None,
        "envelope": {"envelope": "A>B", "host": "B"},
    }
    assert second == first | {"inner": 1, "text": b"y"}


def test_what_is_known_is_in_order() -> None:
    keys = [pair["key"] for pair in Unwrapper([A]).feed(outer([b"Ax"]))["envelope"][0]]
    assert keys == sorted(keys) == ["envelope", "host"]


def test_what_is_not_opened_stays_as_it_is() -> None:
    frame = outer([b"x", b"", b"Bx"])
    assert Unwrapper([A, B]).feed(frame).equals(frame)
    (row,) = unwrap([b"Ax"], A, B)
    assert (row["text"], row["envelope"]["envelope"]) == (b"x", "A")


def test_without_a_plan_frames_pass() -> None:
    frame = outer([b"Ax"])
    assert Unwrapper([]).feed(frame) is frame
    assert Unwrapper([]).end().is_empty()


def test_rejects_pass() -> None:
    frame = outer([None, b"Ax", b"Ay"]).with_columns(
        fault=pl.Series([None, None, "invalid_utf8"]), detail=pl.Series([None, None, "byte 3"])
    )
    found = Unwrapper([A]).feed(frame)
    assert found["text"].to_list() == [None, b"x", b"Ay"]
    assert found.filter(pl.Series([True, False, True])).equals(frame.filter(pl.Series([True, False, True])))


def test_what_is_not_unpacked_is_a_reject() -> None:
    def read(text: bytes) -> list[Inner] | None:
        known = {"id": "i"}
        return [Inner(text, known, fault="not_unpacked", detail="met") if text == b"bad" else Inner(text + b"!", known)]

    one = Envelope("packed", read)
    found = unwrap([b"good", b"bad"], one, tagged("json", b"b"))
    assert [(row["text"], row["fault"], row["detail"]) for row in found] == [
        (b"good!", None, None),
        (b"bad", "not_unpacked", "met"),
    ]
    assert names(plan([b"bad"], lambda _: False, [one])) == ["packed"]
    assert plan([b"bad"], lambda _: False, [replace(one, weak=True)]) == []


def test_an_envelope_with_nothing_in_it_is_a_skip() -> None:
    unwrapper = Unwrapper([A, B])
    found = rows(unwrapper.feed(outer([b"A!", b"AB!|x"])))
    assert [(row["fault"], row["text"], row["detail"], row["raw"], row["inner"]) for row in found] == [
        (FRAME, b"A!", "A: nothing in it", True, 0),
        (FRAME, b"B!", "B: nothing in it", False, 0),
        (None, b"x", None, False, 1),
    ]
    assert [row["envelope"]["envelope"] for row in found] == ["A", "A>B", "A"]
    assert (unwrapper.empty, unwrapper.opened) == (2, [2, 1])


def test_an_empty_line_is_a_record_with_empty_text() -> None:
    assert [row["text"] for row in unwrap([b"A|x"], A)] == [b"", b"x"]


def test_the_envelopes_that_opened_something_are_named() -> None:
    unwrapper = Unwrapper([A, B])
    unwrapper.feed(outer([b"Ax"]))
    assert unwrapper.envelopes == ("A",)


def test_text_over_the_cap_is_null() -> None:
    assert [row["text"] for row in unwrap([b"A12345|123456"], A, most=5)] == [b"12345", None]
    bomb = Envelope("bomb", lambda _: [Inner(b"", {"host": "h"}, over=True), Inner(b"x", {})])
    first, second = unwrap([b"x"], bomb, A)
    assert (first["text"], first["fault"], first["raw"], first["envelope"]) == (
        None,
        None,
        False,
        {"envelope": "bomb", "host": "h"},
    )
    assert (second["text"], second["inner"]) == (b"x", 1)


def test_text_that_the_wrapper_leaves_alone_is_still_raw() -> None:
    (row,) = unwrap([b'{"a":1}'], BESIDE)
    assert (row["raw"], row["envelope"]) == (True, {"envelope": "beside", "trace_id": "t"})


def test_what_the_reader_knew_is_the_outermost() -> None:
    known = [[{"key": "host", "value": "h"}, {"key": "pod", "value": "p"}, {"key": "envelope", "value": "csv"}], None]
    frame = outer([b"Ax", b"y"]).with_columns(envelope=pl.Series(known, dtype=RECORDS["envelope"]))
    first, second = rows(Unwrapper([A]).feed(frame))
    assert first["envelope"] == {"envelope": "csv>A", "host": "A", "pod": "p"}
    assert second["envelope"] is None


def test_records_at_one_address_are_counted_on() -> None:
    frame = outer([b"Ax|y", b"Az", b"w"]).with_columns(offset=pl.lit(7), inner=pl.Series([0, 1, 2]))
    assert Unwrapper([A]).feed(frame)["inner"].to_list() == [0, 1, 2, 3]


def test_parts_of_the_record_outside_are_kept() -> None:
    parts = [[{"offset": 0, "length": 1}, {"offset": 5, "length": 3}]]
    frame = outer([b"Ax|y"]).with_columns(parts=pl.Series(parts, dtype=RECORDS["parts"]))
    for row in rows(Unwrapper([A]).feed(frame)):
        assert (row["parts"], row["length"]) == ([(0, 1), (5, 3)], 4)


# --- pieces


def test_pieces_become_one_record_where_the_last_lies() -> None:
    found = unwrap([b"s 1 P {a", b"s 2 P b", b"s 3 F c}", b"s 4 F d"], PIECES)
    assert found[0] == {
        "line": 1,
        "offset": 0,
        "length": 8 + 7 + 8,
        "parts": [(0, 8), (9, 7), (17, 8)],
        "inner": 0,
        "text": b"{abc}",
        "raw": False,
        "fault": None,
        "detail": None,
        "envelope": {"ended": "3", "envelope": "pieces", "time": "1"},
    }
    assert (found[1]["text"], found[1]["parts"], found[1]["offset"]) == (b"d", None, 26)
    assert "ended" not in found[1]["envelope"]


def test_streams_do_not_mix() -> None:
    found = unwrap([b"o 1 P a", b"e 2 P b", b"o 3 P c", b"e 4 F d", b"o 5 F e", b"e 6 F f"], PIECES)
    assert [row["text"] for row in found] == [b"bd", b"ace", b"f"]
    assert [row["parts"] for row in found] == [[(8, 7), (24, 7)], [(0, 7), (16, 7), (32, 7)], None]


def test_places_that_outer_wrappers_know_do_not_mix() -> None:
    def pod(text: bytes) -> list[Inner]:
        return [Inner(text[1:], {"pod": text[:1].decode()})]

    found = unwrap([b"1s 1 P a", b"2s 1 P b", b"1s 2 F c", b"2s 2 F d"], Envelope("pod", pod), PIECES)
    assert [row["text"] for row in found] == [b"ac", b"bd"]


def test_pieces_in_one_record_have_one_address() -> None:
    found = unwrap([b"s 1 P a;s 2 F b;s 3 F c;s 4 P d", b"s 5 F e;s 6 F f"], PIECES)
    assert [(row["text"], row["offset"], row["inner"], row["length"], row["parts"]) for row in found] == [
        (b"ab", 0, 0, 31, None),
        (b"c", 0, 1, 31, None),
        (b"de", 0, 2, 46, [(0, 31), (32, 15)]),
        (b"f", 32, 0, 15, None),
    ]


def test_what_was_put_together_is_unwrapped_further() -> None:
    found = unwrap([b"s 1 P A", b"s 2 P x|", b"s 3 F y", b"s 4 F Az"], PIECES, A)
    assert [(row["text"], row["offset"], row["inner"]) for row in found] == [(b"x", 0, 0), (b"y", 0, 1), (b"z", 25, 0)]
    assert found[0]["envelope"] == {"ended": "3", "envelope": "pieces>A", "host": "A", "time": "1"}


def test_pieces_of_pieces() -> None:
    found = unwrap([b"s 1 P t ", b"s 2 F 7 P a", b"s 3 F t 8 F b"], PIECES, PIECES)
    assert [(row["text"], row["parts"], row["inner"]) for row in found] == [(b"ab", [(0, 8), (9, 11), (21, 13)], 0)]
    assert found[0]["envelope"] == {"ended": "8", "envelope": "pieces>pieces", "received": "1", "time": "7"}


def test_what_never_ends_is_given_out_at_the_end() -> None:
    unwrapper = Unwrapper([PIECES, A])
    assert unwrapper.feed(outer([b"s 1 P A", b"t 1 P x", b"s 2 P y"])).is_empty()
    first, second = rows(unwrapper.end())
    assert (first["text"], first["parts"]) == (b"y", [(0, 7), (16, 7)])
    assert first["envelope"] == {
        "ended": "2",
        "envelope": "pieces>A",
        "host": "A",
        "partial": "unfinished",
        "time": "1",
    }
    assert (second["text"], second["parts"], second["length"]) == (b"x", None, 7)
    assert (unwrapper.pieces, unwrapper.joined, unwrapper.unfinished) == (3, 2, 2)


def test_pieces_over_the_cap_keep_their_addresses() -> None:
    texts = [b"s 1 P aaa", b"s 2 P bbb", b"s 3 F ccc", b"s 4 F d"]
    assert [row["text"] for row in unwrap(texts, PIECES, most=9)] == [b"aaabbbccc", b"d"]
    found = unwrap(texts, PIECES, most=8)
    assert [(row["text"], row["fault"]) for row in found] == [(None, None), (b"d", None)]
    assert (found[0]["parts"], found[0]["length"]) == ([(0, 9), (10, 9), (20, 9)], 27)
    assert [row["text"] for row in unwrap([b"s 1 P a", b"s 2 F " + b"b" * 9], PIECES, most=8)] == [None]


def test_memory_is_bounded_by_giving_out_the_oldest() -> None:
    texts = [b"%d 1 P abc" % number for number in range(20)]
    unwrapper = Unwrapper([PIECES], 4)
    found = rows(unwrapper.feed(outer(texts)))
    assert [row["offset"] for row in found] == sorted(row["offset"] for row in found)
    assert len(found) == 15
    assert {row["envelope"]["partial"] for row in found} == {"unfinished"}
    assert len(unwrapper.end()) == 5


def test_what_is_packed_in_packed_things_is_bounded() -> None:
    double = Envelope("double", lambda text: [Inner(text, {"host": "h"})] * 4)
    found = unwrap([b"12345678"] * 2, double, double, double, double, most=8)
    texts = [row["text"] for row in found]
    assert texts[: len(texts) // 2] == texts[len(texts) // 2 :]
    assert (texts.count(b"12345678"), texts.count(None)) == (8, 24)


def test_what_expands_comes_in_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("strataline.read.envelope._STEP", 10)
    frame = outer([b"Aabcd|efgh"] * 4)
    frames = list(Unwrapper([A]).steps(frame))
    assert [len(one) for one in frames] == [4, 4, 0]
    assert Unwrapper([A]).feed(frame).equals(pl.concat(frames))


def test_numbering_is_forgotten_with_its_record() -> None:
    unwrapper = Unwrapper([PIECES, A])
    unwrapper.feed(outer([b"s 1 P A", b"t 1 P x", b"s 2 F y|z", b"u 1 F x", b"u 1 F x"]))
    unwrapper.end()
    assert len(unwrapper._numbers) <= 1
    assert not unwrapper._pinned
    assert (unwrapper._held, unwrapper._waiting) == (0, 0)


PIECE = st.tuples(st.sampled_from("st"), st.sampled_from("PF"), st.sampled_from(["", "a", "bc", "A", "Ax|"]))


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.one_of(st.just(None), st.lists(PIECE, min_size=1, max_size=3)), max_size=12),
    st.lists(st.integers(0, 12), max_size=4),
    st.sampled_from([3, 1000]),
)
def test_frames_may_be_cut_anywhere(
    records: list[list[tuple[str, str, str]] | None], cuts: list[int], most: int
) -> None:
    texts = [
        None if record is None else ";".join(f"{stream} {at} {more} {text}" for stream, more, text in record).encode()
        for at, record in enumerate(records)
    ]
    frame = outer(texts)
    whole = unwrap(texts, PIECES, A, most=most)
    bounds = [0, *sorted(min(cut, len(frame)) for cut in cuts), len(frame)]
    unwrapper = Unwrapper([PIECES, A], most)
    cut = [row for start, end in pairwise(bounds) for row in rows(unwrapper.feed(frame.slice(start, end - start)))]
    assert cut + rows(unwrapper.end()) == whole
    addresses = [(row["offset"], row["inner"]) for row in whole]
    assert len(set(addresses)) == len(addresses)
    covered = {part for row in whole for part in row["parts"] or [(row["offset"], row["length"])]}
    assert covered == set(zip(frame["offset"], frame["length"], strict=True))
    assert unwrapper._held == unwrapper._waiting == 0
    if most > 3:
        said = {
            stream: "".join(text for record in records for one, _, text in record or () if one == stream)
            for stream in "st"
        }
        assert sum(map(len, said.values())) == sum(len(row["text"] or b"") for row in unwrap(texts, PIECES, most=most))


def test_a_long_stream_of_pieces_takes_linear_time() -> None:
    texts = [json.dumps(number).join(("s ", " P x")).encode() for number in range(30_000)]
    (row,) = unwrap([*texts, b"s 9 F x"], PIECES, most=1 << 20)
    assert row["text"] == b"x" * 30_001
