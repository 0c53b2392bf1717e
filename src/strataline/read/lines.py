"""Lines: the plainest container, and what is built of lines: events of an SSE stream.

A line ends in LF or CRLF; in CR where a file has no LF at all. No other character ends one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import polars as pl
import pyarrow as pa

from strataline.read.frame import FRAME, RECORDS, Reading, conform, framed

_SSE = re.compile(rb"(?:data|event|id|retry)(?::|$)|:")
_NUL_BYTES, _TOO_LONG = "{} NUL bytes", "longer than --max-record"
HEAD_BYTES = 200
"""Bytes that are kept of a line over the cap."""

_SSE_SHARE = 0.75
"""Share of the lines of a head that must be fields or comments of an event stream."""


def sniff_end(head: bytes) -> bytes:
    """What ends a line: CR where there is one and no LF, else LF."""
    return b"\r" if b"\n" not in head and b"\r" in head.rstrip(b"\r") else b"\n"


def split_lines(
    pieces: Iterator[bytes], end: bytes, reading: Reading, max_record: int, start: int = 0
) -> Iterator[pl.DataFrame]:
    """Yield lines as records: one per line, blank ones too; the line end is the separator.

    Args:
        pieces: consecutive bytes of the stream.
        end: what ends a line; see `sniff_end`.
        reading: takes the counts.
        max_record: a longer line is a fault, its text the first `HEAD_BYTES` of it. So is a run of zero bytes before a
            line, as long as that: a file that was cut while it was written on begins with one.
        start: offset of the first byte.
    """
    offset, line, carry = start, 1, b""
    overlong, ends_in_return, head, zeros = 0, False, b"", False
    # A carriage return among zero bytes is one of them, unless it ends lines here.
    padding = b"\0\r" if end == b"\n" else b"\0"
    for data in pieces:
        if overlong and zeros and (rest := data.lstrip(padding)) and not rest.startswith(end):
            run = overlong + len(data) - len(rest)
            yield _unread(line, offset, run, (head + data)[:HEAD_BYTES], reading, zeros=True)
            offset, data, overlong = offset + run, rest, 0
        if overlong:
            if len(head) < HEAD_BYTES:
                head = (head + data.partition(end)[0])[:HEAD_BYTES]
            zeros = zeros and not data.partition(end)[0].strip(padding)
            # Inside a line over the cap: count its bytes, keep none of them.
            at = data.find(end)
            if at < 0:
                overlong, ends_in_return = overlong + len(data), data.endswith(b"\r")
                continue
            overlong, ends_in_return = overlong + at, data[:at].endswith(b"\r") if at else ends_in_return
            ends_in_return = ends_in_return and end == b"\n"
            yield _unread(line, offset, overlong - ends_in_return, head, reading, zeros=zeros)
            reading.separator_bytes += 1 + ends_in_return
            offset, line, data, overlong = offset + overlong + 1, line + 1, data[at + 1 :], 0
        data = carry + data if carry else data
        last = data.rfind(end)
        if last < 0:
            carry = data
        else:
            frame = _lines(data, last + 1, end, line, offset, max_record, reading)
            yield frame
            line = int(frame["line"][-1]) + 1
            offset, carry = offset + last + 1, data[last + 1 :]
        # One byte more may be the carriage return of its line end.
        if len(carry) > max_record + 1 and (rest := _unpadded(carry, padding)) and len(carry) - len(rest) > max_record:
            run = len(carry) - len(rest)
            yield _unread(line, offset, run, carry[:HEAD_BYTES], reading, zeros=True)
            offset, carry = offset + run, rest
        if len(carry) > max_record + 1:
            head, zeros = carry[:HEAD_BYTES], not _unpadded(carry, padding)
            overlong, ends_in_return, carry = len(carry), carry.endswith(b"\r"), b""
    if overlong:
        ends_in_return = ends_in_return and end == b"\n"
        yield _unread(line, offset, overlong - ends_in_return, head, reading, zeros=zeros)
        reading.separator_bytes += ends_in_return
        line += 1
    elif carry:
        yield _lines(carry, len(carry), end, line, offset, max_record, reading)
        line += 1
    reading.lines = line - 1


def _unread(line: int, offset: int, length: int, head: bytes, reading: Reading, *, zeros: bool) -> pl.DataFrame:
    """One record whose bytes were counted and not kept, but for its `head`."""
    reading.record_bytes += length
    frame = framed([line], [offset], [length], pa.array([head[:length]], pa.large_binary()))
    fault, detail = ("nul_bytes", _NUL_BYTES.format(length)) if zeros else ("too_long", _TOO_LONG)
    return frame.with_columns(fault=pl.lit(fault), detail=pl.lit(detail))


def _lines(
    data: bytes, size: int, end: bytes, line: int, offset: int, max_record: int, reading: Reading
) -> pl.DataFrame:
    """Cut the first `size` bytes of `data` (whole lines; the last may lack its end) into records."""
    view = np.frombuffer(data, np.uint8, size)
    ends = np.flatnonzero(view == end[0])
    starts = np.concatenate(([0], ends + 1))
    if starts[-1] == size and len(ends):
        starts = starts[:-1]
    else:
        ends = np.concatenate((ends, [size]))
    lengths = ends - starts
    if end == b"\n":
        # A carriage return before the line end is part of the separator.
        lengths -= (lengths > 0) & (view[np.maximum(ends - 1, 0)] == 0x0D)
    kept = int(lengths.sum())
    reading.record_bytes += kept
    reading.separator_bytes += size - kept
    # One buffer, no copies: the separator stays with the line and is cut off as a slice.
    bounds = np.concatenate((starts, [size])).astype(np.int64, copy=False)
    raw = pa.LargeBinaryArray.from_buffers(
        pa.large_binary(), len(starts), [None, pa.py_buffer(bounds), pa.py_buffer(data)]
    )
    frame = framed(np.arange(line, line + len(starts), dtype=np.int64), starts + offset, lengths, raw)
    over = lengths > max_record
    padding = b"\0\r" if end == b"\n" else b"\0"
    if not over.any():
        return frame.with_columns(text=pl.col("text").bin.slice(0, pl.col("length")))
    sound = frame.filter(~over).with_columns(
        pl.col("text").bin.slice(0, pl.col("length")), fault=pl.lit(None, pl.String), detail=pl.lit(None, pl.String)
    )
    rows = [
        (line + int(at), offset + int(starts[at]) + place, *found)
        for at in np.flatnonzero(over)
        for place, *found in _long(data[starts[at] : starts[at] + lengths[at]], max_record, padding)
    ]
    return pl.concat([sound, pl.DataFrame(rows, schema=sound.schema, orient="row")]).sort("offset")


def _long(text: bytes, max_record: int, padding: bytes) -> Iterator[tuple[int, int, bytes, str | None, str | None]]:
    """A line over the cap: place, length, text, fault, detail. Zero bytes over the cap are parted from what follows."""
    rest = _unpadded(text, padding)
    run = len(text) - len(rest)
    if run > max_record:
        yield 0, run, text[: min(run, HEAD_BYTES)], "nul_bytes", _NUL_BYTES.format(run)
        if rest and len(rest) <= max_record:
            yield run, len(rest), rest, None, None
        elif rest:
            yield run, len(rest), rest[:HEAD_BYTES], "too_long", _TOO_LONG
    else:
        yield 0, len(text), text[:HEAD_BYTES], "too_long", _TOO_LONG


def _unpadded(text: bytes, padding: bytes) -> bytes:
    """What follows the zero bytes that `text` begins with."""
    return text.lstrip(padding) if text.startswith(b"\0") else text


def sniff_sse(head: bytes, *, whole: bool) -> bool:
    """Whether `head` begins a stream of server-sent events.

    Source: WHATWG HTML, "Server-sent events", the event stream format.
    """
    lines = head.splitlines()
    lines = [one for one in (lines if whole else lines[:-1]) if one]
    fields = sum(_SSE.match(one) is not None for one in lines)
    return any(one.startswith(b"data:") for one in lines) and fields >= _SSE_SHARE * len(lines)


def split_sse(
    pieces: Iterator[bytes], end: bytes, reading: Reading, max_record: int, start: int = 0
) -> Iterator[pl.DataFrame]:
    """Yield server-sent events as records: the text is what their ``data`` lines hold together.

    Its name, id and retry time are what the envelope knows. An event ends at a blank line, which is a separator as the
    line ends around it are; a block of comments alone is a counted skip. Arguments as in `split_lines`.
    """
    whole = _Block()
    for frame in split_lines(pieces, end, reading, max_record, start):
        rows = []
        for line, offset, length, text, fault, _ in conform(frame).select(_LINE).iter_rows():
            if text == b"" or fault is not None or whole.size > max_record:
                rows += whole.taken(reading, max_record)
            if fault is not None:
                rows.append((line, offset, length, text, True, fault, None))
            elif text and not _SSE.match(text):
                # No field: what a server or a client wrote in between is a record of its own.
                rows += whole.taken(reading, max_record)
                rows.append((line, offset, length, text, True, None, None))
            elif text:
                whole.add(line, offset, length, text)
            else:
                reading.record_bytes -= length
                reading.separator_bytes += length
        yield _events(rows)
    yield _events(whole.taken(reading, max_record))


_LINE = ("line", "offset", "length", "text", "fault", "detail")


def _events(rows: list[tuple[object, ...]]) -> pl.DataFrame:
    names = ("line", "offset", "length", "text", "raw", "fault", "envelope")
    schema = {name: RECORDS[name] for name in names}
    return pl.DataFrame(rows, schema=schema, orient="row")


class _Block:
    """The lines of one event, until its blank line."""

    def __init__(self) -> None:
        self.lines: list[tuple[int, int, int, bytes]] = []
        self.size = 0

    def add(self, line: int, offset: int, length: int, text: bytes) -> None:
        self.lines.append((line, offset, length, text))
        self.size += length

    def taken(self, reading: Reading, max_record: int) -> list[tuple[object, ...]]:
        """The event as a row, if there is one; the block is empty afterwards."""
        lines, self.lines, self.size = self.lines, [], 0
        if not lines:
            return []
        line, offset, *_ = lines[0]
        length = lines[-1][1] + lines[-1][2] - offset
        between = length - sum(one[2] for one in lines)
        reading.record_bytes += between
        reading.separator_bytes -= between
        data, known = [], {"envelope": "sse"}
        for *_, text in lines:
            name, _, value = text.partition(b":")
            value = value.removeprefix(b" ")
            if name == b"data":
                data.append(value)
            elif name in (b"event", b"id", b"retry"):
                known[{b"event": "labels.event", b"id": "id", b"retry": "labels.retry"}[name]] = value.decode(
                    "utf-8", "backslashreplace"
                )
        text = b"\n".join(data)
        envelope = [{"key": key, "value": value} for key, value in sorted(known.items())]
        if not data:
            return [(line, offset, length, b"", False, FRAME, envelope)]
        # The end of a stream of completions, as OpenAI's API writes it.
        fault = FRAME if text.strip() == b"[DONE]" else None
        return [(line, offset, length, text if len(text) <= max_record else None, False, fault, envelope)]
