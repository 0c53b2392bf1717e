"""The extraction kernel: each fact that was measured on DuckDB, and each rule that follows from it (DESIGN.md, 3)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import polars as pl
import pytest
from hypothesis import given, strategies as st

from strataline.format import Documents, Event, Field, Format, Recognise, Segment, attribute, inside, path
from strataline.parse import Kernel, Marks, Parsed, Plan, parse_source
from strataline.read.frame import conform

kernel = Kernel()


def look(*lines: bytes) -> list[dict[str, Any]]:
    return kernel.look(pl.Series(lines, dtype=pl.Binary)).to_dicts()


def extract(record: str, *, explode: Sequence[tuple[Segment, ...]] = (), **fields: Field) -> list[dict[str, Any]]:
    """The elements of one record, with what bookkeeping they have."""
    return kernel.extract(pl.Series([record]), fields, explode).to_dicts()


def read(record: str, field: Field) -> str | None:
    """One field of a record that is one element."""
    (row,) = extract(record, field=field)
    assert row["sound"] is True
    value = row["field"]
    assert value is None or isinstance(value, str)
    return value


def parse(*lines: bytes, fmt: Format | None = None) -> Parsed:
    """What `lines` become, read as `fmt`."""
    offsets = [sum(len(line) + 1 for line in lines[:number]) for number in range(len(lines))]
    batch = pl.DataFrame(
        {"line": range(1, len(lines) + 1), "offset": offsets, "length": [len(line) for line in lines], "text": lines},
        schema={"line": pl.Int64, "offset": pl.Int64, "length": pl.Int64, "text": pl.Binary},
    )
    return parse_source(kernel, Plan(Marks({}), forced=fmt or APP), [conform(batch)]).result()


def notes(parsed: Parsed) -> dict[str, tuple[int | None, int]]:
    """Topic → (line, count)."""
    return {note.topic: (note.line, note.count) for note in parsed.notes}


APP = Format(
    name="app",
    title="an app log",
    layer="prompt",
    reference="none",
    recognise=Recognise(keys=(("event",),)),
    fields={"event": path("event"), "n": path("n"), "n_written": path("n", verbatim=True)},
    events=(Event(kind="app.log", columns={"name": "event"}, attributes={"n": "n", "n_written": "n_written"}),),
)


def attributes(parsed: Parsed) -> list[dict[str, str]]:
    return [dict(row or {}) for row in parsed.events.sort("offset", "item", "index")["attributes"].to_list()]


# Lines travel as binary.


@pytest.mark.parametrize("bad", [b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc0\xaf"])
def test_invalid_utf8_costs_its_own_line_alone(bad: bytes) -> None:
    lines = [b'{"event": "one"}', b'{"event": "' + bad + b'"}', '{"event": "drei – ä"}'.encode()]
    assert [one["type"] for one in look(*lines)] == ["OBJECT", None, "OBJECT"]
    assert kernel.decode(pl.Series(lines)).to_list() == ['{"event": "one"}', None, '{"event": "drei – ä"}']
    parsed = parse(*lines)
    assert parsed.events.sort("line").select("line", "name").rows() == [(1, "one"), (3, "drei – ä")]
    (reject,) = parsed.rejects.select("line", "reason", "detail").rows()
    assert reject[:2] == (2, "invalid_utf8")
    assert f"0x{bad[0]:02x}" in reject[2]


def test_many_lines_come_back_in_order() -> None:
    """More than one thread works on them; the order is still that of the lines."""
    lines = [b'{"n": %d}' % n if n % 7 else b"\xff" for n in range(30_000)]
    assert kernel.look(pl.Series(lines))["s"].to_list() == [
        line.decode() if line != b"\xff" else None for line in lines
    ]
    sound = pl.Series([line.decode() for line in lines if line != b"\xff"])
    found = kernel.extract(sound, {"n": path("n")}, ())
    assert found["r"].to_list() == list(range(len(sound)))
    assert found["n"].cast(pl.Int64).to_list() == [n for n in range(30_000) if n % 7]
    there = kernel.has(sound, (("n",), ("m",)))
    assert there[:, 0].all()
    assert not there[:, 1].any()


@pytest.mark.parametrize(("line", "kind"), [
    (b'{"a": 1}', "OBJECT"),
    (b' {"a": 1} ', "OBJECT"),
    (b"{}", "OBJECT"),
    (b"[1]", "ARRAY"),
    (b"null", "NULL"),
    (b'"text"', "VARCHAR"),
    (b"", None),
    (b"banner", None),
    (b'{"a": 1', None),
    (b'{"a": 1}{"b": 2}', None),
    (b'{"a": "\\ud800"}', None),
    (b'{"a": "\x01"}', None),
    (b'\xef\xbb\xbf{"a": 1}', None),
])  # fmt: skip
def test_kernel_says_what_a_line_is_or_refuses_it(line: bytes, kind: str | None) -> None:
    assert look(line)[0]["type"] == kind


@pytest.mark.parametrize("line", [b"[1, 2]", b"null", b"42", b'"text"', b"true"])
def test_json_that_is_no_object_is_a_reject(line: bytes) -> None:
    parsed = parse(b'{"event": "a"}', line, b'{"event": "b"}')
    assert parsed.events.height == 2
    assert parsed.rejects.select("line", "offset", "length", "reason").rows() == [(2, 15, len(line), "not_an_object")]


def test_nul_character_in_a_value_is_kept() -> None:
    assert read('{"a": "x\\u0000y"}', path("a")) == "x\x00y"


@pytest.mark.parametrize("depth", [100, 1_000, 100_000])
def test_deep_nesting_is_no_trouble(depth: int) -> None:
    record = '{"event": "deep", "a": ' + "[" * depth + "]" * depth + "}"
    assert look(record.encode())[0]["type"] == "OBJECT"
    assert read(record, path("event")) == "deep"


# Numbers.


@given(st.integers(-(10**60), 10**60))
def test_integers_of_any_size_are_exact(number: int) -> None:
    assert read(json.dumps({"n": number}), path("n")) == str(number)
    assert read(json.dumps({"n": number}), path("n", verbatim=True)) == str(number)


@pytest.mark.parametrize(("written", "serialised"), [
    ("1.50", "1.5"),
    ("1795300362.6200435", "1795300362.6200435"),
    ("1795300362.62004350", "1795300362.6200435"),
    ("0.1234567890123456789", "0.12345678901234568"),
    ("1e5", "100000.0"),
    ("1E+2", "100.0"),
    ("-2.50e-3", "-0.0025"),
    ("123456789012345678901.5", "123456789012345680000.0"),
    ("7.0", "7.0"),
])  # fmt: skip
def test_floats_come_back_reserialised_unless_verbatim(written: str, serialised: str) -> None:
    record = f'{{"m": 3, "n": {written}, "o": [{written}]}}'
    assert read(record, path("n")) == serialised
    assert read(record, path("n", verbatim=True)) == written


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**15), max_value=10**15, places=12))
def test_verbatim_keeps_every_digit(number: object) -> None:
    written = f"{number:.12f}"
    assert read(f'{{"t": {written}}}', path("t", verbatim=True)) == written


@pytest.mark.parametrize("record", [
    '{"n": 1.5, "in": {"n": 1.50}}',
    '{"other": {"n": 1.5}, "in": {"n": 1.50}}',
    '{"text": "\\"n\\": 1.5", "in": {"n": 1.50}}',
])  # fmt: skip
def test_verbatim_takes_the_digits_of_its_own_place(record: str) -> None:
    """Another key of the same name, or a text that quotes one, holds the same number in other digits."""
    assert read(record, path("in", "n", verbatim=True)) == "1.50"


def test_verbatim_leaves_a_text_as_it_is() -> None:
    record = '{"other": {"t": 1.5}, "t": "1.50"}'
    assert read(record, path("t", verbatim=True)) == "1.50"


def test_verbatim_holds_for_an_element_of_a_list() -> None:
    assert read('{"l": [1.50, 2.50]}', path("l", 1, verbatim=True)) == "2.50"


def test_verbatim_holds_in_an_exploded_record() -> None:
    (row,) = extract('{"spans": [{"t": 1.50}]}', explode=(("spans",),), t=path("t", verbatim=True))
    assert row["t"] == "1.50"


def test_verbatim_of_what_is_not_there_is_null() -> None:
    assert read('{"a": {"t": 1.50}}', path("t", verbatim=True)) is None
    assert read('{"t": null}', path("t", verbatim=True)) is None


# Repeated keys, and what the kernel accepts although JSON does not.


def test_of_repeated_keys_the_first_wins_and_a_note_counts_the_records() -> None:
    parsed = parse(
        b'{"event": "a", "n": 1}',
        b'{"event": "first", "n": 1, "event": "second", "event": "third"}',
        b'{"event": "b", "n": 1, "n": 2}',
    )
    assert parsed.events.sort("line")["name"].to_list() == ["a", "first", "b"]
    assert [one["n"] for one in attributes(parsed)] == ["1", "1", "1"]
    assert notes(parsed) == {"repeated_key": (2, 2)}


def test_repeated_keys_below_the_top_are_counted_as_well() -> None:
    nested = Format(
        name="nested",
        title="nested",
        layer="prompt",
        reference="none",
        recognise=APP.recognise,
        fields={"event": path("event"), "id": path("ctx", "id")},
        events=(Event(kind="app.log", columns={"name": "event"}, attributes={"id": "id"}),),
    )
    parsed = parse(b'{"event": "a", "ctx": {"id": "first", "id": "second"}}', fmt=nested)
    assert attributes(parsed) == [{"id": "first"}]
    assert notes(parsed) == {"repeated_key": (1, 1)}


def test_repeated_keys_are_counted_in_a_recovered_record() -> None:
    parsed = parse(b'{"event": "first", "event": "second"}{"event": "b"}')
    assert parsed.events.sort("offset")["name"].to_list() == ["first", "b"]
    assert notes(parsed)["repeated_key"] == (1, 1)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_numbers_that_json_lacks_are_accepted_and_noted(number: str) -> None:
    parsed = parse(b'{"event": "a", "n": 1}', f'{{"event": "b", "n": {number}}}'.encode())
    assert parsed.rejects.is_empty()
    assert parsed.events.sort("line")["name"].to_list() == ["a", "b"]
    assert attributes(parsed)[1]["n"].lower().lstrip("-") in ("nan", "inf", "infinity")
    assert notes(parsed) == {"lenient_json": (2, 1)}


@pytest.mark.parametrize(
    "line", [b'{"event": "a",}', b'{"event": "a", "l": [1, 2, ]}', b'{"event": "a", "o": {"b": 1,}}']
)
def test_trailing_comma_is_accepted_and_noted(line: bytes) -> None:
    parsed = parse(line)
    assert parsed.events["name"].to_list() == ["a"]
    assert notes(parsed) == {"lenient_json": (1, 1)}


def test_what_only_looks_lenient_is_not_noted() -> None:
    parsed = parse(b'{"event": "prices were [NaN, Infinity, ]", "n": 1}')
    assert parsed.events.height == 1
    assert notes(parsed) == {}


@pytest.mark.parametrize("depth", [500, 2_000, 100_000])
def test_lenient_json_below_deep_nesting_is_noted(depth: int) -> None:
    """Python's own decoder gives up at the depth that the kernel takes in its stride."""
    parsed = parse(b'{"event": "a", "deep": ' + b"[" * depth + b"]" * depth + b', "n": NaN}')
    assert parsed.events["name"].to_list() == ["a"]
    assert notes(parsed) == {"lenient_json": (1, 1)}


