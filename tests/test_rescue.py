"""The second reading of JSON records that the kernel refused: what is saved, what is not, and at what cost."""

from __future__ import annotations

import itertools
import json
import time

import polars as pl
import pytest
from hypothesis import given, strategies as st

from strataline.parse import Kernel
from strataline.parse.kernel import OBJECT
from strataline.parse.rescue import DEEPEST, Piece, rescue

A = '{"event": "chat.request", "request_id": "req_23f83465a763f9790231", "query": "How long do refunds take?"}'
B = '{"event": "retrieval.done", "top_k": 3, "doc_ids": ["kb-billing-001", "kb-limits-002"], "latency_ms": 3.01}'


def told(text: str) -> list[tuple[str, str]]:
    """Each piece with what was done to save it, or the reason of its reject."""
    return [(text[one.start : one.end], one.why) for one in rescue(text)]


def saved(text: str) -> list[object]:
    """The documents that were saved."""
    return [json.loads(one.text) for one in rescue(text) if one.text is not None]


# What is saved.


def test_two_records_on_one_line_are_two_documents() -> None:
    assert told(A + B) == [(A, "merged_records"), (B, "merged_records")]
    assert saved(A + B) == [json.loads(A), json.loads(B)]


def test_white_space_between_merged_records_goes_with_the_first() -> None:
    assert told(f" {A} \t{B}") == [(f" {A} \t", "merged_records"), (B, "merged_records")]


def test_record_that_runs_into_a_cut_one_is_saved_and_the_rest_is_a_reject() -> None:
    cut = B[:40]
    assert told(A + cut) == [(A, "merged_records"), (cut, "truncated_json")]
    assert saved(A + cut) == [json.loads(A)]


def test_cut_record_that_another_runs_into_is_not_guessed_at() -> None:
    """Where the first one ends cannot be known, so neither is made up."""
    (piece,) = rescue(A[:20] + B)
    assert piece.text is None
    assert piece.why in ("not_json", "truncated_json")


def test_cut_record_is_a_reject_wherever_it_is_cut() -> None:
    for at in range(1, len(B)):
        (piece,) = rescue(B[:at])
        assert (piece.start, piece.end, piece.text) == (0, at, None)
        assert "character" in piece.detail


def test_cut_record_is_called_truncated_wherever_it_is_cut() -> None:
    """Within a word, an escape or a number as well."""
    record = '{"a": [true, false, null, -1.5e-3], "b": "\\u00e9\\n", "c": {"d": 1}}'
    reasons = {record[:at]: rescue(record[:at])[0].why for at in range(1, len(record))}
    assert {cut: why for cut, why in reasons.items() if why != "truncated_json"} == {}


@pytest.mark.parametrize("control", ["\x01", "\t", "\x1b[32m", "\x1f", "a\x08b"])
def test_raw_control_character_in_a_text_is_escaped(control: str) -> None:
    (piece,) = rescue(f'{{"message": "{control}", "n": 1}}')
    assert piece.why == "control_character"
    assert json.loads(piece.text or "") == {"message": control, "n": 1}


@pytest.mark.parametrize("lone", ["\\ud800", "\\udc00", "\\uD83D", "\\ud83d\\ud83d\\ude00", "x\\udfffy"])
def test_lone_surrogate_is_replaced(lone: str) -> None:
    (piece,) = rescue(f'{{"message": "{lone}"}}')
    assert piece.why == "lone_surrogate"
    assert "\ufffd" in json.loads(piece.text or "")["message"]


def test_paired_surrogates_and_quoted_escapes_are_left_alone() -> None:
    text = '{"a": "\\ud83d\\ude00", "b": "\\\\ud800"}'
    (first, second) = rescue(text + "{}")
    assert (first.text, first.why) == (text, "merged_records")
    assert second.text == "{}"


def test_byte_order_mark_before_a_record_is_said() -> None:
    assert told("\ufeff" + A) == [("\ufeff" + A, "byte_order_mark")]
    assert saved("\ufeff" + A) == [json.loads(A)]


