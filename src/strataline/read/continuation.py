"""Continuation lines: tracebacks and indented text stay with the record that they follow.

Formats are not known here, so the rule is a narrow one. A line continues the record before it if it is one of those
that a traceback of Python, Java, Node or Go is made of; or if it begins with white space (and not with white space and
a time or a level) and that record begins with a time or a level. What follows a JSON object cannot be part of it: a
traceback there is a record of its own, as a whole. Lines of other streams in the same source (pods, containers) do not
part what belongs together.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import polars as pl

from strataline.read.frame import RECORDS, Reading

_BEGINS = re.compile(
    rb"Traceback \(most recent call last\):|During handling of the above exception|The above exception was the direct|"
    rb"Caused by: |goroutine \d+ \[|\.\.\. \d+ (?:more|common frames)|Exception Group Traceback"
)
"""What a line of a traceback begins with, if not with white space."""

_RECORD = re.compile(
    rb"\s*\[?(?:\d{4}[-/]\d\d[-/]\d\d[T ]|\d\d:\d\d:\d\d\b|[A-Z][a-z]{2} [ \d]\d \d\d:|\d{10,19}\b|"
    rb"[IWEF]\d{4} \d\d:|(?:ts|time|level)=|"
    rb"(?:TRACE|DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|CRITICAL|FATAL)\b)"
)
"""What a record begins with: a time or a level."""

_FRAME = re.compile(rb'\s+(?:at \S|File "|\.\.\. \d|\| |\+-)')
"""What a frame of a traceback begins with."""

_CANDIDATES = (b" ", b"\t", b"Traceback ", b"During handling", b"The above exc", b"Caused by: ", b"goroutine ", b"... ")
_NEAR = 1000
"""Rows of other streams that may lie between a record and a line that continues it."""

_MOST = 10_000
"""Lines of one record; and rows of a source with several streams after which all records are closed, so that what is
held back stays bounded however tracebacks alternate."""

_END = 2
"""Bytes of the longest line end, which comes to lie inside of a record."""

_ORIGIN = ("host", "namespace", "pod", "container", "stream", "service", "log")


@dataclass
class _Open:
    """A record that may go on: its rows so far, blank rows that may lie inside it, and what kind of record it is.

    Args:
        rows: its rows.
        blanks: rows that are part of it if a traceback goes on behind them.
        size: bytes so far.
        json: a JSON object, which nothing continues.
        dated: it begins with a time or a level.
        trace: a traceback is open in it.
    """

    rows: list[int] = field(default_factory=list)
    blanks: list[int] = field(default_factory=list)
    size: int = 0
    json: bool = False
    dated: bool = False
    trace: bool = False


class Grouper:
    """Puts continuation lines to their records, across frames.

    Args:
        reading: takes over the line ends that come to lie inside of a record.
        max_record: a record that grew past it takes no further line.
        end: what ends a line, where no carriage return stands before a line feed.
    """

    def __init__(self, reading: Reading, max_record: int, end: bytes = b"\n") -> None:
        self._reading = reading
        self._max = max_record
        self._end = end
        self._held: pl.DataFrame | None = None
        self._given = 0
        self._cut: dict[int, int] = {}

    def feed(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Rows (as `RECORDS`) that can take no further line; the others are held back until the next call."""
        rows = frame if self._held is None else pl.concat([self._held, frame])
        if rows.is_empty():
            return rows
        candidate = _candidates(rows["text"])
        if not candidate.any() and rows["envelope"].null_count() == rows.height:
            # The last record that is not blank may go on.
            solid = rows["text"].bin.size().fill_null(1) > 0
            keep = _address_of(rows, int(solid.arg_true()[-1]) if solid.any() else 0)
            self._held = rows.slice(keep)
            self._given += keep
            return rows.slice(0, keep)
        if not candidate.any():
            self._held = None
            return self._after_wrapped(rows)
        groups, last = self._groups(rows, candidate)
        self._held = rows.slice(last)
        self._given += last
        return self._merged(rows.slice(0, last), [group for group in groups if group[0] < last])

    def end(self) -> pl.DataFrame:
        """The rows that were held back."""
        rows, self._held = self._held, None
        if rows is None:
            return pl.DataFrame(schema=RECORDS)
        groups, _ = self._groups(rows, _candidates(rows["text"]))
        if self._cut:
            detail = "a record with lines that continue it was closed before its end; the rest is a record of its own"
            self._reading.notes.append(("continuation_cut", detail, sum(self._cut.values())))
        return self._merged(rows, groups)

    def _after_wrapped(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Of wrapped rows without a candidate, hold back the last of each stream."""
        origins = _origins(rows)
        last = {origin: at for at, origin in enumerate(origins)}
        keep = _address_of(rows, max(min(last.values()), rows.height - _NEAR))
        self._held = rows.slice(keep)
        self._given += keep
        return rows.slice(0, keep)

    def _groups(self, rows: pl.DataFrame, candidate: pl.Series) -> tuple[list[list[int]], int]:
        """Rows that belong together (lists of two and more), and the first row that may still go on."""
        texts, faults, marks = rows["text"].to_list(), rows["fault"].to_list(), candidate.to_list()
        lengths, origins = rows["length"].to_list(), _origins(rows)
        streams: dict[object, _Open] = {}
        groups = []
        for at, text in enumerate(texts):
            if origins[at] is not None and (self._given + at) % _MOST == 0:
                # By the row, as rows that are held back pass here again.
                open_ones = [one for one in streams.values() if one.trace and one.rows[-1] + _NEAR >= at]
                self._cut |= {self._given + at: len(open_ones)} if open_ones else {}
                groups += [stream.rows for stream in streams.values()]
                streams = {}
            stream = streams.setdefault(origins[at], _Open())
            if text is not None and faults[at] is None and not text.strip():
                stream.blanks.append(at)
                continue
            if stream.rows and stream.rows[-1] + _NEAR < at:
                groups.append(stream.rows)
                stream = streams[origins[at]] = _Open()
            continues = text is not None and faults[at] is None and self._continues(stream, text, marked=marks[at])
            if continues and self._full(stream, text):
                self._cut[self._given + at] = 1
                continues = False
            if not continues:
                groups.append(stream.rows)
                json = text is not None and text.lstrip()[:1] in (b"{", b"[")
                trace = text is not None and marks[at] and text.startswith(b"Traceback (")
                dated = text is not None and _RECORD.match(text) is not None
                streams[origins[at]] = _Open([at], [], lengths[at], json and not trace, dated, trace)
                if text is None or faults[at] is not None:
                    streams[origins[at]].size = self._max + 1
                continue
            stream.rows += [*stream.blanks, at]
            stream.blanks = []
            stream.size += lengths[at] + _END
            stream.trace = text.startswith((b"Traceback (", b"  File ")) or (stream.trace and text[:1] in (b" ", b"\t"))
        groups += [stream.rows for stream in streams.values()]
        near = [stream for stream in streams.values() if stream.rows and stream.rows[-1] + _NEAR >= len(texts)]
        last = min((stream.rows[0] for stream in near), default=len(texts))
        last = min([last, *(stream.blanks[0] for stream in streams.values() if stream.blanks and not stream.rows)])
        groups = [group for group in groups if len(group) > 1]
        # What is given out now holds whole groups, and all records of one address.
        last = _address_of(rows, last)
        for group in sorted(groups, reverse=True):
            if group[0] < last <= group[-1]:
                last = _address_of(rows, group[0])
        return groups, last

    def _continues(self, stream: _Open, text: bytes, *, marked: bool) -> bool:
        """Whether `text` goes on with the open record of its stream."""
        if not stream.rows or stream.json or stream.size > self._max:
            return False
        if marked and text[:1] in (b" ", b"\t"):
            if _FRAME.match(text):
                return True
            return not _RECORD.match(text) and (stream.trace or (stream.dated and not stream.blanks))
        if marked and _BEGINS.match(text):
            return True
        # The line after the frames of a traceback names the exception.
        return stream.trace and not stream.blanks and text[:1] not in (b"{", b"[") and not _RECORD.match(text)

    def _full(self, stream: _Open, text: bytes) -> bool:
        return stream.size + len(text) + _END > self._max or len(stream.rows) >= _MOST

    def _merged(self, rows: pl.DataFrame, groups: list[list[int]]) -> pl.DataFrame:
        if not groups:
            return rows
        texts, dropped = rows["text"].to_list(), set()
        columns = {name: rows[name].to_list() for name in ("offset", "length", "parts", "envelope")}
        for group in groups:
            first, *rest = group
            dropped.update(rest)
            offsets, lengths = ([columns[name][at] for at in group] for name in ("offset", "length"))
            if all(columns["envelope"][at] is None for at in group):
                length = offsets[-1] + lengths[-1] - offsets[0]
                inside = length - sum(lengths)
                self._reading.record_bytes += inside
                self._reading.separator_bytes -= inside
                texts[first] = _joined([texts[at] for at in group], offsets, lengths, self._end)
                columns["length"][first] = length
                continue
            texts[first] = b"\n".join(texts[at] for at in group)
            parts: list[dict[str, int]] = []
            for at in group:
                own = columns["parts"][at]
                parts += own or [{"offset": columns["offset"][at], "length": columns["length"][at]}]
            parts = [part for number, part in enumerate(parts) if part not in parts[:number]]
            if len(parts) > 1:
                columns["parts"][first] = parts
                columns["length"][first] = sum(part["length"] for part in parts)
        made = rows.with_columns(
            pl.Series("text", texts, dtype=pl.Binary),
            pl.Series("length", columns["length"], dtype=pl.Int64),
            pl.Series("parts", columns["parts"], dtype=RECORDS["parts"]),
        )
        return made.filter(~pl.int_range(pl.len()).is_in(sorted(dropped)))


def _address_of(rows: pl.DataFrame, row: int) -> int:
    """The first of the rows that have the address of `row`."""
    if not 0 < row < rows.height:
        return row
    same = rows["offset"].slice(0, row + 1) == rows["offset"][row]
    return row + 1 - int((~same.reverse()).arg_max() or 0) if not same.all() else 0


def _candidates(text: pl.Series) -> pl.Series:
    head = text.bin.slice(0, 16)
    return pl.select(
        pl.any_horizontal(*(pl.lit(head).bin.starts_with(one).fill_null(value=False) for one in _CANDIDATES))
    ).to_series()


def _origins(rows: pl.DataFrame) -> list[object]:
    """Which stream each row belongs to; null where no wrapper says."""
    if rows["envelope"].null_count() == rows.height:
        return [None] * rows.height
    found: list[object] = []
    for known in rows["envelope"].to_list():
        if known is None:
            # A line that has no wrapper is of the record before it, if of any.
            found.append(found[-1] if found else None)
        else:
            found.append(tuple(one["value"] for one in known if one["key"] in _ORIGIN))
    return found


def _joined(texts: list[bytes], offsets: list[int], lengths: list[int], end: bytes) -> bytes:
    """The lines with the line ends that lay between them."""
    made = [texts[0]]
    for at in range(1, len(texts)):
        gap = offsets[at] - offsets[at - 1] - lengths[at - 1]
        made += [b"\r\n" if gap == 2 else end, texts[at]]
    return b"".join(made)