# Keys and paths.


@pytest.mark.parametrize("key", [
    "a.b", "dd.trace_id", "a b", "é", "日本", "$", "#", "[0]", "a[0]", "a/b", "~", "a'b", "'; DROP", "%s", "{", "-1",
    "x-request-id", "a*b", "a:b", "a\\b", "@", "http.request.header.x-request-id",
])  # fmt: skip
def test_key_means_itself_whatever_its_characters(key: str) -> None:
    record = json.dumps({"a": {"b": "nested"}, key: "value", "in": {key: "inner"}})
    assert read(record, path(key)) == "value"
    assert read(record, path("in", key)) == "inner"
    assert kernel.has(pl.Series([record, "{}"]), ((key,), ("in", key))).tolist() == [[True, True], [False, False]]


@pytest.mark.parametrize("key", ["*", "", 'a"b', "\\", 'a\\"b'])
def test_key_of_a_star_a_quote_a_backslash_or_nothing_means_itself(key: str) -> None:
    record = json.dumps({"a": 1, key: "value"})
    assert extract(record, field=path(key), other=path("a"))[0]["field"] == "value"


@given(
    key=st.text(st.characters(exclude_characters='"*\\\x00', codec="utf-8"), min_size=1, max_size=12),
    value=st.text(st.characters(codec="utf-8"), max_size=12),
)
def test_any_key_and_any_text_come_through(key: str, value: str) -> None:
    assert read(json.dumps({key: value}), path(key)) == value
    assert read(json.dumps({key: value}, ensure_ascii=False), path(key)) == value