def test_byte_order_mark_between_merged_records_costs_neither() -> None:
    """Files that were each written with a mark, and joined without a line end."""
    assert saved(f"{A}\ufeff{B}") == [json.loads(A), json.loads(B)]


def test_all_that_was_done_is_said_together() -> None:
    text = '\ufeff{"a": "\x01\\ud800"}{"b": "\x02"}'
    whys = [why for _, why in told(text)]
    assert whys[0].startswith("merged_records, ")
    assert {"control_character", "lone_surrogate"} <= set(whys[0].split(", "))
    assert whys[1] == "merged_records, control_character"


@pytest.mark.parametrize("number", ["NaN", "-Infinity", "1" * 5000, "1e999", "0." + "1" * 5000])
def test_merged_records_are_saved_whatever_numbers_they_hold(number: str) -> None:
    """Python reads no integer of more than 4,300 digits; the record is still there."""
    first, second = rescue(f'{{"n": {number}}}{{"b": 1}}')
    assert (first.text, first.why) == (f'{{"n": {number}}}', "merged_records")
    assert second.text == '{"b": 1}'


# What is not.


@pytest.mark.parametrize("banner", [
    "Thank you for using LiteLLM! - Krrish & Ishaan",
    "\x1b[32mLiteLLM: Proxy initialized with Config, Set models:\x1b[0m",
    "2026-11-21 17:59:28,620 INFO:     Started server process [1132] {}",
    "Traceback (most recent call last):",
    "   indented {",
    '"quoted',
    "-- logrotate --",
    "\ufeffbanner",
])  # fmt: skip
def test_line_that_does_not_begin_as_json_is_plain(banner: str) -> None:
    assert rescue(banner) == [Piece(0, len(banner), None, "plain", plain=True)]


@pytest.mark.parametrize("text", ["{}", "[1]"])
def test_garbage_after_a_document_is_a_reject_of_its_own(text: str) -> None:
    assert told(text + "garbage") == [(text, "merged_records"), ("garbage", "not_json")]


@pytest.mark.parametrize("text", ["{a: 1}", "{'a': 1}", '{"a" 1}', '{"a": 1;}', "[cut off] message", "{{template}}"])
def test_brackets_that_are_no_json_are_a_reject(text: str) -> None:
    (piece,) = rescue(text)
    assert (piece.start, piece.end, piece.text, piece.why) == (0, len(text), None, "not_json")


def test_nesting_beyond_the_limit_is_a_reject_and_below_it_is_not() -> None:
    def nested(depth: int) -> str:
        return "[" * depth + "]" * depth

    assert [one.why for one in rescue(nested(DEEPEST) + "{}")] == ["merged_records"] * 2
    assert [one.why for one in rescue(nested(DEEPEST + 1) + "{}")] == ["too_deep"]


def test_brackets_within_texts_are_no_nesting() -> None:
    text = json.dumps({"message": "[" * 1000 + '\\"[' * 1000})
    assert [one.why for one in rescue(text + "{}")] == ["merged_records"] * 2


# Whatever the text.

fragments = st.sampled_from([
    "{", "}", "[", "]", '"', ":", ",", "\\", "\\u", "\\ud800", "\\udc00", "1", "-", ".5", "e9", "NaN", "true", "null",
    " ", "\t", "\x00", "\x01", "\x1f", "\x85", "\u2028", "\ufeff", "é", "😀", "a", '"a": ', '"\\', A, B, A[:30], "{}",
])  # fmt: skip
texts = st.one_of(
    st.text(st.characters(codec="utf-8"), max_size=80),
    st.lists(fragments, max_size=25).map("".join),
    st.lists(fragments, max_size=25).map(lambda some: A + "".join(some)),
)

kernel = Kernel()


@given(texts)
def test_pieces_cover_the_text_in_order_and_nothing_is_raised(text: str) -> None:
    pieces = rescue(text)
    bounds = [(one.start, one.end) for one in pieces]
    assert bounds[0][0] == 0
    assert bounds[-1][1] == len(text)
    assert all(end == start for (_, end), (start, _) in itertools.pairwise(bounds))
    assert len(pieces) == 1 or all(start < end for start, end in bounds)
    for one in pieces:
        assert one.text is not None or one.why
        assert (one.why == "plain") is one.plain


