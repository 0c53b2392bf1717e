"""Rows of CSV and other delimited text as records: one JSON object per row, its cells as text under the column names.

Cells follow RFC 4180 as Python's csv module reads it: a quote opens a cell only at its start, two of them inside are
one, what follows the closing quote is kept. A row ends where the number of quotes since its start is even. Where that
gives a row which does not fit, its first physical line alone is looked at, and reading goes on with the next line: an
unbalanced quote costs one line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import polars as pl

from strataline.read.frame import FRAME, Reading

STEP = 1 << 20
"""Bytes that are taken together at least: small pieces would make small frames."""

_REACH = 2
"""Longest row over several lines that is looked for, in records of the longest kept length."""

_WIDEST = 1 << 14
"""Columns of the widest table."""

_SURE = ",\t;|"
_OTHER = "^~!$%&*#\x01\x1f"
_HINT = re.compile(r"sep=[^\w\s\"]")
_NAME = re.compile(r"[^\W\d][\w.@$#%/&'’ ()\[\]:+°€-]*|[@$#%_(][\w.@$#%/&' ()\[\]:+-]*|\d{1,3}[^\W\d][\w. %-]*|#")
_PLAIN_NAME = re.compile(r"[@$_]?[^\W\d][\w.@-]*")
_VALUE = re.compile(
    r"[-+]?[\d.,]+(?:[eE][-+]?\d+)?"  # number
    r"|\d{1,4}[-/.:]\d.*"  # date, time, address
    r"|(?=[a-f]*\d)[0-9a-f]{8,}|[0-9a-fA-F]{8}-[0-9a-fA-F-]{20,}"  # hash, UUID
    r"|\w+://.*|[\[{<\"'].*"  # URL, JSON, markup
)
_ZEROS = re.compile(rb"\0{4,}")
_BEGUN = 1 << 16
_RETURNS = 4
"""Carriage returns before a line feed that are a line's end, at most: Windows makes two where a writer gave one."""
_RULE = re.compile(r"[-+|:=\s]+")


@dataclass(frozen=True)
class Delimited:
    """How the rows of a text are written.

    Args:
        delimiter: one ASCII character.
        header: cells of the header row as they stand there; empty where there is none.
        columns: cells of a row.
    """

    delimiter: str
    header: tuple[str, ...]
    columns: int

    @property
    def names(self) -> tuple[str, ...]:
        """A key for each column, no two alike: an empty name is the column's number from 1, a second one gets ``#2``.

        Without a header row all are numbers.
        """
        return distinct([name or str(at) for at, name in enumerate(self.header or [""] * self.columns, start=1)])


def distinct(names: Sequence[str]) -> tuple[str, ...]:
    """Return `names` with ``#2``, ``#3``, … after those that were there before."""
    taken, made = set(names), set[str]()
    result = []
    for name in names:
        key, count = name, 1
        while key in made or (count > 1 and key in taken):
            count += 1
            key = f"{name}#{count}"
        made.add(key)
        result.append(key)
    return tuple(result)


def sniff_delimited(head: bytes, whole: bool) -> Delimited | None:
    """Tell whether a text is a table, and how it is written.

    A header row has two or more cells that look like names, nine in ten of the rows have as many cells (of three or
    more cells, all but one), and there is a row. Without one, a table has eight or more cells in every row, and tabs
    or quoted cells.

    Args:
        head: the first bytes, byte-order mark taken off.
        whole: whether that is all of it.
    """
    start = _after_hint(head)
    first, _, rest = head[start:].partition(b"\n")
    # Zeros one by one are another encoding; a run of them is a row that was lost.
    begun = _ZEROS.sub(b"", head[:_BEGUN])
    if not first.strip() or first[:1] in b"[{<" or begun.count(0) > len(begun) // 20:
        return None
    if _RULE.fullmatch(rest.partition(b"\n")[0].decode("utf-8", "replace").strip() or "x"):
        return None  # a drawn table
    found = []
    for delimiter in _SURE + _OTHER:
        if delimiter.encode() not in first:
            continue
        shape = _with_header(head, start, whole, delimiter)
        if shape is None and delimiter in _SURE:
            shape = _without_header(head, start, whole, delimiter)
        if shape is not None:
            found.append(shape)
    return max(found, key=lambda shape: shape.columns, default=None)