def test_place_in_a_list_counts_from_either_end() -> None:
    record = '{"l": ["a", "b", "c"], "o": {"0": "key"}}'
    assert [read(record, path("l", n)) for n in (0, 2, -1, 3, -4)] == ["a", "c", "c", None, None]
    assert read(record, path("o", 0)) is None, "a number is a place in a list, never a key"


def test_field_of_another_type_arrives_as_text() -> None:
    record = '{"n": 1, "b": true, "o": {"x": [1, "y"]}, "l": []}'
    assert [read(record, path(key)) for key in "nbol"] == ["1", "true", '{"x":[1,"y"]}', "[]"]


# Null, and nothing.


def test_json_null_and_a_missing_key_are_the_same_unless_null_is_named() -> None:
    records = ['{"a": null}', "{}", '{"a": "x"}', '{"a": ""}', '{"a": "null"}']
    assert [read(record, path("a")) for record in records] == [None, None, "x", "", "null"]
    assert [read(record, path("a", null="(null)")) for record in records] == ["(null)", None, "x", "", "null"]


def test_null_is_told_from_nothing_below_the_top_and_in_lists() -> None:
    field = path("a", "b", null="(null)")
    assert [read(one, field) for one in ('{"a": {"b": null}}', '{"a": {}}', '{"a": null}', '{"a": 1}', "{}")] == [
        "(null)", None, None, None, None,
    ]  # fmt: skip
    place = path("l", 1, null="(null)")
    assert [read(one, place) for one in ('{"l": [1, null]}', '{"l": [1]}')] == ["(null)", None]


