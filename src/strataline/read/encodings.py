"""Encodings: which one a stream has, and how its bytes become UTF-8 without losing where they lay.

A container is told and cut in UTF-8. Streams of two-byte units are turned into it first, and the offsets of their
records are turned back; in all other encodings that are read, the characters that cut records are the bytes of ASCII,
so that texts are turned when they have been cut.
"""

from __future__ import annotations

import codecs
import re
from collections import deque
from collections.abc import Generator, Iterator

import numpy as np
import polars as pl

from strataline.errors import InputError
from strataline.read.frame import Reading

_MARKS = {codecs.BOM_UTF8: None, codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
WIDE = ("utf-16-le", "utf-16-be")
_SHIFTED = "\u0a00"
"""What a line end reads as where the units are cut in the wrong place; it stands for no character."""

_LOOKED = 1 << 14
_NO_CHARSETS = {"idna", "punycode", "unicode-escape", "raw-unicode-escape"}
_ASCII = bytes(range(128))
"""What cuts records, and must be the same bytes in an encoding for it to be cut as it lies."""


def encoding_named(name: str) -> str:
    """The codec that `name` means, as this module takes it.

    Raises:
        InputError: if there is none, or its bytes cannot be cut into records.
    """
    hint = "for example latin-1, cp1252, utf-16-le, shift_jis or gb18030"
    try:
        found = codecs.lookup(name).name
        fits = found in WIDE or (found not in _NO_CHARSETS and _ASCII.decode(found) == _ASCII.decode())
    except (LookupError, UnicodeError) as problem:
        raise InputError(f"no encoding is called {name!r}", hint=hint) from problem
    if not fits:
        raise InputError(f"logs in {name!r} cannot be cut into records", hint=hint)
    return found


def sniff_encoding(head: bytes) -> tuple[str | None, int]:
    """The encoding that `head` shows (null: UTF-8, or not told), and how many bytes its mark has.

    Without a mark, two-byte units show by the zero halves of their ASCII characters.
    """
    for mark, name in _MARKS.items():
        if head.startswith(mark):
            return name, len(mark)
    part = head[: min(len(head), _LOOKED) // 2 * 2]
    if len(part) >= 4:
        high, low = part[0::2].count(0) / (len(part) // 2), part[1::2].count(0) / (len(part) // 2)
        if max(high, low) > 0.5 and min(high, low) < 0.05:
            return ("utf-16-be" if high > low else "utf-16-le"), 0
    return None, 0


class Narrowed:
    """A stream of two-byte units as UTF-8, which remembers where its characters lay.

    A half of a surrogate pair stays alone and becomes bytes that are not UTF-8: its record is then a reject. Where a
    byte was lost or came in, what follows reads as nonsense up to the next line end, and is sound again behind it.

    Args:
        pieces: the stream without its mark.
        encoding: one of `WIDE`.
        start: offset of the first byte in the stream.
    """

    def __init__(self, pieces: Iterator[bytes], encoding: str, start: int) -> None:
        self._pieces = pieces
        self._encoding = encoding
        self._places: deque[tuple[int, int, np.ndarray]] = deque()
        self._narrow, self._wide = 0, start
        self._start = start

    @property
    def taken(self) -> int:
        """Bytes of the stream so far, without its mark."""
        return self._wide - self._start

    def __iter__(self) -> Iterator[bytes]:
        rest = b""
        for data in self._pieces:
            rest = yield from self._units(rest + data)
        if rest:
            # An odd byte, or half of a pair, at the end.
            yield from self._made("\ufffd", len(rest))

    def _units(self, data: bytes) -> Generator[bytes, None, bytes]:
        """Turn whole characters, and return the bytes of the last that is not."""
        while True:
            keep = len(data) // 2 * 2
            if keep and 0xD8 <= data[keep - (1 if self._encoding == "utf-16-le" else 2)] <= 0xDB:
                keep -= 2
            text = data[:keep].decode(self._encoding, "surrogatepass")
            shifted = text.find(_SHIFTED)
            if shifted < 0:
                yield from self._made(text)
                return data[keep:]
            # A byte is missing or too many before: the line end shows it, and the next line is sound again.
            before = len(text[:shifted].encode(self._encoding, "surrogatepass"))
            yield from self._made(text[:shifted])
            yield from self._made("\ufffd" if self._encoding == "utf-16-le" else "\n", 1)
            data = data[before + 1 :]

    def _made(self, text: str, wide: int | None = None) -> Iterator[bytes]:
        if not text:
            return
        data = text.encode("utf-8", "surrogatepass")
        view = np.frombuffer(data, np.uint8)
        # A character begins at every byte that is no continuation; four bytes in UTF-8 are two units.
        size = np.where((view & 0xC0) == 0x80, 0, np.where(view >= 0xF0, 4, 2)).astype(np.int64)
        ends = np.concatenate(([0], np.cumsum(size)))
        if wide is not None:
            ends[-1] = wide
        self._places.append((self._narrow, self._wide, ends))
        self._narrow, self._wide = self._narrow + len(data), self._wide + int(ends[-1])
        yield data

    def widened(self, frames: Iterator[pl.DataFrame], reading: Reading) -> Iterator[pl.DataFrame]:
        """`frames` (in order of offset) with offsets and lengths as they are in the stream; `reading` counts them."""
        for frame in frames:
            if frame.is_empty():
                yield frame
                continue
            begin = frame["offset"].to_numpy()
            end = begin + frame["length"].to_numpy()
            offset, after = self._wide_of(begin), self._wide_of(end)
            reading.record_bytes += int((after - offset).sum())
            while len(self._places) > 1 and self._places[1][0] <= int(end[-1]):
                self._places.popleft()
            yield frame.with_columns(
                offset=pl.Series(offset, dtype=pl.Int64),
                length=pl.Series(after - offset, dtype=pl.Int64),
                raw=pl.lit(value=False),
            )

    def _wide_of(self, places: np.ndarray) -> np.ndarray:
        found = np.zeros(len(places), np.int64)
        for narrow, wide, ends in self._places:
            inside = (places >= narrow) & (places < narrow + len(ends))
            found[inside] = wide + ends[places[inside] - narrow]
        return found


def decoded(frame: pl.DataFrame, encoding: str) -> pl.DataFrame:
    """`frame` with its texts turned from `encoding` into UTF-8.

    What the encoding does not define becomes bytes that are not UTF-8 (its record is then a reject), but in
    Windows-1252, where five bytes are the control characters that browsers take them for.
    """
    text = frame["text"]
    made = [one if one is None or one.isascii() else _turned(one, encoding) for one in text.to_list()]
    return frame.with_columns(text=pl.Series(made, dtype=pl.Binary), raw=pl.lit(value=False))


def _turned(text: bytes, encoding: str) -> bytes:
    try:
        return text.decode(encoding).encode()
    except UnicodeDecodeError:
        if encoding == "cp1252":
            return "".join(bytes([one]).decode(encoding, "ignore") or chr(one) for one in text).encode()
        return text


def likely_encoding(texts: list[bytes]) -> str | None:
    """Latin-1 or Windows-1252, for records that are not UTF-8; null where their bytes read as neither.

    In both, letters beyond ASCII stand alone or in pairs inside of words, and signs alone: longer runs of such bytes
    are another alphabet or damage. It is Windows-1252 where a byte is a control character in Latin-1.
    """
    runs = [run for text in texts for run in _HIGH.findall(text)]
    likely = sum(len(run) <= 2 and all(byte in _WESTERN for byte in run) for run in runs)
    if not runs or likely < _LIKELY * len(runs):
        return None
    return "cp1252" if any(0x80 <= byte < 0xA0 for run in runs for byte in run) else "latin-1"


_HIGH = re.compile(rb"[\x80-\xff]+")
_LIKELY = 0.9
_SIGNS = "€£¥§©®°±²³µ·¿¡«»‘’“”–—…•™ªº¼½¾×\xa0"
_WESTERN = frozenset(
    byte
    for byte in range(0x80, 0xFF)
    if (sign := bytes([byte]).decode("cp1252", "ignore")) and (sign.isalpha() or sign in _SIGNS)
)
"""Bytes that are letters or common signs in Windows-1252, but for ÿ, which files of other kinds are full of."""