def _after_hint(head: bytes) -> int:
    """Where the table begins if a spreadsheet's line ``sep=;`` stands before it."""
    line = head[:16].partition(b"\n")[0]
    return len(line) + 1 if _HINT.fullmatch(line.rstrip(b"\r").decode("ascii", "replace")) else 0


_MANY = 20
"""Columns that no text without a header has by chance."""

_NO_SIGN = (None, "invalid_utf8", "nul_bytes")


def _with_header(head: bytes, start: int, whole: bool, delimiter: str) -> Delimited | None:
    cells = _first_row(head, start, delimiter)
    if cells is None or not 2 <= len(cells) <= _WIDEST or not _are_names(cells):
        return None
    shape = Delimited(delimiter, tuple(cells), len(cells))
    block = _Block(head[start:], whole, shape, len(head))
    good = len(block.rows)
    # Bytes that are no text are damage; they do not speak against a table.
    other = sum(1 for _, fault, _ in block.others.values() if fault not in (FRAME, *_NO_SIGN))
    if not good and not other and not whole and block.consumed < len(block.data):
        # The first row is longer than the head.
        begun, _ = _cells(_text(block.data[block.consumed :]), delimiter)
        return shape if 2 <= len(begun) <= shape.columns and len(shape.header) >= 4 else None
    few = len(cells) >= 3 and good >= 2 and other <= 1
    return shape if good and (few or good >= 0.9 * (good + other)) else None


def _without_header(head: bytes, start: int, whole: bool, delimiter: str) -> Delimited | None:
    cells = _first_row(head, start, delimiter)
    if cells is None or not 8 <= len(cells) <= _WIDEST:
        return None
    shape = Delimited(delimiter, (), len(cells))
    block = _Block(head[start:], whole, shape, len(head))
    sparse = len(block.rows) < 2 and (delimiter != "\t" or shape.columns < _MANY)
    odd = sum(fault not in _NO_SIGN for _, fault, _ in block.others.values())
    # Of many columns one row may be cut: a log that is copied while it is written on ends so.
    if sparse or odd > (shape.columns >= _MANY and len(block.rows) > odd):
        return None
    quoted = re.search(rb'(?:^|[%s\n])"[^"]*"(?:[%s\r\n]|$)' % ((re.escape(delimiter.encode()),) * 2), head)
    return shape if delimiter == "\t" or quoted else None


def _first_row(head: bytes, start: int, delimiter: str) -> list[str] | None:
    """Cells of the first row; None if its quotes do not close."""
    end, quotes = start, 0
    while True:
        stop = head.find(b"\n", end)
        stop = len(head) if stop < 0 else stop
        quotes += head.count(b'"', end, stop)
        if quotes % 2 == 0 or stop == len(head):
            break
        end = stop + 1
    cells, state = _cells(_text(head[start:stop].rstrip(b"\r")), delimiter)
    return None if state == _OPEN else [cell or "" for cell in cells]