def test_null_is_told_from_nothing_in_an_exploded_record() -> None:
    found = extract('{"l": [{"a": null}, {}, {"a": 1}]}', explode=(("l",),), a=path("a", null="(null)"))
    assert [row["a"] for row in found] == ["(null)", None, "1"]


# JSON inside of a text.


def test_text_that_is_json_is_opened_with_inside() -> None:
    meta = json.dumps({"a": {"b": "x"}, "n": 12345678901234567890, "l": [1, 2]})
    record = json.dumps({"meta": meta, "plain": "not json", "cut": meta[:-3], "object": {"a": {"b": "y"}}})
    assert read(record, inside(path("meta"), "a", "b")) == "x"
    assert read(record, inside(path("meta"), "n")) == "12345678901234567890"
    assert read(record, inside(path("meta"), "l", 1)) == "2"
    assert read(record, inside(path("meta"), "z")) is None
    assert read(record, inside(path("plain"), "a")) is None
    assert read(record, inside(path("cut"), "a", "b")) is None
    assert read(record, inside(path("gone"), "a")) is None
    assert read(record, inside(path("object"), "a", "b")) == "y", "some writers put the object itself there"


def test_attribute_that_holds_json_is_opened_with_inside() -> None:
    record = json.dumps({"attributes": [{"key": "metadata", "value": {"stringValue": '{"request_id": "r-1"}'}}]})
    assert read(record, inside(attribute("metadata"), "request_id")) == "r-1"


# OTLP: nested lists, and attributes as lists of keys and values.

OTLP = (("resourceSpans",), ("scopeSpans",), ("spans",))


