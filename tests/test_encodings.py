"""Encodings: what a stream is in, and that its records keep their places when it becomes UTF-8."""

from __future__ import annotations

import codecs
from collections.abc import Iterator

import polars as pl
import pytest
from hypothesis import given, settings, strategies as st

from strataline.errors import InputError
from strataline.read.encodings import WIDE, Narrowed, decoded, encoding_named, likely_encoding, sniff_encoding
from strataline.read.frame import Reading
from strataline.read.lines import split_lines

TEXTS = st.lists(st.sampled_from(["a", "é", "😀", "\n", "\r\n", "\u2028", "{", "bbbbb"]), max_size=40).map("".join)


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


def read_wide(data: bytes, encoding: str, size: int) -> tuple[list[tuple[int, int, bytes]], Reading, int]:
    reading = Reading()
    narrowed = Narrowed(pieces(data, size), encoding, 0)
    frames = list(narrowed.widened(split_lines(iter(narrowed), b"\n", Reading(), 1000), reading))
    return [row for frame in frames for row in frame.select("offset", "length", "text").rows()], reading, narrowed.taken


@given(TEXTS, st.sampled_from(WIDE), st.integers(1, 9), st.sampled_from([b"", b"x"]))
@settings(max_examples=200, deadline=None)
def test_records_of_two_byte_units_lie_where_they_say(text: str, encoding: str, size: int, odd: bytes) -> None:
    data = text.encode(encoding) + odd
    rows, reading, whole = read_wide(data, encoding, size)
    assert whole == len(data)
    assert reading.record_bytes == sum(length for _, length, _ in rows)
    for offset, length, read_as in rows:
        lies = data[offset : offset + length]
        assert lies.decode(encoding, "replace").rstrip("\ufffd") == read_as.decode().rstrip("\ufffd")
    assert rows == read_wide(data, encoding, 10_000)[0]


@pytest.mark.parametrize("encoding", WIDE)
@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize("stray", [b"", b"x", b"\x00"])
def test_stray_or_missing_byte_costs_its_line_and_no_other(encoding: str, size: int, stray: bytes) -> None:
    lines = [f"{{line {number}: größer}}\n".encode(encoding) for number in range(9)]
    hit = lines[3][:8] + stray + lines[3][9 - bool(stray) :]
    data = b"".join([*lines[:3], hit, *lines[4:]])
    rows, _, whole = read_wide(data, encoding, size)
    texts = [text.decode("utf-8", "replace") for *_, text in rows]
    assert [text for text in texts if text.startswith("{line")][-5:] == [f"{{line {n}: größer}}" for n in range(4, 9)]
    assert whole == len(data)
    ends = [offset + length for offset, length, _ in rows]
    assert all(offset >= end for (offset, *_), end in zip(rows[1:], ends, strict=False))


def test_lone_half_of_a_surrogate_pair_is_not_taken_for_text() -> None:
    rows, *_ = read_wide(b"a\x00\x00\xd8b\x00\n\x00c\x00", "utf-16-le", 3)
    assert [(offset, length) for offset, length, _ in rows] == [(0, 6), (8, 2)]
    with pytest.raises(UnicodeDecodeError):
        rows[0][2].decode()


@pytest.mark.parametrize(
    ("head", "told"),
    [
        (b'{"a":1}', (None, 0)),
        (b"", (None, 0)),
        (codecs.BOM_UTF8 + b"{}", (None, 3)),
        (codecs.BOM_UTF16_LE + "{}".encode("utf-16-le"), ("utf-16-le", 2)),
        (codecs.BOM_UTF16_BE + "{}".encode("utf-16-be"), ("utf-16-be", 2)),
        ('{"a": "é"}\n'.encode("utf-16-le"), ("utf-16-le", 0)),
        ('{"a": "é"}\n'.encode("utf-16-be"), ("utf-16-be", 0)),
        (bytes(100), (None, 0)),
        (b"a\x00", (None, 0)),
        ("日本語の記録".encode(), (None, 0)),
    ],
)
def test_encoding_shows_in_the_mark_or_in_the_zero_halves(head: bytes, told: tuple[str | None, int]) -> None:
    assert sniff_encoding(head) == told


def texts(encoding: str, *given: bytes | None) -> list[bytes | None]:
    found: list[bytes | None] = decoded(pl.DataFrame({"text": given}, schema={"text": pl.Binary}), encoding)[
        "text"
    ].to_list()
    return found


def test_one_byte_encodings_become_utf8_record_by_record() -> None:
    assert texts("latin-1", b"caf\xe9", b"plain", None) == ["café".encode(), b"plain", None]
    assert texts("cp1252", b"\x93x\x94\x81") == ["“x”\x81".encode()]
    assert texts("shift_jis", "表示".encode("shift_jis")) == ["表示".encode()]


def test_bytes_that_an_encoding_does_not_define_stay_to_be_rejected() -> None:
    assert texts("shift_jis", b"\x82") == [b"\x82"]


def test_windows_1252_is_told_by_what_are_controls_in_latin_1() -> None:
    assert likely_encoding([b"caf\xe9", b"\x93x\x94"]) == "cp1252"
    assert likely_encoding([b"caf\xe9", b"Gr\xfc\xdfe"]) == "latin-1"


@pytest.mark.parametrize(
    "text", [b'"cha\xff\xfe\xc3rs"', "Отказ".encode("cp1251"), "表示".encode("shift_jis"), b"", b"\xff"]
)
def test_damage_and_other_alphabets_are_neither(text: bytes) -> None:
    assert likely_encoding([text]) is None


@pytest.mark.parametrize(("name", "codec"), [("Latin1", "iso8859-1"), ("UTF-16LE", "utf-16-le"), ("cp1252", "cp1252")])
def test_encodings_are_known_by_their_usual_names(name: str, codec: str) -> None:
    assert encoding_named(name) == codec


@pytest.mark.parametrize("name", ["klingon", "cp037", "utf-32", "rot13", "base64", "idna", ""])
def test_encoding_that_cannot_be_cut_into_records_is_refused_with_a_hint(name: str) -> None:
    with pytest.raises(InputError) as refused:
        encoding_named(name)
    assert refused.value.hint
