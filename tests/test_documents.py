"""The splitter for JSON that is not one document on each line, and what tells it.

Every byte lies in one record or separator; records do not depend on how the stream is cut; one damaged element costs
that element. Layouts are made up, so that what was undamaged is known; then the real files, against `json.loads`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings, strategies as st

from strataline.read import documents
from strataline.read.documents import Shape, sniff_documents, split_documents
from strataline.read.frame import FRAME, HEAD, RECORDS, Reading, conform

SHARED = Path(__file__).resolve().parents[2] / "shared"
REAL = SHARED / "real_logs"
CAP = 16 << 20
ARRAY, DOCUMENTS, LIST = Shape("array"), Shape("documents"), Shape("list", ("records",))

Row = tuple[int, int, int, bytes | None, str | None]
"""Line, offset, length, text, fault."""


@dataclass(frozen=True)
class Split:
    """All that splitting one stream gave."""

    rows: list[Row]
    reading: Reading

    @property
    def texts(self) -> list[bytes]:
        """What the records say, without those that frame others."""
        return [text for *_, text, fault in self.rows if fault is None and text is not None]


def cut(data: bytes, size: int) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


def split(data: bytes, shape: Shape, *, cap: int = CAP, piece: int = 1 << 20, start: int = 0) -> Split:
    """Split `data`, and hold it to the laws."""
    reading = Reading()
    frames = list(split_documents(cut(data, piece), shape, reading, cap, start))
    for frame in frames:
        assert dict(conform(frame).schema) == dict(RECORDS)
    rows: list[Row] = [
        row for frame in frames for row in frame.select("line", "offset", "length", "text", "fault").iter_rows()
    ]
    separators = {"array": b" \t\r\n,[]", "documents": b" \t\r\n,"}.get(shape.kind, b" \t\r\n,")
    end = lines = 0
    for line, offset, length, text, _ in rows:
        offset -= start
        assert offset >= end
        assert length > 0
        assert not data[end:offset].strip(separators)
        lines += data.count(b"\n", end, offset)
        assert line == lines + 1
        assert text == (data[offset : offset + length] if length <= cap else None)
        lines += data.count(b"\n", offset, offset + length)
        end = offset + length
    assert not data[end:].strip(separators)
    assert reading.record_bytes == sum(length for _, _, length, _, _ in rows)
    assert reading.record_bytes + reading.separator_bytes == len(data)
    assert reading.lines == data.count(b"\n") + (not data.endswith(b"\n") and bool(data))
    return Split(rows, reading)


def under(block: int, step: int, data: bytes, shape: Shape, cap: int, piece: int) -> list[Row]:
    """Split with other windows than usual."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(documents, "BLOCK", block)
        patch.setattr(documents, "_STEP", step)
        return split(data, shape, cap=cap, piece=piece).rows


# --- what is made up --------------------------------------------------------------------------------------------

words = st.sampled_from(
    [
        "",
        "a",
        '"',
        "\\",
        "\\\\",
        '\\"',
        "{",
        "}",
        "[",
        "]",
        "},{",
        '{"id":',
        ": [",
        "é",
        "\u2028",
        "😀",
        "\n",
        "\t",
        "}]",
    ]
)
strings = st.lists(words, max_size=4).map("".join)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 10**20) | strings,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(strings, inner, max_size=3),
    max_leaves=8,
)


@st.composite
def objects(draw: st.DrawFn) -> dict[str, Any]:
    """An element: it begins with its id, as most do."""
    return {"id": draw(st.integers(0, 99)), **draw(st.dictionaries(strings, values, max_size=4))}


@dataclass(frozen=True)
class Layout:
    """One way of writing elements down.

    Args:
        own: every element begins on a line of its own, and can be told from what is inside one.
    """

    shape: Shape
    own: bool
    data: bytes
    spans: tuple[tuple[int, int], ...]


