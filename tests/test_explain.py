"""What is said of a record that no format describes: the key, the character or the mark that broke it."""

from __future__ import annotations

import json
from functools import cache

import pytest

from strataline.format import Event, Format, Recognise, group, path
from strataline.parse import Kernel, Marks
from strataline.parse.explain import Break, Explained, broken_at, explain, written


def text_format(name: str, pattern: str) -> Format:
    return Format(
        name=name, title=name, layer="policy", reference="made up", container="text", pattern=pattern,
        fields={"time": group("time")}, events=(Event("policy.log"),),
    )  # fmt: skip


@cache
def marks() -> Marks:
    call = Format(
        name="call", title="call", layer="model", reference="made up",
        recognise=Recognise(
            keys=(("id",), ("usage", "tokens")), any_of=((("model",), ("engine",)),), where=((("type",), r"^call$"),)
        ),
        fields={"id": path("id")}, events=(Event("model.call"),),
    )  # fmt: skip
    guard = text_format("guard", r"(?P<time>\S+Z) guard\[\d+\] turn=(?P<turn>\S+) verdict=(?P<verdict>\w+)")
    anything = text_format("anything", r"(?P<time>.*)END")
    slow = text_format("slow", r"(?P<time>(?:a|aa)*(?:a|aa)*(?:a|aa)*(?:a|aa)*)c")
    return Marks({one.name: one for one in (call, guard, anything, slow)})


def explained(record: str | bytes) -> Explained:
    return explain(Kernel(), marks(), record if isinstance(record, bytes) else record.encode())


@pytest.mark.parametrize(("record", "broken"), [
    ('{"a": [1, {"b": tru', Break(17, "a value", "tru", "a[1].b")),
    ('{"a": {"b": 1} "c": 2}', Break(16, "`,` or `}`", '"c": 2}', "a")),
    ('{"a": [1 2]}', Break(10, "`,` or `]`", "2]}", "a[0]")),
    ("{'a': 1}", Break(2, "a key in double quotes", "'a': 1}", "")),
    ('{"a" 1}', Break(6, "`:`", "1}", "")),
    ('{"x": 1, "a": "no end', Break(15, "the double quote that ends the text which begins here", '"no end', "a")),
    ('{"a": {"b": 1', Break(14, "`,` or `}`", "", "a.b")),
    ('{"a": "\\q"}', Break(8, "an escape that JSON knows", '\\q"}', "a")),
])  # fmt: skip
def test_damaged_json_says_where_and_what_was_expected(record: str, broken: Break) -> None:
    found = explained(record)
    assert found.shape == "damaged"
    assert found.breaks == broken


def test_brackets_and_commas_in_texts_are_no_structure() -> None:
    record = json.dumps({"a": '}],"b":', "c": [["]", "{"]]})[:-1] + ' "d"}'
    broken = broken_at(record)
    assert broken is not None
    assert (broken.character, broken.within) == (len(record) - 3, "c")


def test_nesting_beyond_reason_is_said_and_not_followed() -> None:
    found = explained('{"a":' * 5000)
    assert (found.shape, found.breaks) == ("damaged", None)
    assert "nesting" in found.detail


def test_object_says_which_marks_it_lacks() -> None:
    record = {"id": 1, "usage": {"tokens": 2}, "type": "call\x1b[31m", "note": "x"}
    (near,) = explained(json.dumps(record)).nearest
    assert (near.format, near.carries, near.marks) == ("call", 2, 4)
    assert near.lacks == (
        "lacks any of `model`, `engine`",
        r"`type` is 'call\x1b[31m', expected to match /^call$/",
    )
    (near,) = explained('{"usage": {"tokens": 2}, "type": {}, "model": "m"}').nearest
    assert near.lacks == ("lacks `id`", "`type` is '{}', expected to match /^call$/")
    assert explained('{"id": 1, "usage": {"tokens": 2}, "engine": 1, "type": "call"}').format == "call"
    assert explained('{"nothing": "alike"}').nearest == ()


def test_line_says_how_far_the_nearest_pattern_gets() -> None:
    found = explained("2026-03-04T09:15:00Z guard[7] turn=t-1 verdct=PASS")
    (near,) = found.nearest
    assert (near.format, near.character, near.found, near.after) == ("guard", 44, "ct=PASS", "turn")
    (cut,) = explained("2026-03-04T09:15:00Z guard[7] turn=t-1 ver").nearest
    assert cut.found == ""
    # A pattern that begins with anything at all is near nothing.
    assert explained("hello").nearest == ()


def test_pattern_that_takes_too_long_is_named_and_left() -> None:
    found = explained("a" * 3000 + "b")
    assert found.hasty in ((), ("slow",))
    assert all(near.format != "anything" for near in found.nearest)


@pytest.mark.parametrize(("record", "shape", "detail"), [
    (b"\xff\xfe", "bytes", "byte 1 is 0xff: invalid start byte"),
    (b"[1, 2]", "json", "array"),
    (b"17", "json", "ubigint"),
    (b'{"id": "\x01"}', "saved", "control_character"),
    (b"2026-03-04T09:15:00Z guard[7] turn=t verdict=PASS", "text", ""),
    (b"[ERROR] no JSON at all", "text", ""),
])  # fmt: skip
def test_every_record_has_a_shape(record: bytes, shape: str, detail: str) -> None:
    found = explained(record)
    assert (found.shape, found.detail) == (shape, detail)


def test_path_is_written_as_people_write_it() -> None:
    assert written((0, "a", 1, "b.c")) == "[0].a[1].b.c"