def batch(**over: Any) -> str:
    """A line as an OTLP file exporter writes it: two resources, three scopes, four spans."""
    record: dict[str, Any] = {
        "resourceSpans": [
            {
                "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "kb"}}]},
                "scopeSpans": [
                    {"scope": {"name": "s0"}, "spans": [{"name": "a"}, {"name": "b"}]},
                    {"scope": {"name": "s1"}, "spans": [{"name": "c"}]},
                ],
            },
            {"scopeSpans": [{"scope": {"name": "s2"}, "spans": [{"name": "d"}]}]},
        ],
        **over,
    }
    return json.dumps(record)


def test_exploded_record_gives_its_elements_in_document_order_with_what_they_inherit() -> None:
    found = extract(
        batch(id="line-1"),
        explode=OTLP,
        name=path("name"),
        scope=path("scope", "name", level=2),
        service=attribute("service.name", "resource", "attributes", level=1),
        line=path("id", level=0),
    )
    wanted = [("a", "s0", "kb"), ("b", "s0", "kb"), ("c", "s1", "kb"), ("d", "s2", None)]
    assert [(row["name"], row["scope"], row["service"]) for row in found] == wanted
    assert [row["item"] for row in found] == [0, 1, 2, 3]
    assert {row["line"] for row in found} == {"line-1"}
    assert all(row["sound"] for row in found)


def test_exploded_records_keep_apart() -> None:
    found = kernel.extract(pl.Series([batch(), batch(resourceSpans=[]), batch()]), {"name": path("name")}, OTLP)
    assert found["r"].to_list() == [0] * 4 + [2] * 4
    assert found["item"].to_list() == [0, 1, 2, 3] * 2
    assert found["name"].to_list() == ["a", "b", "c", "d"] * 2


@pytest.mark.parametrize("broken", [[], None, {}, "text", 5, [5], [None], [{}], [{"scopeSpans": {}}]])
def test_record_whose_list_is_no_list_has_no_elements(broken: object) -> None:
    assert extract(batch(resourceSpans=broken), explode=OTLP, name=path("name")) == []


def test_element_that_is_no_object_is_kept_and_not_sound() -> None:
    record = json.dumps({"l": [{"n": 1}, 5, None, "text", [1], {"n": 2}]})
    found = extract(record, explode=(("l",),), n=path("n"))
    assert [row["sound"] for row in found] == [True, False, False, False, False, True]
    assert [row["item"] for row in found] == list(range(6))
    assert [row["n"] for row in found] == ["1", None, None, None, None, "2"]


SPANS = Format(
    name="spans",
    title="spans",
    layer="retrieval",
    reference="none",
    recognise=Recognise(keys=(("resourceSpans",),)),
    explode=OTLP,
    fields={"name": path("name")},
    events=(Event(kind="retrieval.query", columns={"name": "name"}),),
)


def test_elements_that_are_no_objects_and_records_without_elements_become_other_events() -> None:
    odd = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [{"name": "a"}, 5]}]}]}).encode()
    parsed = parse(odd, batch(resourceSpans=[]).encode(), batch().encode(), fmt=SPANS)
    rows = parsed.events.sort("line", "item").select("line", "item", "kind", "name").rows()
    assert rows == [
        (1, 0, "retrieval.query", "a"),
        (1, 1, "log.other", None),
        (2, 0, "log.other", None),
        *((3, n, "retrieval.query", name) for n, name in enumerate("abcd")),
    ]
    assert (parsed.records, parsed.with_events, parsed.rejected) == (3, 3, 0)


def keyed(*attributes: object) -> str:
    return json.dumps({"attributes": list(attributes)})


def value(**one: object) -> dict[str, object]:
    return {"key": "k", "value": one}