@st.composite
def layouts(draw: st.DrawFn, own: bool | None = None) -> Layout:
    elements = draw(st.lists(objects(), min_size=1, max_size=8))
    shape = draw(st.sampled_from([ARRAY, DOCUMENTS, LIST]))
    indent = draw(st.sampled_from([None, 1, 2, 4] if own else [None, 0, 1, 2, 4]))
    ascii_only = draw(st.booleans())
    lines = True if own else draw(st.booleans())
    tight = draw(st.booleans())
    newline = draw(st.sampled_from(["\n", "\r\n"]))
    outer = "" if shape.kind == "documents" else " " * (draw(st.integers(0, 4)))
    texts = [
        json.dumps(element, indent=indent, ensure_ascii=ascii_only, separators=(",", ":") if tight else None)
        for element in elements
    ]
    if indent:
        texts = [text.replace("\n", "\n" + outer) for text in texts]
    between = newline + outer if lines else ("" if tight else " ")
    comma = "" if shape.kind == "documents" else ","
    before = {"array": "[", "documents": "", "list": '{"total": 1, "records": ['}[shape.kind]
    after = {"array": "]", "documents": "", "list": '], "next": {"a": [1]}}'}[shape.kind]
    if shape.kind != "documents":
        before, after = before + between, (newline if lines else "") + after
    out, spans = before.encode(), []
    for number, text in enumerate(texts):
        raw = text.replace("\n", newline).encode()
        spans.append((len(out), len(out) + len(raw)))
        out += raw + ((comma + between).encode() if number + 1 < len(texts) else b"")
    out += after.encode() + (newline.encode() if draw(st.booleans()) else b"")
    return Layout(shape, bool(lines and indent != 0), out, tuple(spans))


@st.composite
def damaged(draw: st.DrawFn, layout: Layout) -> tuple[bytes, int, tuple[int, int]]:
    """The bytes after one element was damaged, which element, and where the damage begins and how long it makes it."""
    number = draw(st.integers(0, len(layout.spans) - 1))
    start, end = layout.spans[number]
    kind = draw(st.sampled_from(["cut", "delete", "insert"]))
    at = draw(st.integers(start + 1, end - 1))
    data = layout.data
    if kind == "cut":
        return data[:at] + data[end:], number, (at, at - end)
    if kind == "delete":
        return data[:at] + data[at + 1 :], number, (at, -1)
    brace = draw(st.sampled_from([b"{", b"}", b"[", b"]", b'"', b"\\", b"\xff"]))
    return data[:at] + brace + data[at:], number, (at, 1)


# --- the laws ---------------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(layouts(), st.integers(1, 40))
def test_every_element_is_a_record(layout: Layout, piece: int) -> None:
    got = split(layout.data, layout.shape, piece=piece)
    spans = [(offset, offset + length) for _, offset, length, _, fault in got.rows if fault is None]
    assert spans == list(layout.spans)
    assert len(got.rows) - len(spans) == (2 if layout.shape.kind == "list" else 0)


@settings(max_examples=40, deadline=None)
@given(st.data(), layouts(), st.integers(1, 50), st.integers(1, 70), st.integers(1, 70), st.sampled_from([CAP, 20, 90]))
def test_records_do_not_depend_on_pieces_and_windows(
    data: st.DataObject, layout: Layout, piece: int, block: int, step: int, cap: int
) -> None:
    broken, _, _ = data.draw(damaged(layout))
    assert under(block, step, broken, layout.shape, cap, piece) == split(broken, layout.shape, cap=cap).rows


@settings(max_examples=60, deadline=None)
@given(st.data(), layouts(own=True))
def test_damage_costs_one_element(data: st.DataObject, layout: Layout) -> None:
    broken, number, (_, longer) = data.draw(damaged(layout))
    got = {(offset, length) for _, offset, length, _, _ in split(broken, layout.shape).rows}
    kept = [(start, end - start) for start, end in layout.spans[:number]]
    kept += [(start + longer, end - start) for start, end in layout.spans[number + 1 :]]
    missing = [span for span in kept if span not in got]
    assert not missing


noise = st.lists(
    st.sampled_from(
        [b"{", b"}", b"[", b"]", b'"', b"\\", b"\n", b"\r\n", b" ", b"  ", b",", b":", b"a", b"1", b'{"id":',
         b'{"id": 1}',
         b'},{"id":', b'}{"id":2}', b'\n{"id": 3}', b"\n  {\n", b'"x"', b"[]", b"{}", b"WARN it's", b"\xc3", b"\x00",
         b'{"records": [', b"]}", b'\n  {"id":4},\n']
    ),
    max_size=60,
).map(b"".join)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(
    noise, st.sampled_from([ARRAY, DOCUMENTS, LIST]), st.integers(1, 30), st.integers(1, 50), st.sampled_from([CAP, 9])
)
def test_any_bytes_hold_the_laws(data: bytes, shape: Shape, piece: int, block: int, cap: int) -> None:
    assert under(block, 16, data, shape, cap, piece) == split(data, shape, cap=cap).rows