@given(texts)
def test_kernel_accepts_all_that_is_saved(text: str) -> None:
    documents = [one.text for one in rescue(text) if one.text is not None]
    types = kernel.look(pl.Series([one.encode() for one in documents], dtype=pl.Binary))["type"]
    assert types.null_count() == 0
    assert types.eq(OBJECT).to_list() == [one.startswith("{") for one in documents]


words = st.text(st.characters(codec="utf-8"), max_size=6)
scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), words)
values = st.one_of(scalars, st.lists(scalars, max_size=2), st.dictionaries(words, scalars, max_size=2))
objects = st.dictionaries(words, values, max_size=3)


@given(st.lists(objects, min_size=2, max_size=4), st.sampled_from(["", " ", "\t \r"]), st.booleans())
def test_documents_that_ran_together_come_apart_as_they_were(
    documents: list[dict[str, object]], between: str, escaped: bool
) -> None:
    text = between.join(json.dumps(one, ensure_ascii=escaped) for one in documents)
    assert saved(text) == documents


@given(st.lists(objects, min_size=2, max_size=3), st.data())
def test_cutting_the_last_of_merged_documents_costs_it_alone(
    documents: list[dict[str, object]], data: st.DataObject
) -> None:
    texts = [json.dumps(one) for one in documents]
    cut = texts[-1][: data.draw(st.integers(1, len(texts[-1]) - 1))]
    pieces = rescue("".join(texts[:-1]) + cut)
    assert [json.loads(one.text) for one in pieces if one.text is not None] == documents[:-1]
    assert (pieces[-1].text, pieces[-1].end) == (None, len("".join(texts[:-1]) + cut))


# Cost: a megabyte of anything, read once. The bound is far above what it takes and far below what n² would.

MEGABYTE = 1_000_000
HOSTILE = {
    "open brackets": "[" * MEGABYTE,
    "open objects": '{"a":' * (MEGABYTE // 5),
    "closing brackets": "{" + "]" * MEGABYTE,
    "quotes": "{" + '"' * MEGABYTE,
    "escaped quotes": '{"' + '\\"' * (MEGABYTE // 2),
    "backslashes": '{"a":"' + "\\" * MEGABYTE,
    "lone surrogates": '{"a":"' + "\\ud800" * (MEGABYTE // 6) + '"}',
    "escaped backslashes": '{"a":"' + "\\\\" * (MEGABYTE // 2) + '"}x',
    "control characters": '{"a":"' + "\x01" * MEGABYTE + '"}',
    "white space": "{" + " " * MEGABYTE,
    "white space first": " " * MEGABYTE + "{",
    "commas": '{"a":1' + "," * MEGABYTE,
    "digits": '{"a":' + "1" * MEGABYTE + "}{}",
    "one key again": "{" + '"a":1,' * (MEGABYTE // 6) + '"b":"\x01"}',
    "unterminated text": '{"a":"' + "x" * MEGABYTE,
    "unterminated texts": '{"a' * (MEGABYTE // 3),
    "plain": "x" * MEGABYTE,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_megabyte_is_read_in_linear_time(name: str) -> None:
    before = time.process_time()
    pieces = rescue(HOSTILE[name])
    assert time.process_time() - before < 6
    assert pieces[-1].end == len(HOSTILE[name])


def test_many_merged_documents_take_time_in_proportion() -> None:
    before = time.process_time()
    pieces = rescue("{}" * 50_000 + '{"a')
    assert time.process_time() - before < 6
    assert len(pieces) == 50_001
    assert pieces[-1].why == "truncated_json"


def test_deep_nesting_is_told_fast() -> None:
    before = time.process_time()
    (piece,) = rescue("[" * 100_000 + "]" * 100_000 + "x")
    assert piece.why == "too_deep"
    assert time.process_time() - before < 1