@pytest.mark.parametrize(("one", "text"), [
    (value(stringValue="a"), "a"),
    (value(stringValue=""), ""),
    (value(intValue="9007199254740993"), "9007199254740993"),
    (value(intValue=12), "12"),
    (value(doubleValue=0.25), "0.25"),
    (value(boolValue=False), "false"),
    (value(bytesValue="AAE="), "AAE="),
    (value(arrayValue={"values": [{"stringValue": "x"}]}), '{"values":[{"stringValue":"x"}]}'),
    (value(), None),
    ({"key": "k"}, None),
    ({"key": "k", "value": None}, None),
    ({"key": "k", "value": "bare"}, None),
    ({"key": 5, "value": {"stringValue": "a"}}, None),
    ({"key": "other", "value": {"stringValue": "a"}}, None),
])  # fmt: skip
def test_attribute_is_read_by_its_key_as_text(one: object, text: str | None) -> None:
    assert read(keyed(one), attribute("k")) == text


def test_of_attributes_with_one_key_the_first_wins() -> None:
    assert read(keyed(value(stringValue="first"), value(stringValue="second")), attribute("k")) == "first"
    assert read(keyed({"key": "k"}, value(stringValue="second")), attribute("k")) is None


def test_attribute_is_found_beside_what_is_no_attribute() -> None:
    record = keyed(5, None, "k", [1], {"value": {"stringValue": "no key"}}, {"key": None}, value(stringValue="x"))
    assert read(record, attribute("k")) == "x"


@pytest.mark.parametrize("attributes", [None, {}, {"key": "k"}, "k", [], 7])
def test_attributes_that_are_no_list_hold_nothing(attributes: object) -> None:
    assert read(json.dumps({"attributes": attributes}), attribute("k")) is None
    assert read("{}", attribute("k")) is None


@pytest.mark.parametrize("key", ["a.b", "a'b", 'a"b', "*", "", "é", "http.request.header.x-request-id"])
def test_attribute_key_means_itself(key: str) -> None:
    record = keyed({"key": "a", "value": {"stringValue": "no"}}, {"key": key, "value": {"stringValue": "yes"}})
    assert read(record, attribute(key)) == "yes"


# Lists in a field: one event for each element.


def elements(*lists: str | None) -> list[tuple[int, int, str | None, str | None]]:
    """Row, place, field ``a`` of the element, and the element itself."""
    found = kernel.elements(pl.Series(lists, dtype=pl.String), {"a": path("a"), "whole": path()})
    return found.select("r", "item", "a", "whole").rows()


def test_elements_of_a_list_know_their_row_and_place() -> None:
    found = elements('[{"a": 1}, {"a": 2}]', None, "[]", '[{"a": 3}]')
    assert [(r, item, a) for r, item, a, _ in found] == [(0, 0, "1"), (0, 1, "2"), (3, 0, "3")]


def test_object_counts_as_a_list_of_one() -> None:
    assert [(r, item, a) for r, item, a, _ in elements('{"a": 1}')] == [(0, 0, "1")]


def test_field_without_a_path_is_the_element_itself() -> None:
    assert [whole for *_, whole in elements('["doc-1", 2, null]')] == ["doc-1", "2", None]


@pytest.mark.parametrize("text", ["", "text", "5", '"[1]"', "[cut", '{"a": 1', "null", '{"a": 1}}'])
def test_text_that_is_no_list_has_no_elements(text: str) -> None:
    assert elements("[1]", text, "[2]") == [(0, 0, None, "1"), (2, 0, None, "2")]


def test_list_is_a_list_with_white_space_before_it() -> None:
    assert elements(' [{"a": 1}]', '\n{"a": 2}') == [(0, 0, "1", '{"a":1}'), (1, 0, "2", '{"a":2}')]


EACH = Format(
    name="each",
    title="a gateway row with guardrail results",
    layer="model",
    reference="none",
    recognise=Recognise(keys=(("checks",),)),
    fields={"id": path("id"), "name": path("name"), "checks": path("checks"), "docs": path("docs")},
    events=(
        Event(kind="model.call", columns={"name": "name"}, documents=Documents("docs", id=("id",), score=("s",))),
        Event(
            kind="policy.decision",
            layer="policy",
            each="checks",
            fields={"name": path("name"), "verdict": path("verdict")},
            columns={"name": "name", "verdict": "verdict"},
            attributes={"id": "id"},
        ),
    ),
)