@settings(max_examples=50, deadline=None)
@given(st.lists(noise, min_size=1, max_size=60), st.sampled_from([ARRAY, DOCUMENTS, LIST]), st.integers(0, 200))
def test_taking_many_at_once_changes_nothing(parts: list[bytes], shape: Shape, sound: int) -> None:
    before = {"array": b"[", "documents": b"", "list": b'{"records": ['}[shape.kind]
    data = before + b'{"id": 1, "b": [1, {"c": 2}]},\n' * sound + b'{"id": 5},\n'.join(parts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(documents, "_LEARN", 3)
        many = split(data, shape).rows
        patch.setattr(documents._Splitter, "_bulk", lambda _, place: place)
        assert many == split(data, shape).rows


@settings(max_examples=40, deadline=None)
@given(noise, st.booleans())
def test_telling_takes_any_bytes(head: bytes, whole: bool) -> None:
    shape = sniff_documents(head, whole)
    assert shape is None or shape.kind in ("array", "documents", "list", "har")


# --- damage that can be named -------------------------------------------------------------------------------------

ELEMENTS = [{"id": number, "text": 'say "}{" \\ \u2028', "inner": [{"n": 1}, {"n": [2]}]} for number in range(200)]
TEXTS = [json.dumps(element, ensure_ascii=False).encode() for element in ELEMENTS]
HARMS: list[Callable[[bytes], bytes]] = [
    lambda text: text[:-1],
    lambda text: text[:30],
    lambda text: text[1:],
    lambda text: text.replace(b'"text"', b'"text', 1),
    lambda text: text.replace(b'"text": ', b'"text": {', 1),
    lambda text: text.replace(b'"text": ', b'"text": }', 1),
    lambda text: text.replace(b'"text": ', b'"text": ]', 1),
    lambda text: text + b"}",
    lambda text: text.replace(b"{", b"", 2),
]


@pytest.mark.parametrize(("shape", "joint"), [(ARRAY, b", "), (ARRAY, b","), (DOCUMENTS, b""), (DOCUMENTS, b" ")])
@pytest.mark.parametrize("number", [0, 1, 3, 150, 199])
@pytest.mark.parametrize("harm", HARMS)
def test_damage_on_one_line_costs_one_element_and_its_neighbour(
    shape: Shape, joint: bytes, number: int, harm: Callable[[bytes], bytes]
) -> None:
    texts = [*TEXTS[:number], harm(TEXTS[number]), *TEXTS[number + 1 :]]
    data = joint.join(texts)
    got = split(b"[" + data + b"]" if shape == ARRAY else data, shape).texts
    missing = {text for at, text in enumerate(TEXTS) if at not in (number, number + 1)} - set(got)
    # Until a first element is read there is no key that tells where the next one begins.
    assert not missing or (number == 0 and not harm(TEXTS[0]).startswith(b'{"id"'))


@pytest.mark.parametrize("size", [20, 200])
@pytest.mark.parametrize("number", [1, 10, 19])
@pytest.mark.parametrize("harm", [*HARMS, lambda _: b'{"cut": '])
def test_a_damaged_array_on_one_line_is_told_and_keeps_what_is_sound(
    size: int, number: int, harm: Callable[[bytes], bytes]
) -> None:
    texts = [*TEXTS[:number], harm(TEXTS[number]), *TEXTS[number + 1 : size]]
    data = b"[" + b",".join(texts) + b"]\n"
    shape = sniff_documents(data, True)
    assert shape == ARRAY
    assert not {text for at, text in enumerate(TEXTS[:size]) if at != number} - set(split(data, shape).texts)


@pytest.mark.parametrize(
    ("shape", "begins"), [(ARRAY, b"["), (ARRAY, b" \n[ "), (LIST, b'{"records":['), (LIST, b'{"total":9,"records": [')]
)
@pytest.mark.parametrize("kept", [1, 7])
def test_a_container_on_one_line_that_ends_early_keeps_what_is_sound(shape: Shape, begins: bytes, kept: int) -> None:
    whole = begins + b",".join(TEXTS[:kept])
    for rest in (b"", b",", b"," + TEXTS[kept][:2], b"," + TEXTS[kept][:30], b"," + TEXTS[kept][:-1] + b"\n"):
        data = whole + rest
        assert sniff_documents(data, True) == shape
        assert split(data, shape).texts[:kept] == TEXTS[:kept]


def swallows(shape: Shape, number: int) -> tuple[bytes, list[bytes], tuple[int, int]]:
    """A container on one line whose elements have objects inside, its elements, and where one of them lies."""
    elements = [
        json.dumps(
            {"_index": "i", "_id": str(at), "_source": {"user": f"u_{at}", "tags": ["a", {"n": at}], "q": "why?"}}
        )
        for at in range(12)
    ]
    begins, ends = {"array": ("[", "]"), "list": ('{"total": 12, "records": [', "]}")}[shape.kind]
    if len(shape.path) > 1:
        begins, ends = '{"took": 1, "hits": {"total": {"value": 12}, "hits": [', "]}}"
    data = begins + ", ".join(elements) + ends
    start = data.index(elements[number])
    return data.encode(), [element.encode() for element in elements], (start, start + len(elements[number]))


@pytest.mark.parametrize("shape", [ARRAY, LIST, Shape("list", ("hits", "hits"))])
@pytest.mark.parametrize("harm", ["delete", '"', "{", "}", "cut"])
def test_one_byte_of_damage_on_one_line_costs_its_element(shape: Shape, harm: str) -> None:
    data, elements, (start, end) = swallows(shape, 5)
    others = {*elements[:5], *elements[6:]}
    for at in range(start + 1, end):
        if harm == "cut" and data.count(b"[", start, at) > data.count(b"]", start, at):
            # Its list and objects then close with the document's: brackets do not tell.
            continue
        rest = {"delete": data[at + 1 :], "cut": data[end:]}.get(harm, harm.encode() + data[at:])
        broken = data[:at] + rest
        assert sniff_documents(broken, True) == shape
        got = split(broken, shape)
        assert not others - set(got.texts)
        frames = [text for *_, text, fault in got.rows if fault == FRAME]
        assert len(frames) == (0 if shape == ARRAY else 2)


@pytest.mark.parametrize("shape", [ARRAY, LIST])
def test_damage_that_swallows_is_told_the_same_behind_many_elements(shape: Shape) -> None:
    """Where many are taken at once, and where a window ends anywhere."""
    before = {"array": b"[", "list": b'{"records": ['}[shape.kind]
    texts = [b'{"id": %d, "of": {"a": [{"id": 1}, {"id": 2}]}}' % number for number in range(300)]
    for place in (100, 297):
        broken = [*texts]
        broken[place] = b'{"id": 7, "of": {"a": "x, "b": {"c": [1]}}}'
        data = before + b", ".join(broken) + (b"]" if shape == ARRAY else b"]}")
        got = split(data, shape)
        assert not {*texts[:place], *texts[place + 1 :]} - set(got.texts)
        assert broken[place] in got.texts
        assert under(700, 300, data, shape, CAP, 97) == got.rows


def test_an_open_element_is_a_record_of_its_own_bytes_up_to_the_next() -> None:
    whole = json.dumps(ELEMENTS[:5], indent=2).encode()
    damaged = whole.replace(b'"id": 2,\n', b'"id": 2, "open": {\n', 1)
    got = split(damaged, ARRAY)
    assert [text.count(b'"id"') for text in got.texts] == [1, 1, 1, 1, 1]
    assert all(fault is None for *_, fault in got.rows)
    with pytest.raises(json.JSONDecodeError):
        json.loads(got.texts[2])


def test_inner_objects_that_begin_like_elements_are_no_elements() -> None:
    tree = [{"id": 1, "spans": [{"id": 2, "spans": []}, {"id": 3}]} for _ in range(100)]
    for indent in (None, 0, 1):
        for shape, text in (
            (ARRAY, json.dumps(tree, indent=indent)),
            (DOCUMENTS, "\n".join(json.dumps(one, indent=indent) for one in tree)),
        ):
            assert [json.loads(one) for one in split(text.encode(), shape).texts] == tree


@pytest.mark.parametrize(
    ("data", "texts"),
    [
        (b"[]", []),
        (b"[\n]\n", []),
        (b"", []),
        (b" \n\n", []),
        (b'[1, "a, ]", null, {"a": 1}, [2]]', [b"1", b'"a, ]"', b"null", b'{"a": 1}', b"[2]"]),
        (b'[{"a": 1}]\n[{"a": 2}]', [b'{"a": 1}', b'{"a": 2}']),
        (b'[{"a": 1}, {"a": 2}', [b'{"a": 1}', b'{"a": 2}']),
        (b'[{"a": 1}]\ndone in 3 s\n', [b'{"a": 1}', b"done in 3 s"]),
        (b'[{"a": 1}]]\n, {"a": 2}]', [b'{"a": 1}', b'{"a": 2}']),
        (b'[{"a": 1}, }, {"a": 2}]', [b'{"a": 1}', b"}", b'{"a": 2}']),
        (b'[{"a": 1}, "b": {"c": 2}}, {"a": 2}]', [b'{"a": 1}', b'"b": {"c": 2}}', b'{"a": 2}']),
    ],
)
def test_arrays(data: bytes, texts: list[bytes]) -> None:
    assert split(data, ARRAY).texts == texts


@pytest.mark.parametrize(
    ("data", "shape", "kept"),
    [
        (b'{{\n "id": 0,\n "": [\n  [\n   null\n  ]\n ]\n}\n{\n "id": 1\n}', DOCUMENTS, b'{\n "id": 1\n}'),
        (b'[\n{id": 0, "{\\"id\\":": null},\n{"id": 1}\n]', ARRAY, b'{"id": 1}'),
    ],
)
def test_a_damaged_first_element_teaches_nothing_wrong(data: bytes, shape: Shape, kept: bytes) -> None:
    assert kept in split(data, shape).texts


def test_text_between_documents_is_a_record_for_each_line() -> None:
    data = (
        b"Starting up (don't panic) {\n[INFO] ready\n[2026-01-01 10:00:00] go\n"
        b'{\n  "a": 1\n}\nTraceback (most recent call last):\n  File "x.py", line 1\nKeyError: "a"\n'
        b'{\n  "a": 2\n},\n{"a": 3}{"a": 4} trailing\n'
    )
    assert split(data, DOCUMENTS).texts == [
        b"Starting up (don't panic) {",
        b"[INFO] ready",
        b"[2026-01-01 10:00:00] go",
        b'{\n  "a": 1\n}',
        b"Traceback (most recent call last):",
        b'File "x.py", line 1',
        b'KeyError: "a"',
        b'{\n  "a": 2\n}',
        b'{"a": 3}',
        b'{"a": 4}',
        b"trailing",
    ]


def test_the_list_of_a_document_and_what_frames_it() -> None:
    page = b'{"next": "x", "log": {"entries": [{"a": 1}, {"a": [2]}], "n": [1]}, "b": {"a": 1}}'
    got = split(page + b"\n" + page, Shape("har", ("log", "entries")))
    assert [(text, fault) for *_, text, fault in got.rows] == 2 * [
        (b'{"next": "x", "log": {"entries": [', FRAME),
        (b'{"a": 1}', None),
        (b'{"a": [2]}', None),
        (b'], "n": [1]}, "b": {"a": 1}}', FRAME),
    ]


def test_a_bracket_too_many_does_not_end_a_list() -> None:
    got = split(b'{"records": [{"a": 1}], {"a": 2}, {"a": 3}], "n": 1}', LIST)
    assert got.texts == [b'{"a": 1}', b"]", b'{"a": 2}', b'{"a": 3}']
    assert [fault for *_, fault in got.rows].count(FRAME) == 2


def test_a_document_without_its_list_is_a_record() -> None:
    assert split(b'{"other": [1]}\n{"records": 3}', LIST).texts == [b'{"other": [1]}', b'{"records": 3}']


def test_addresses_begin_where_the_stream_does() -> None:
    assert [row[:3] for row in split(b'[{"a": 1},\n {"a": 2}]', ARRAY, start=3).rows] == [(1, 4, 8), (2, 15, 8)]


# --- bounds -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [ARRAY, DOCUMENTS, LIST])
@pytest.mark.parametrize("ahead", [b"", b"\n"])
def test_a_record_over_the_cap_is_counted_and_not_kept(shape: Shape, ahead: bytes) -> None:
    before = {"array": b"[", "documents": b"", "list": b'{"records": ['}[shape.kind]
    huge = b'{"a": "' + b"x" * 300_000 + b'", "b": [{"a": 1}, {}]}'
    data = before + b'{"a": 1},' + ahead + huge + b"," + ahead + b'{"a": 2}'
    for cap in (100, 1 << 12, len(huge) - 1):
        rows = split(data, shape, cap=cap, piece=4096).rows
        if ahead:
            assert (len(huge), None) in [(length, text) for *_, length, text, _ in rows]
        assert rows[-1][3] == b'{"a": 2}'
    assert split(data, shape, cap=len(huge)).texts == [b'{"a": 1}', huge, b'{"a": 2}']


def test_memory_follows_the_cap(monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[int] = []
    scan = documents._Splitter.scan

    def watched(self: documents._Splitter, data: bytes, *, final: bool) -> tuple[int, bool]:
        held.append(len(data))
        return scan(self, data, final=final)

    monkeypatch.setattr(documents._Splitter, "scan", watched)
    pieces = (b'[{"a": "' if number == 0 else b"x" * (1 << 20) for number in range(40))
    rows = pl.concat(split_documents(pieces, ARRAY, Reading(), 1 << 16))
    assert rows.select("length", "text").rows() == [((39 << 20) + 7, None)]
    assert max(held) < 4 << 20


@pytest.mark.parametrize("byte", list(b'[]{}"\\\n ,:a0'), ids=chr)
def test_a_million_of_one_byte_take_no_time(byte: int) -> None:
    data = bytes([byte]) * 1_000_000
    for shape in (ARRAY, DOCUMENTS, LIST):
        begun = time.process_time()
        split(b'[{"a":1},' + data if shape == ARRAY else data, shape)
        assert time.process_time() - begun < 2


def test_damage_everywhere_takes_time_in_proportion() -> None:
    def taken(times: int) -> float:
        begun = time.process_time()
        split(b'[{"a":1},' + b'{"a":[},' * times, ARRAY, cap=1 << 16)
        return time.process_time() - begun

    assert taken(16_000) < 20 * max(taken(2_000), 0.02)


@pytest.mark.parametrize("shape", [ARRAY, LIST])
def test_elements_that_never_end_take_time_in_proportion(shape: Shape) -> None:
    def taken(size: int) -> float:
        data = {"array": b"[", "list": b'{"records": ['}[shape.kind] + b'{"a":1},' + b'{"a":"{"a":"' * (size // 12)
        begun = time.process_time()
        assert len(list(split_documents(cut(data, 1 << 20), shape, Reading(), CAP))) > 0
        return time.process_time() - begun

    assert taken(1 << 19) < 1.5
    assert taken(1 << 19) < 10 * max(taken(1 << 17), 0.05)


@pytest.mark.parametrize("part", [b'{"a":1,', b'{"a":"{"a":"', b'{"a":1},{"a":"', b'{"a":1,\n', b'\n{"a":1}{"a":[}x'])
def test_telling_takes_no_time(part: bytes) -> None:
    head = (part * HEAD)[:HEAD]
    begun = time.process_time()
    assert sniff_documents(head, True) in (None, DOCUMENTS)
    assert time.process_time() - begun < 1


# --- telling ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b'{"a": 1}\n{"a": 2}\n', None),
        (b'{"a": 1}', None),
        (b'banner\n{"a": 1}\n{"a": "cut\n{"a": 2}\n', None),
        (b'"rest"}\n{"a": 1}\n', None),
        (b'[{"a": 1}]\n[{"a": 2}, {"a": 3}]\n', None),
        (b'[pod/api-0/app] {"a": 1}\n[pod/api-0/app] x\n', None),
        (b'[2026-01-01 10:00:00] {"a": 1}\n', None),
        (b"[INFO] x\n[WARN] y\n", None),
        (b"[1, 2, 3]", None),
        (b"[{}] 2026-01-01 INFO ready", None),
        (b"[{}] [main] INFO ready\n", None),
        (b"[{main}] ready", None),
        (b'[{"user": 1}] signed in\n[{"user": 2}] signed in\n', None),
        (b'[{"user": 1}] [main] x\n[{"user": 2}] [main] y\n', None),
        (b'{"records": [{"a": 1}]} and more', None),
        (b'{"records": [{"a": 1}]}\n{"records": [{"a": 1}]}\n', None),
        (b'{"records": [{"a": 1}]}\ncurl: (23) done\n', None),
        (b"{'a': 1}\n", None),
        (b"", None),
        (b"\n \n", None),
        (b"plain\ntext {\n", None),
        (b'2026-01-01 INFO sent\n{\n  "a": 1\n}\n' + b"2026-01-01 INFO waiting for more\n" * 9, None),
        (b'[{"a": 1}]', "array"),
        (b"[]", "array"),
        (b'[\n{"a": 1}\n]\n', "array"),
        (b'[\n  {\n    "a": 1\n  }\n]\n', "array"),
        (b'[[{"a": 1}], [{"a": 2}]]', "array"),
        (b'[{"a": 1}][{"a": 2}]', "array"),
        (b'[{"a": 1}, {"a": ', "array"),
        (b'[{"a": 1}, {"a": "x\n', "array"),
        (b"[{", None),
        (b'{"a": 1}{"a": 2}', "documents"),
        (b'[{"user": 1}] {"a": 1}\n[{"user": 2}] {"a": 2}\n', "documents"),
        (b'{\n  "a": 1\n}\n', "documents"),
        (b'{\n  "a": 1\n}\n{\n  "a": 2\n}\n', "documents"),
        (b'banner\n{\n  "a": 1,\n  "b": 2\n}\nTraceback:\n', "documents"),
        (b'{\n  "resourceSpans": [\n    {"a": 1}\n  ]\n}\n', "documents"),
        (b'{\n  "name": "span",\n  "events": [\n    {"a": 1, "b": [1, 2, 3, 4]}\n  ]\n}\n', "documents"),
        (b'{\n  "records": []\n}\n', "documents"),
        (b'{\n  "data": [\n    [0, "a"], [1, "b"], [2, "c"]\n  ]\n}\n', "documents"),
        (b'{\n  "records": [\n    {"a": 1}\n  ]\n}\n', "list"),
        (
            b'{\n "took": 1,\n "hits": {\n  "total": {"value": 1},\n  "hits": [\n' + b'{"_id": "a"},' * 9 + b"{}]}}",
            "list",
        ),
        (b'{"log": {"version": "1.2", "entries": []}}', "har"),
    ],
)
def test_how_a_stream_lies(head: bytes, kind: str | None) -> None:
    shape = sniff_documents(head, True)
    assert (shape and shape.kind) == kind


ROWS = [{"id": number, "text": "x" * 20} for number in range(9)]


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize(
    ("document", "path"),
    [
        ({"records": ROWS}, ("records",)),
        ({"data": ROWS, "has_more": False}, ("data",)),
        ({"data": ROWS, "meta": {"page": 1}}, ("data",)),
        ({"object": "list", "data": ROWS, "first_id": "a", "last_id": "b"}, ("data",)),
        ({"events": ROWS, "nextForwardToken": "f/1"}, ("events",)),
        ({"took": 3, "timed_out": False, "hits": {"max_score": 1.0, "hits": ROWS}}, ("hits", "hits")),
        ({"@odata.context": "x", "value": ROWS}, ("value",)),
        # A record of an application that has such a list among what else it says.
        ({"object": "list", "data": ROWS, "model": "m", "usage": {"total_tokens": 1}}, None),
        ({"id": "modr-1", "model": "m", "results": ROWS}, None),
        ({"created": 1, "data": ROWS}, None),
        ({"title": "deployed", "events": ROWS}, None),
        ({"name": "span", "events": ROWS}, None),
        ({"messageType": "DATA_MESSAGE", "logGroup": "g", "logEvents": ROWS}, None),
        ({"resourceSpans": ROWS}, None),
        ({"records": [1, 2]}, None),
        ({"records": []}, None),
        ({"metadata": {"text": "x" * 999}, "records": ROWS}, None),
        ({"records": {"data": ROWS}}, None),
    ],
)
def test_a_page_is_opened_whatever_its_layout_and_size(
    document: dict[str, Any], path: tuple[str, ...] | None, indent: int | None
) -> None:
    text = json.dumps(document, indent=indent).encode()
    shape = Shape("list", path) if path else None if indent is None else DOCUMENTS
    for head in (text, text + b"\n", b"\n" + text + b" \r\n\n"):
        assert sniff_documents(head, True) == shape
    if shape is not None and path:
        assert [json.loads(one) for one in split(text, shape).texts] == ROWS
    # As the first of several lines it is a record, also where the head ends behind it.
    if indent is None:
        assert sniff_documents(text + b"\n" + text + b"\n", True) is None
        assert sniff_documents(text + b"\n", False) is None


@pytest.mark.parametrize(
    ("begins", "kind"),
    [(b'[{"a": "', "array"), (b'{"records": [{"a": "', "list"), (b'{"a": "', "documents"), (b'["', None)],
)
def test_a_line_longer_than_the_head(begins: bytes, kind: str | None) -> None:
    # The head ends inside a character.
    head = (begins + "é".encode() * HEAD)[:HEAD]
    shape = sniff_documents(head, False)
    assert (shape and shape.kind) == kind


def test_a_head_may_end_anywhere() -> None:
    pretty = b"\n".join(json.dumps(element, indent=2, ensure_ascii=False).encode() for element in ELEMENTS[:3])
    lines = b"\n".join(TEXTS[:3]) + b"\n"
    for at in range(300, len(pretty)):
        assert sniff_documents(pretty[:at], False) == DOCUMENTS
    for at in range(len(TEXTS[0]) + 2, len(lines)):
        assert sniff_documents(lines[:at], False) is None


# --- real files ---------------------------------------------------------------------------------------------------


def reference(text: str) -> list[Any]:
    """The documents of `text`, as a plain decoder reads them one after another."""
    decoder, at, found = json.JSONDecoder(), 0, []
    while text[at:].strip():
        at += len(text[at:]) - len(text[at:].lstrip())
        document, at = decoder.raw_decode(text, at)
        found.append(document)
    return found


def real() -> list[Path]:
    return [path for path in sorted(REAL.rglob("*")) if path.suffix in (".json", ".txt", ".har") and path.is_file()]


@pytest.mark.skipif(not REAL.is_dir(), reason="the real logs are not here")
def test_real_files_give_what_a_decoder_reads() -> None:
    kinds: dict[str, int] = {}
    for path in real():
        data = path.read_bytes()
        shape = sniff_documents(data[:HEAD], len(data) <= HEAD)
        if shape is None:
            continue
        kinds[shape.kind] = kinds.get(shape.kind, 0) + 1
        expected = reference(data.decode())
        if shape.kind == "array":
            (expected,) = expected
        if shape.path:
            (document,) = expected
            for name in shape.path:
                document = document[name]
            expected = document
        assert [json.loads(text) for text in split(data, shape).texts] == expected, path.name
    assert kinds["array"] > 10
    assert kinds["documents"] > 60
    assert kinds["har"] == 1
    # Pages of two interfaces, of which one wrote its own on one line.
    assert kinds["list"] == 3


@pytest.mark.skipif(not REAL.is_dir(), reason="the real logs are not here")
@pytest.mark.parametrize(
    ("name", "shape", "records"),
    [
        ("openinference/langchain_rag.otlp.console.txt", DOCUMENTS, 1183),
        ("otel_genai/rag_span_only.otlp.console.txt", DOCUMENTS, 249),
        ("nemo_guardrails/otel_console_spans.json", DOCUMENTS, 7),
        ("cloudwatch/firehose_concatenated_no_newline.json", DOCUMENTS, 2),
        ("zipkin/smartthings-oauth-authorization.json", ARRAY, 175),
        ("har/sse_chat_chromium.har", Shape("har", ("log", "entries")), 5),
    ],
)
def test_real_files(name: str, shape: Shape, records: int) -> None:
    data = (REAL / name).read_bytes()
    assert sniff_documents(data[:HEAD], len(data) <= HEAD) == shape
    assert len(split(data, shape).texts) == records


@pytest.mark.skipif(not REAL.is_dir(), reason="the real logs are not here")
def test_lines_and_text_are_not_claimed() -> None:
    claimed = []
    for path in sorted(REAL.rglob("*")):
        if path.suffix in (".jsonl", ".log", ".csv", ".tsv", ".sse", ".md") and path.is_file():
            data = path.read_bytes()
            if sniff_documents(data[:HEAD], len(data) <= HEAD) is not None:
                claimed.append(path.name)
    assert not claimed
