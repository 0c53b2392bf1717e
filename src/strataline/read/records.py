"""Bytes of one input to records: lines with their offsets, and where every byte went.

A record's offset and length are those in the decompressed stream. Line ends and a byte-order mark are
separators; every other byte belongs to exactly one record.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import polars as pl
import pyarrow as pa

from strataline.errors import InputError
from strataline.read.inputs import Input

CHUNK = 8 << 20
MAX_RECORD = 16 << 20
BOM = b"\xef\xbb\xbf"
GZIP = b"\x1f\x8b"
_ZEROS = re.compile(rb"\x00+")
_ENOUGH = 16
"""Bytes that tell what a stream is."""

_STEP = 1 << 16
"""Bytes that are decompressed at once: what a damaged stream is looked at again byte by byte for."""

# What lies in these cannot be read as lines. The whole file becomes one reject, never silence.
UNSUPPORTED = {
    b"PK\x03\x04": "zip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\xfd7zXZ\x00": "xz",
    b"BZh": "bzip2",
    b"\x04\x22\x4d\x18": "lz4",
    b"PAR1": "Parquet",
    b"ARROW1": "Arrow IPC",
    b"SQLite format 3\x00": "SQLite",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}


@dataclass(frozen=True)
class Batch:
    """Records that lie one after another: line, offset, length (Int64) and text (Binary).

    A record over the cap has a null text; blank lines are records too.
    """

    records: pl.DataFrame


@dataclass
class Reading:
    """What is known of an input once all of its batches were taken.

    Args:
        container: lines, or the name of what cannot be read yet.
        cut: why the stream ended early; null where it did not.
    """

    compression: str | None = None
    container: str = "lines"
    digest: str = ""
    bytes: int = 0
    stream_digest: str = ""
    stream_bytes: int = 0
    lines: int = 0
    record_bytes: int = 0
    separator_bytes: int = 0
    cut: str | None = None


def read(one: Input, reading: Reading, max_record: int = MAX_RECORD, chunk: int = CHUNK) -> Iterator[Batch]:
    """Yield the records of `one`, and fill in `reading` on the way.

    Memory follows `chunk` and `max_record`, not the size of the input.

    Raises:
        InputError: if the file cannot be opened or read.
    """
    try:
        with one.path.open("rb") as file:
            yield from _records(file, reading, max_record, chunk)
    except OSError as problem:
        raise InputError(f"cannot read {one.source}: {problem.strerror}", path=str(one.path)) from problem


def at(path: Path, addresses: Sequence[tuple[int, int]]) -> list[bytes]:
    """Return the bytes at each (offset, length) of the decompressed stream of the file at `path`.

    Raises:
        InputError: if the file cannot be read, or ends before an address.
    """
    found: dict[tuple[int, int], bytes] = {}
    wanted = sorted(set(addresses))
    reading = Reading()
    start, carry = 0, b""
    try:
        with path.open("rb") as file:
            for piece in _stream(file, reading, CHUNK):
                carry += piece
                while wanted and sum(wanted[0]) <= start + len(carry):
                    offset, length = wanted.pop(0)
                    found[offset, length] = carry[offset - start : offset - start + length]
                if not wanted:
                    break
                keep = min(max(wanted[0][0] - start, 0), len(carry))
                start, carry = start + keep, carry[keep:]
    except OSError as problem:
        raise InputError(f"cannot read: {problem.strerror}", path=str(path)) from problem
    if wanted:
        raise InputError(f"the stream ends before byte {sum(wanted[0])}", path=str(path))
    return [found[address] for address in addresses]


def _stream(file: BinaryIO, reading: Reading, chunk: int) -> Iterator[bytes]:
    """Yield the decompressed stream in pieces of about `chunk` bytes, hashing the file and the stream."""
    whole, stream = hashlib.sha256(), hashlib.sha256()
    raw = file.read(max(chunk, _ENOUGH))
    if raw.startswith(GZIP):
        reading.compression = "gz"
    plain: Iterator[bytes]
    plain = _raw(file, raw, reading, whole, chunk)
    if reading.compression is not None:
        plain = _unzipped(plain, reading, chunk)
    for piece in plain:
        stream.update(piece)
        reading.stream_bytes += len(piece)
        yield piece
    reading.digest, reading.stream_digest = whole.hexdigest(), stream.hexdigest()


def _raw(file: BinaryIO, raw: bytes, reading: Reading, whole: hashlib._Hash, chunk: int) -> Iterator[bytes]:
    while raw:
        whole.update(raw)
        reading.bytes += len(raw)
        yield raw
        raw = file.read(chunk)


def _unzipped(pieces: Iterator[bytes], reading: Reading, chunk: int) -> Iterator[bytes]:
    """Decompress concatenated gzip members, as logrotate and S3 writers leave them; zero padding may follow one.

    Where the stream is cut or damaged, all that can be had of it is yielded, and `reading.cut` says so. The rest of
    the file is taken in, for its digest.
    """
    made: list[bytes] = []
    size = 0
    unzip, begun = zlib.decompressobj(wbits=31), False
    for piece in pieces:
        at = 0
        while at < len(piece) and reading.cut is None:
            if not begun:
                at = _after_zeros(piece, at)
            part = piece[at : at + _STEP]
            at += len(part)
            begun = begun or bool(part)
            while part and reading.cut is None:
                before = unzip.copy()
                try:
                    plain = unzip.decompress(part, chunk)
                except zlib.error as problem:
                    plain, reading.cut = _until_damage(before, part), f"gzip stream damaged: {problem}"
                made.append(plain)
                size += len(plain)
                if size >= max(chunk, _ENOUGH):
                    yield b"".join(made)
                    made, size = [], 0
                part = unzip.unconsumed_tail
                if unzip.eof:
                    at -= len(unzip.unused_data)
                    unzip, begun, part = zlib.decompressobj(wbits=31), False, b""
            # What is inside the decompressor though all input was taken.
            while begun and reading.cut is None and (plain := unzip.decompress(b"", chunk)):
                made.append(plain)
                size += len(plain)
                yield b"".join(made)
                made, size = [], 0
    if begun and reading.cut is None:
        reading.cut = "gzip stream ends in the middle"
    if size:
        yield b"".join(made)


def _after_zeros(piece: bytes, at: int) -> int:
    """The first place from `at` on that is no zero byte: what pads the end of a member."""
    found = _ZEROS.match(piece, at)
    return found.end() if found else at


def _until_damage(unzip: zlib._Decompress, part: bytes) -> bytes:
    """What comes out before the byte that breaks it."""
    made = []
    for at in range(len(part)):
        try:
            made.append(unzip.decompress(part[at : at + 1]))
        except zlib.error:
            break
    return b"".join(made)


def _records(file: BinaryIO, reading: Reading, max_record: int, chunk: int) -> Iterator[Batch]:
    offset, line, carry = 0, 1, b""
    overlong, ends_in_return = 0, False
    first = True
    stream = _stream(file, reading, chunk)
    for data in stream:
        if first:
            first = False
            known = next((name for magic, name in UNSUPPORTED.items() if data.startswith(magic)), None)
            if known is not None:
                reading.container = known
                for _ in stream:
                    pass
                yield _unread(1, 0, reading.stream_bytes, reading)
                return
            if data.startswith(BOM):
                data, offset = data[len(BOM) :], len(BOM)
                reading.separator_bytes += len(BOM)
        if overlong:
            # Inside a record over the cap: count its bytes, keep none of them.
            end = data.find(b"\n")
            if end < 0:
                overlong, ends_in_return = overlong + len(data), data.endswith(b"\r")
                continue
            overlong, ends_in_return = overlong + end, data[:end].endswith(b"\r") if end else ends_in_return
            yield _unread(line, offset, overlong - ends_in_return, reading)
            reading.separator_bytes += 1 + ends_in_return
            offset, line, data, overlong = offset + overlong + 1, line + 1, data[end + 1 :], 0
        data = carry + data
        last = data.rfind(b"\n")
        if last < 0:
            carry = data
        else:
            yield _lines(data[: last + 1], line, offset, max_record, reading)
            line += data.count(b"\n", 0, last + 1)
            offset, carry = offset + last + 1, data[last + 1 :]
        # One byte more may be the carriage return of its line end.
        if len(carry) > max_record + 1:
            overlong, ends_in_return, carry = len(carry), carry.endswith(b"\r"), b""
    if overlong:
        yield _unread(line, offset, overlong - ends_in_return, reading)
        reading.separator_bytes += ends_in_return
        line += 1
    elif carry:
        yield _lines(carry, line, offset, max_record, reading)
        line += 1
    reading.lines = line - 1


def _unread(line: int, offset: int, length: int, reading: Reading) -> Batch:
    """One record whose bytes were counted and not kept."""
    reading.record_bytes += length
    return Batch(_frame([line], [offset], [length], pa.nulls(1, pa.large_binary())))


def _lines(data: bytes, line: int, offset: int, max_record: int, reading: Reading) -> Batch:
    """Cut `data` (whole lines; the last may lack its end) into records."""
    view = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero(view == 0x0A).astype(np.int64)
    starts = np.concatenate(([0], ends + 1))
    if len(starts) > len(ends) and starts[-1] == len(data):
        starts = starts[:-1]
    else:
        ends = np.concatenate((ends, [len(data)]))
    # A carriage return before the line end is part of the separator.
    last = np.maximum(ends - 1, 0)
    returns = (ends > starts) & (view[np.minimum(last, len(view) - 1)] == 0x0D)
    lengths = ends - starts - returns
    reading.record_bytes += int(lengths.sum())
    reading.separator_bytes += len(data) - int(lengths.sum())
    # One buffer, no copies: the separator stays with the line and is cut off as a slice.
    bounds = np.concatenate((starts, [len(data)]))
    raw = pa.LargeBinaryArray.from_buffers(
        pa.large_binary(), len(starts), [None, pa.py_buffer(bounds.tobytes()), pa.py_buffer(data)]
    )
    lines = np.arange(line, line + len(starts), dtype=np.int64)
    frame = _frame(lines, starts + offset, lengths, raw)
    return Batch(
        frame.with_columns(
            text=pl.when(pl.col("length") <= max_record).then(pl.col("text").bin.slice(0, pl.col("length")))
        )
    )


def _frame(line: object, offset: object, length: object, text: pa.Array) -> pl.DataFrame:
    frame = pl.DataFrame(
        {"line": line, "offset": offset, "length": length},
        schema={"line": pl.Int64, "offset": pl.Int64, "length": pl.Int64},
    )
    column = pl.from_arrow(text)
    assert isinstance(column, pl.Series)  # noqa: S101 - an array is a series
    return frame.with_columns(column.cast(pl.Binary).alias("text"))