def test_each_element_of_a_list_becomes_an_event_whose_fields_hide_those_of_the_record() -> None:
    record = {"id": "r-1", "name": "row", "checks": [{"name": "pii", "verdict": "allow"}, {"name": "jail"}]}
    parsed = parse(json.dumps(record).encode(), b'{"id": "r-2", "checks": []}', fmt=EACH)
    rows = parsed.events.sort("line", "index").select("line", "index", "kind", "layer", "name", "verdict").rows()
    assert rows == [
        (1, 0, "model.call", "model", "row", None),
        (1, 1, "policy.decision", "policy", "pii", "allow"),
        (1, 3, "policy.decision", "policy", "jail", None),
        (2, 0, "model.call", "model", None, None),
    ]
    assert attributes(parsed)[1:3] == [{"id": "r-1"}] * 2


def test_documents_of_a_list_are_ranked_by_their_place() -> None:
    record = {"checks": [], "docs": [{"id": "d-1", "s": 0.5}, {"id": "d-2"}, {"s": "high"}]}
    (documents,) = parse(json.dumps(record).encode(), fmt=EACH).events["documents"].to_list()
    assert [(one["id"], one["score"], one["rank"]) for one in documents] == [
        ("d-1", 0.5, 1),
        ("d-2", None, 2),
        (None, None, 3),
    ]


def test_an_empty_list_of_documents_is_not_an_absent_one() -> None:
    records = [{"checks": [], "docs": []}, {"checks": []}, {"checks": [], "docs": None}, {"checks": [], "docs": ["d"]}]
    found = parse(*(json.dumps(one).encode() for one in records), fmt=EACH).events["documents"]
    assert [None if one is None else len(one) for one in found.to_list()] == [0, None, None, 1]


# Reshape: code, where a container really needs it.


def test_reshaped_record_gives_one_item_for_each_part() -> None:
    def halves(text: str) -> list[str]:
        record = json.loads(text, object_pairs_hook=lambda pairs: pairs)
        return [json.dumps({"event": key, "n": n}) for key, n in record]

    fmt = Format(
        name="reshaped",
        title="reshaped",
        layer="prompt",
        reference="none",
        recognise=APP.recognise,
        fields=APP.fields,
        events=APP.events,
        reshape=halves,
    )
    parsed = parse(b'{"a": 1, "b": 2}', b"{}", b'{"c": 3}', fmt=fmt)
    rows = parsed.events.sort("line", "item").select("line", "item", "kind", "name").rows()
    assert rows == [(1, 0, "app.log", "a"), (1, 1, "app.log", "b"), (2, 0, "log.other", None), (3, 0, "app.log", "c")]
    assert (parsed.records, parsed.with_events) == (3, 3)


# The connection.


def test_kernel_reads_nothing_but_what_it_is_handed() -> None:
    from duckdb import PermissionException  # noqa: PLC0415 - the only test that needs it

    with pytest.raises(PermissionException):
        kernel._connection.sql("SELECT * FROM read_text('/etc/hostname')").fetchall()


def test_sha256_is_that_of_the_utf8_text() -> None:
    assert kernel.sha256(pl.Series(["abc", None, "é"])).to_list() == [
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        None,
        "4a99557e4033c3539de2eb65472017cad5f9557f7a0625a09f1c3f6e2ba69c4c",
    ]


def test_damaged_record_of_other_letters_costs_itself_alone() -> None:
    """What the kernel says of a damaged record quotes it, and cuts it where it likes, inside of a letter even."""
    damaged = [("{" + '"a": "' + "x" * n + "ä" * 200).encode() for n in range(4)]
    look = kernel.look(pl.Series([b'{"a": 1}', *damaged], dtype=pl.Binary))
    assert look["type"].to_list() == ["OBJECT", None, None, None, None]
    assert look["shape"].null_count() == 4


def test_shapes_are_of_keys_alone_and_of_any_text() -> None:
    texts = pl.Series(['{"a": 1, "b": 2}', '{"a": "x", "b": {}}', '{"b": 1, "a": 2}', "{"])
    number, keys = kernel.shapes(texts)
    assert [keys.to_list()[n] for n in number] == [["a", "b"], ["a", "b"], ["b", "a"], None]