def _are_names(cells: list[str]) -> bool:
    """Whether `cells` look like the names of columns."""
    named = [cell for cell in cells if cell]
    spaced = [cell for cell in named if cell != cell.strip()]
    # The name of an index is empty, as is what stands after a last delimiter.
    if len(named) < 2 or len(cells) - len(named) > max(1, len(cells) // 10) or (not cells[0] and not cells[-1]):
        return False
    if spaced and (len(cells) < 3 or not all(_PLAIN_NAME.fullmatch(cell.strip()) for cell in named)):
        return False  # prose with a comma or two
    if any(len(cell) > 200 or cell.count(" ") > 7 or _VALUE.fullmatch(cell.strip()) for cell in named):
        return False
    if len(cells) < 4 and any(cell.count(" ") > 3 for cell in named):
        return False
    like = sum(1 for cell in named if _NAME.fullmatch(cell.strip()))
    return like >= 0.9 * len(named) and len(set(named)) >= max(2, 0.8 * len(named))


def split_delimited(
    pieces: Iterator[bytes], shape: Delimited, reading: Reading, max_record: int, start: int = 0
) -> Iterator[pl.DataFrame]:
    """Yield the rows of a delimited text.

    The record of a row is its bytes without the line end; quoted line ends belong to it. A blank line is an empty
    record. The header row, wherever it stands, is a record with fault `FRAME`. A cell that is empty without quotes is
    null in ``text``, one with quotes is an empty text; numbers and JSON stay text as they are written.

    A row that does not have as many cells as the header, or whose quote does not close, is one physical line with
    fault ``column_count`` and its bytes as text, and so is a row with ``nul_bytes`` or ``invalid_utf8``, which keeps
    its extent. A row over several lines is told from an unbalanced quote up to twice `max_record`; beyond that, each
    of its lines is a record. A line over `max_record` is a record of its own.

    Args:
        pieces: the stream.
        shape: how it is written.
        reading: gets record bytes, separator bytes and lines.
        max_record: bytes of the longest record that is kept.
        start: offset of the first byte.

    Returns:
        Frames with line, offset, length, text, raw, fault and detail, in order of offset.
    """
    offset, line, carry = start, 1, b""
    over, tail = 0, b""
    source, ended = iter(pieces), False
    while not ended:
        parts, size = [carry], 0
        # What is carried over is looked at again: not before as much again has come.
        while size < max(STEP, len(carry)):
            piece = next(source, None)
            if piece is None:
                ended = True
                break
            parts.append(piece)
            size += len(piece)
        data = b"".join(parts)
        if over:
            # Inside a line over the cap: its bytes are counted, none is kept.
            end = data.find(b"\n")
            rest = len(data) if end < 0 else end
            tail = (tail + data[max(0, rest - _RETURNS) : rest])[-_RETURNS:]
            if end < 0 and not ended:
                over, carry = over + len(data), b""
                continue
            returns = len(tail) - len(tail.rstrip(b"\r"))
            length = over + rest - returns
            reading.record_bytes += length
            reading.separator_bytes += returns + (end >= 0)
            yield _long(line, offset, length)
            offset, line, data, over = offset + over + rest + (end >= 0), line + 1, data[rest + (end >= 0) :], 0
        block = _Block(data, ended, shape, max_record, line, offset)
        if block.lines:
            reading.record_bytes += block.record_bytes
            reading.separator_bytes += block.consumed - block.record_bytes
            yield block.frame()
        offset, line, carry = offset + block.consumed, line + block.lines, data[block.consumed :]
        # A few bytes more may be the carriage returns of its line end.
        if not ended and not block.pending and len(carry) > max_record + _RETURNS:
            over, tail, carry = len(carry), carry[-_RETURNS:], b""
    reading.lines = line - 1


def _long(line: int, offset: int, length: int) -> pl.DataFrame:
    """A line whose bytes were counted and not kept."""
    text = pl.Series([None], dtype=pl.Binary)
    return pl.DataFrame({"line": [line], "offset": [offset], "length": [length], "text": text, "raw": [True]})


_Other = tuple[bytes | None, str | None, str | None]
"""Text, fault and detail of a record that is no sound row."""


@dataclass
class _Block:
    """Rows of some bytes that begin with a row.

    Args:
        data: the bytes.
        ended: whether nothing follows them.
        shape: how they are written.
        max_record: bytes of the longest record that is kept.
        line: physical line that they begin on.
        offset: of their first byte.
    """

    data: bytes
    ended: bool
    shape: Delimited
    max_record: int
    line: int = 1
    offset: int = 0
    rows: list[list[str | None]] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    others: dict[int, _Other] = field(default_factory=dict)
    lines: int = 0
    consumed: int = 0
    record_bytes: int = 0
    pending: bool = False

    def __post_init__(self) -> None:
        data = self.data
        view = np.frombuffer(data, np.uint8)
        ends = np.flatnonzero(view == 0x0A)
        after = ends + 1
        if self.ended and len(data) > (int(after[-1]) if len(after) else 0):
            ends, after = np.append(ends, len(data)), np.append(after, len(data))
        self._starts = np.concatenate(([0], after))[: len(ends)].astype(np.int64)
        stops = ends
        for _ in range(_RETURNS if len(ends) else 0):
            stops = stops - ((stops > self._starts) & (view[stops - 1] == 0x0D))
        quotes = np.searchsorted(np.flatnonzero(view == 0x22), ends)
        odd = np.flatnonzero(np.diff(quotes, prepend=0) % 2)
        self._firsts: list[int] = []
        self._stops: list[int] = []
        self._walk(self._starts.tolist(), stops.tolist(), odd.tolist())
        self.consumed = int(after[self.lines - 1]) if self.lines else 0
        self._lengths = np.array(self._stops, np.int64) - self._starts[self._firsts]
        self.record_bytes = int(self._lengths.sum())

    def frame(self) -> pl.DataFrame:
        """All records, in order of offset."""
        count = len(self._firsts)
        # What is neither a row nor in `others` is blank.
        texts: list[bytes | None] = [b""] * count
        faults: list[str | None] = [None] * count
        details: list[str | None] = [None] * count
        for place, other in self.others.items():
            texts[place], faults[place], details[place] = other
        text = pl.Series("text", texts, dtype=pl.Binary)
        raw = np.ones(count, np.bool_)
        if self.rows:
            columns = zip(*self.rows, strict=True)
            cells = [pl.Series(key, column, pl.String) for key, column in zip(self.shape.names, columns, strict=True)]
            told = pl.DataFrame(cells).select(text=pl.struct(pl.all()).struct.json_encode().cast(pl.Binary))["text"]
            raw[self.places] = False
            # Rows first, then the others: each goes to its place.
            order = np.argsort(np.concatenate((self.places, np.flatnonzero(raw))))
            text = pl.concat([told, text.filter(pl.Series(raw))]).gather(order)
        starts = self._starts[self._firsts]
        return pl.DataFrame(
            {
                "line": np.array(self._firsts, np.int64) + self.line,
                "offset": starts + self.offset,
                "length": self._lengths,
                "text": text,
                "raw": raw,
                "fault": pl.Series(faults, dtype=pl.String),
                "detail": pl.Series(details, dtype=pl.String),
            }
        )

    def _walk(self, starts: list[int], stops: list[int], odd: list[int]) -> None:
        """Go from row to row. `odd` are the lines with an odd number of quotes, where a row may begin or end."""
        reach = _REACH * self.max_record
        odd.append(len(starts))
        at = next_odd = 0
        while at < len(starts):
            begin, last = starts[at], at
            while odd[next_odd] < at:
                next_odd += 1
            if odd[next_odd] == at and stops[at] - begin <= self.max_record:
                close = odd[next_odd + 1]
                if close < len(starts):
                    if stops[close] - begin <= reach and self._fits(begin, stops[close]):
                        last = close
                elif not self.ended and len(self.data) - begin <= reach + _RETURNS:
                    self.pending = True
                    break
            self._take(at, begin, stops[last], alone=last == at)
            at = last + 1
        self.lines = at

    def _fits(self, begin: int, stop: int) -> bool:
        """Whether bytes over several lines are one row, written without a flaw."""
        raw = self.data[begin:stop]
        # Cheap, and true of most of what an unbalanced quote leads into.
        if raw.count(self.shape.delimiter.encode()) < self.shape.columns - 1:
            return False
        cells, state = _cells(_text(raw), self.shape.delimiter)
        return state == _STRICT and len(cells) == self.shape.columns

    def _take(self, at: int, begin: int, stop: int, *, alone: bool) -> None:
        """Add the record of the bytes from `begin` to `stop`, which begins on line `at` of the block."""
        place = len(self._firsts)
        self._firsts.append(at)
        self._stops.append(stop)
        if stop - begin > self.max_record:
            self.others[place] = (None, None, None)
            return
        raw = self.data[begin:stop]
        if not raw:
            return
        text = _text(raw)
        cells, state = _cells(text, self.shape.delimiter)
        fits = len(cells) == self.shape.columns and state != _OPEN
        fault = detail = None
        if alone and not fits and not raw.strip():
            pass  # blank
        elif (fits and self._is_header(cells)) or (self.line + at == 1 and alone and _HINT.fullmatch(text)):
            fault = FRAME
        elif b"\0" in raw:
            fault, detail = "nul_bytes", f"{raw.count(0)} NUL bytes in a row"
        elif not raw.isascii() and (bad := _first_invalid(raw)) is not None:
            fault, detail = "invalid_utf8", f"byte 0x{raw[bad]:02x} at {bad} of the row is not UTF-8"
        elif not fits:
            fault = "column_count"
            if state == _OPEN:
                detail = "a quote opens here and does not close in a row of its own"
            else:
                where = "the header has" if self.shape.header else "rows have"
                detail = f"{len(cells)} cell{'' if len(cells) == 1 else 's'} where {where} {self.shape.columns}"
        else:
            self.places.append(place)
            self.rows.append(cells)
            return
        self.others[place] = (raw, fault, detail)

    def _is_header(self, cells: list[str | None]) -> bool:
        header = self.shape.header
        if not header or (cells[-1] or "") != header[-1]:
            return False
        # A file that was appended may bring its byte-order mark along.
        return [(cells[0] or "").removeprefix("\ufeff"), *(cell or "" for cell in cells[1:])] == [*header]


_OPEN, _LOOSE, _STRICT = range(3)
_QUOTED = re.compile(r'(?s)"([^"]*+(?:""[^"]*+)*+)"(.*)')


@lru_cache(maxsize=16)
def _pattern(delimiter: str) -> re.Pattern[str]:
    """One cell with the delimiter before it. Nothing in it goes back: what a quote opens is read once."""
    d = re.escape(delimiter)
    return re.compile(rf'{d}("[^"]*+(?:""[^"]*+)*+(?:"[^{d}]*+)?|[^{d}]*+)')


def _cells(text: str, delimiter: str) -> tuple[list[str | None], int]:
    """Cells of one row, null where one is empty without quotes, and how they are written.

    The state is `_STRICT` where RFC 4180 is kept, `_LOOSE` where a quote or a line end stands elsewhere, `_OPEN` where
    the last cell's quote does not close.
    """
    if '"' not in text:
        return [cell or None for cell in text.split(delimiter)], _STRICT
    state = _STRICT
    cells: list[str | None] = []
    several = "\n" in text
    for cell in _pattern(delimiter).findall(delimiter + text):
        if not cell:
            cells.append(None)
        elif cell[0] != '"':
            cells.append(cell)
            if several and "\n" in cell:
                state = _LOOSE
        else:
            inner = cell[1:-1]
            if cell[-1] == '"' and len(cell) > 1 and '"' not in inner:
                cells.append(inner)
                continue
            if cell[-1] == '"' and len(cell) > 1 and '"' not in inner.replace('""', ""):
                cells.append(inner.replace('""', '"'))
                continue
            whole = _QUOTED.fullmatch(cell)
            if whole is None:
                # It takes in all that follows.
                return [*cells, cell], _OPEN
            if whole[2]:
                state = _LOOSE
            cells.append(whole[1].replace('""', '"') + whole[2])
    return cells, state


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _first_invalid(raw: bytes) -> int | None:
    """The place of the first byte that is not UTF-8."""
    try:
        raw.decode()
    except UnicodeDecodeError as problem:
        return problem.start
    return None
