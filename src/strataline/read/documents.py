"""JSON that is not one document on each line: arrays, documents one after another, a list inside one document.

The stream is looked at through a window that always begins between two records. Brackets outside strings are found
for the whole window at once; where they say that sound elements follow one another, these are taken together. Only
the first elements, and what is damaged, are looked at one by one.

What is known of damage:

- Valid JSON has no raw line end inside a string: what a string is starts anew on every line.
- *Own lines.* Where elements begin on lines of their own, a line that begins as they do (same indentation, same
  bracket) begins an element, whatever the depth says: an element that is still open there lost its end, and is a
  record as far as it goes. Not so in a layout that indents nothing (`json.dumps(indent=0)`), where the elements'
  inner objects begin in the same way.
- *One line.* An element that does not close within the cap, or before the stream ends, is cut where the next one may
  begin: an object with the first key of an element so far, which does not stand where JSON wants a value. Until then
  an undamaged element may have objects like that inside, so nothing is cut earlier; those behind a damaged element
  are split by their brackets again. One that closes, but not as many lists as it opens, or that has a string over the
  beginning of an element, is cut where an element has to begin: an object that stands in another without a key, or
  before which that string ends.
- What is left of an element that closed too early (a colon or a closing brace where elements are expected) is one
  record up to the next element that can be told.

What cannot be had: behind damage on one line, an element is lost with it if its first key is new (eight keys of the
first 64 elements are known), or if `,{"key"` of an element stands inside the damaged one; the elements' own objects
that begin like elements are then records. A list's tail that lost a bracket takes what follows it.
An element that lost its end inside a list of its own may close with the document's brackets, one for one, and then
holds all that follows it; a bracket too many that opens a list before an element makes the rest one element.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from strataline.read.frame import FRAME, HEAD, Reading, framed

BLOCK = 1 << 20
"""Bytes of a window: enough to make whole columns worth while, few enough for a processor's cache."""

_STEP = 1 << 18
"""Bytes whose brackets are found at once, for memory: positions are wider than the bytes they are of."""

_FRAME_BYTES = 4 << 20
_FRAME_ROWS = 1 << 15

_LOOK = 512
"""Bytes on either side of a place that are enough to judge it: no key, indentation or space below reaches further."""

_INDENT = 128
_LEARN = 64
_KEYS = 8
_SINGLE = 8
"""Elements on single lines after which a line that begins like them is one, whatever stands before it."""

_WINDOW = 64
"""Brackets that are looked at together after something was damaged: few, so that damage is never dear."""

_LEVEL = 40
"""Bits that are enough for the number of a bracket in a window."""

_PAUSE = 64
"""Elements at most that are taken one by one before it is tried again to take many."""

_QUOTE, _NEWLINE, _COMMA, _COLON = b'"\n,:'
_OPEN, _CLOSE, _LIST, _END = b"{}[]"
_OPENS = b"{["
_GAP = b" \t\r\n,"

_BETWEEN = re.compile(rb"[ \t\r\n,]*+")
_OUTSIDE = re.compile(rb"(?:[ \t\r\n,\]]|\[[ \t\r\n]*+\])*+")
_WHITE = re.compile(rb"[ \t\r\n]*+")
_BLANK = re.compile(rb"[ \t]{0,64}")
_SCALAR = re.compile(rb'"(?:[^"\\\n]++|\\.)*+"|[^ \t\r\n\[\]{},:"]++')
_FIRST = re.compile(rb'\{[ \t\r\n]{0,64}("[^"\\\n{}\[\]]{0,128}")[ \t]{0,8}:')
_RESUMED = re.compile(rb"\][ \t\r\n]{0,64},?[ \t\r\n]{0,64}\{")
_MEMBER = re.compile(rb'("(?:[^"\\]++|\\.)*+")([ \t\r\n]*+:)?', re.DOTALL)

# In text between documents, a bracket begins a document only if JSON can follow it: `[INFO]`, `[2026-01-01]` and
# `{'a': 1}` are text.
_AFTER_OPEN = np.zeros(256, bool)
_AFTER_OPEN[list(b'"} \t\r\n')] = True
_AFTER_LIST = np.zeros(256, bool)
_AFTER_LIST[list(b"{[\r\n")] = True
_IS_GAP = np.zeros(256, bool)
_IS_GAP[list(_GAP)] = True

Places = npt.NDArray[Any]


@dataclass(frozen=True)
class Shape:
    """How the documents lie: ``array``, ``documents``, ``list`` or ``har``.

    Args:
        kind: ``array``: elements of one array; ``documents``: one after another; ``list`` and ``har``: elements of the
            list at `path` in one document.
        path: keys from the outermost inwards.
    """

    kind: str
    path: tuple[str, ...] = ()


# --- brackets ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Brackets:
    """What gives a text its structure.

    Args:
        at: places of brackets outside strings.
        depth: the depth after each of them.
        lines: places of line ends.
        cuts: places of objects before which a string was taken to end: damage, each of them.
        inside: whether the text ends inside a string.
        odd: whether it ends in a backslash that holds for the byte behind it.
    """

    at: Places
    depth: Places
    lines: Places
    cuts: Places
    inside: bool
    odd: bool

    def index(self, place: int) -> int:
        """The first bracket at `place` or behind it."""
        return _search(self.at, place)

    def end(self) -> int | None:
        """Where what the first bracket opens ends."""
        ends = np.flatnonzero(self.depth <= 0)
        return int(self.at[ends[0]]) + 1 if len(ends) else None

    def before(self, index: int) -> int:
        """The depth before bracket `index`."""
        return int(self.depth[index - 1]) if index else 0


def _brackets(
    data: bytes,
    keys: tuple[bytes, ...] = (),
    *,
    low: int = 0,
    high: int | None = None,
    inside: bool = False,
    odd: bool = False,
) -> _Brackets:
    """Find the structure of `data` from `low` to `high`; places are those in `data`.

    A string ends at its quote and at a line end; also before an object that begins with one of `keys`: ``{"key"``
    cannot stand inside a string, whose quotes are escaped.
    """
    high = len(data) if high is None else high
    clean = data[low:high]
    if odd and clean:
        clean = b"x" + clean[1:]
    if b"\\" in clean:
        # Pairs of backslashes go from the left of each run; one that is left over escapes what follows.
        clean = clean.replace(b"\\\\", b"xx").replace(b'\\"', b"xx")
        odd = clean.endswith(b"\\")
    else:
        odd = odd and not clean
    whole = np.frombuffer(clean, np.uint8)
    kind = np.int32 if high < 2**31 else np.int64
    found: list[Places] = []
    ends: list[Places] = []
    broken: list[Places] = []
    for start in range(0, len(whole), _STEP):
        part = whole[start : start + _STEP]
        quotes = np.flatnonzero(part == _QUOTE)
        lines = np.flatnonzero(part == _NEWLINE)
        # {[ and }] differ in one bit each, and { from } in another: two passes find all four.
        brackets = np.flatnonzero((((part & 0xDF) - 0x5B) & 0xFD) == 0)
        turns = _turns(quotes, lines, inside=inside)
        state = (np.searchsorted(turns, brackets, "right") + inside) & 1
        if keys:
            cuts = _cuts(data, low + start, brackets, state, whole, start, keys)
            if cuts is not None:
                turns = _turns(quotes, np.sort(np.concatenate((lines, cuts))), inside=inside)
                broken.append((cuts[np.isin(cuts, turns)] + (low + start)).astype(kind))
                state = (np.searchsorted(turns, brackets, "right") + inside) & 1
        found.append((brackets[state == 0] + (low + start)).astype(kind))
        ends.append((lines + (low + start)).astype(kind))
        inside = bool((len(turns) + inside) & 1)
    at = np.concatenate(found) if found else np.zeros(0, kind)
    # Bit 1 tells what opens from what closes.
    steps = (np.frombuffer(data, np.uint8)[at] & 2).astype(np.int8) - 1
    depth = np.cumsum(steps, dtype=kind)
    none = np.zeros(0, kind)
    return _Brackets(at, depth, np.concatenate([none, *ends]), np.concatenate([none, *broken]), inside, odd)


def _search(places: Places, place: int) -> int:
    """The first of `places` (in order) that is not before `place`."""
    # A number of another type would have the whole array converted for each search.
    return int(places.searchsorted(places.dtype.type(place)))


def _by_depth(depth: Places, index: Places) -> Places:
    """Numbers that sort brackets by their depth, and by their order where that is the same."""
    return np.asarray((depth.astype(np.int64) << _LEVEL) + index)


def _turns(quotes: Places, cuts: Places, *, inside: bool) -> Places:
    """Places where a string begins or ends: quotes, and every cut that a string reaches."""
    if not len(cuts):
        return quotes
    before = np.searchsorted(quotes, cuts)
    odd = np.diff(before, prepend=-int(inside)) & 1
    return np.sort(np.concatenate((quotes, cuts[odd == 1]))) if odd.any() else quotes


def _cuts(
    data: bytes,
    origin: int,
    brackets: Places,
    state: Places,
    whole: npt.NDArray[np.uint8],
    start: int,
    keys: tuple[bytes, ...],
) -> Places | None:
    """Places of objects that begin with one of `keys`, if one of them seems to stand inside a string."""
    text = np.frombuffer(data, np.uint8)
    follows = origin + brackets + 1
    opens = (whole[start + brackets] == _OPEN) & (follows < len(text))
    opens[opens] = text[follows[opens]] == _QUOTE

    def named(places: Places) -> Places:
        return np.array([p for p in places.tolist() if data.startswith(keys, origin + p + 1)], np.int64)

    if not len(named(brackets[opens & (state == 1)])):
        return None
    return named(brackets[opens])


class _Window:
    """What is found in one stretch of the stream, as far as it is asked for."""

    def __init__(self, data: bytes, brackets: _Brackets) -> None:
        self.data = data
        self.bytes = np.frombuffer(data, np.uint8)
        self.brackets = brackets
        self._sorted: Places | None = None
        self._lists: Places | None = None
        self._starts: list[int] | None = None
        self._joints: list[int] | None = None

    def sort(self) -> None:
        """Make `close` take the same time wherever the end lies: for when several elements have none."""
        if self._sorted is None:
            self._sorted = np.sort(_by_depth(self.brackets.depth, np.arange(len(self.brackets.at))))

    def close(self, index: int, depth: int, stop: int) -> int | None:
        """The first bracket from `index` on and before `stop` after which the depth is `depth`."""
        if self._sorted is not None:
            first = (depth << _LEVEL) + index
            place = _search(self._sorted, first)
            found = int(self._sorted[place]) - first + index if place < len(self._sorted) else stop
            return found if found < stop else None
        step = _WINDOW
        while index < stop:
            hits = np.flatnonzero(self.brackets.depth[index : min(index + step, stop)] == depth)
            if len(hits):
                return index + int(hits[0])
            index, step = index + step, step * 4
        return None

    def marks(self, indent: bytes, opener: int) -> Places:
        """Brackets `opener` that stand on a line behind exactly `indent`."""
        at = self.brackets.at
        at = at[(self.bytes[at] == opener) & (at > len(indent))]
        at = at[self.bytes[at - (len(indent) + 1)] == _NEWLINE]
        for back, byte in enumerate(reversed(indent), 1):
            at = at[self.bytes[at - back] == byte]
        return np.asarray(at)

    @property
    def lists(self) -> Places:
        """How many lists are open after each bracket, less those that were open before the first."""
        if self._lists is None:
            of_lists = self.bytes[self.brackets.at] & 0x20 == 0
            steps = np.diff(self.brackets.depth, prepend=0)
            self._lists = np.cumsum(np.where(of_lists, steps, 0), dtype=self.brackets.depth.dtype)
        return self._lists

    def even(self, begins: Places, ends: Places) -> npt.NDArray[np.bool_]:
        """Whether elements from brackets `begins` to `ends` close as many lists as they open, and end all strings.

        One that does not is damaged. Of those that took in the elements behind them up to the end of the document,
        nearly all do not: a bracket of the document closed one of theirs.
        """
        lists, at, cuts = self.lists, self.brackets.at, self.brackets.cuts
        before = np.where(begins > 0, lists[begins - 1], 0)
        sound = np.asarray(lists[ends] == before)
        if len(cuts):
            sound &= np.searchsorted(cuts, at[begins], "right") == np.searchsorted(cuts, at[ends])
        return sound

    def starts(self, keys: tuple[bytes, ...]) -> list[int]:
        """Places where an element with one of `keys` first may begin: not where JSON wants a value."""
        if self._starts is None:
            self._starts = [place for place in self._named(keys) if self._before(place, b"") not in (_COLON, _LIST)]
        return self._starts

    def joints(self, keys: tuple[bytes, ...]) -> list[int]:
        """Those of `starts` where an element has to begin: JSON has no object there inside another one.

        They stand in an object without a key, or a string would reach over them.
        """
        if self._joints is None:
            at, depth = self.brackets.at, self.brackets.depth
            starts = np.array(self.starts(keys), at.dtype)
            index = np.searchsorted(at, starts)
            opens = np.flatnonzero(np.diff(depth, prepend=0) > 0)
            levels = np.sort(_by_depth(depth[opens], opens))
            # The last bracket that led to the depth before a start is the one it stands in; itself goes deeper.
            wanted = _by_depth(depth[index] - 1, index)
            place = np.searchsorted(levels, wanted) - 1
            found = levels[np.maximum(place, 0)] if len(levels) else wanted
            held = (place >= 0) & (found >> _LEVEL == wanted >> _LEVEL)
            parent = at[np.where(held, found & ((1 << _LEVEL) - 1), 0)] if len(at) else starts
            certain = (held & (self.bytes[parent] == _OPEN)) | np.isin(starts, self.brackets.cuts)
            self._joints = starts[certain].tolist()
        return self._joints

    def ends_in(self, place: int) -> bool:
        """Whether something closed right before `place`."""
        return self._before(place, b",") in (_CLOSE, _END)

    def _named(self, keys: tuple[bytes, ...]) -> Iterator[int]:
        if not keys:
            return
        one_of = b"|".join(re.escape(key) for key in keys)
        found = re.finditer(rb"\{[ \t\r\n]{0,64}(?:" + one_of + rb")[ \t]{0,8}:", self.data)
        places = np.array([match.start() for match in found], self.brackets.at.dtype)
        yield from places[np.isin(places, self.brackets.at, assume_unique=True)].tolist()

    def _before(self, place: int, also: bytes) -> int | None:
        text = self.data[max(0, place - 64) : place].rstrip(b" \t\r\n" + also)
        return text[-1] if text else None


# --- splitting --------------------------------------------------------------------------------------------------


@dataclass
class _Long:
    """A record that is too long to be held: what is known of it so far.

    Args:
        kind: element, tail, lost or text.
        start: where it begins in the stream.
        line: its line.
        kept: its first bytes, as many as the cap allows.
        last: behind its last byte that is no separator, in the stream.
        depth: brackets that are open.
        passed: bytes of the window that were looked at before.
    """

    kind: str
    start: int
    line: int
    kept: bytes
    last: int
    depth: int = 0
    inside: bool = False
    odd: bool = False
    passed: int = 0


@dataclass
class _Learned:
    """What the elements so far look like.

    Args:
        keys: their first keys, with quotes.
        indent: what stands before the first one on a line of its own; null: none did.
        opener: the bracket that it begins with.
        layout: ``stepped``: what is inside is indented further; ``flat``: it is not; null: no element had two lines.
        seen: elements, and `shared`: those of them that did not begin on a line of their own.
    """

    keys: tuple[bytes, ...] = ()
    indent: bytes | None = None
    opener: int = _OPEN
    layout: str | None = None
    seen: int = 0
    shared: int = 0

    @property
    def marked(self) -> bool:
        """Whether the beginning of a line can tell an element."""
        return self.indent is not None and self.layout != "flat"

    @property
    def by_line(self) -> bool:
        """Whether every element begins a line, so that one which does not is none."""
        return self.marked and self.seen > 1 and not self.shared


class _More(Exception):
    """The bytes at hand do not tell."""


class _Again(Exception):
    """Something was learned that the window has to be looked at with again."""


@dataclass
class _Splitter:
    """Where the splitting stands between two windows; `offset` and `line` are those of the window's first byte."""

    kind: str
    path: tuple[str, ...]
    cap: int
    offset: int
    line: int = 1
    begins: bool = True  # the window begins a line
    inside: bool = False  # an array or list
    opened: bool = False  # an array, at any time
    learned: _Learned = field(default_factory=_Learned)
    long: _Long | None = None
    # Elements before `half` that do not close before `horizon` are damaged: what made one window be looked through
    # for elements must not make the next one be looked through again for each of them.
    half: int = -1
    horizon: int = -1
    misses: int = 0
    width: int = _WINDOW
    # Where all is damaged, trying to take many at once is given up for a while.
    pause: int = 0
    wait: int = 0
    steps: int | None = None  # what may be taken one by one before `scan` gives up; null: all
    record_bytes: int = 0
    frames: list[pl.DataFrame] = field(default_factory=list)
    _spans: list[tuple[int, int]] = field(default_factory=list)
    _taken: list[Places] = field(default_factory=list)
    _framing: set[int] = field(default_factory=set)

    # A window ---------------------------------------------------------------------------------------------------

    def scan(self, data: bytes, *, final: bool) -> tuple[int, bool]:
        """Take the records of `data`; returns the bytes that are done with, and whether the rest wants more bytes."""
        if self.long is not None:
            return self._pass(data, self.long, final=final)
        return self._take(data, final=final)

    def _take(self, data: bytes, *, final: bool) -> tuple[int, bool]:
        self._window = window = _Window(data, _brackets(data, self.learned.keys))
        self._marks = self._find_marks()
        self._final = final
        place, more = 0, False
        try:
            while True:
                begins = self._between(place)
                if begins == len(data):
                    place = len(data) if final else self._space(place)
                    more = True
                    break
                if self.learned.seen >= _LEARN and self._learning() and data[begins] in _OPENS:
                    taken = place if self.wait else self._bulk(place)
                    if taken > place:
                        place, self.pause = taken, 0
                        continue
                    if self.wait:
                        self.wait -= 1
                    else:
                        self.pause = self.wait = min(2 * self.pause + 1, _PAUSE)
                if self.steps is not None:
                    if not self.steps:
                        more = True
                        break
                    self.steps -= 1
                place = self._inside(place, begins) if self.inside else self._outside(place, begins)
        except _More:
            more = True
        except _Again:
            pass
        if self.long is not None:
            place = self.long.start - self.offset
        self._flush(window)
        self._leave(data, place, window.brackets.lines)
        return place, more

    def _between(self, place: int) -> int:
        """Where the separators that begin at `place` end."""
        between = _OUTSIDE if self.kind == "array" and not self.inside else _BETWEEN
        found = between.match(self._window.data, place)
        return place if found is None else found.end()

    def _space(self, place: int) -> int:
        """How much of the white space at the end of the window can go: all but what may indent an element."""
        data = self._window.data
        line = data.rfind(b"\n", place) + 1
        if line == 0:
            if not (self.begins and place == 0):
                return len(data)
            line = place
        return line if len(data) - line <= _INDENT else len(data)

    def _leave(self, data: bytes, place: int, lines: Places) -> None:
        if place:
            self.begins = data[place - 1] == _NEWLINE
            self.line += _search(lines, place)
            self.offset += place

    def _flush(self, window: _Window) -> None:
        """Make a frame of the records found."""
        self._gather()
        if not self._taken:
            return
        spans = np.concatenate(self._taken).astype(np.int64)
        self._taken = []
        starts, lengths = spans[:, 0], spans[:, 1] - spans[:, 0]
        self.record_bytes += int(lengths.sum())
        # One buffer, no copies: what stands between two records stays with the first and is cut off as a slice.
        bounds = np.append(starts, len(window.data))
        text = pa.LargeBinaryArray.from_buffers(
            pa.large_binary(), len(starts), [None, pa.py_buffer(bounds.tobytes()), pa.py_buffer(window.data)]
        )
        lines = np.searchsorted(window.brackets.lines, starts) + self.line
        frame = framed(lines, starts + self.offset, lengths, text).with_columns(fault=pl.lit(None, pl.String))
        frame = frame.with_columns(
            pl.when(pl.col("length") <= self.cap).then(pl.col("text").bin.slice(0, pl.col("length"))).alias("text")
        )
        if self._framing:
            framing = pl.Series(sorted(self._framing), dtype=pl.Int64)
            frame = frame.with_columns(
                pl.when(pl.col("offset").is_in(framing.implode())).then(pl.lit(FRAME)).alias("fault")
            )
            self._framing = set()
        self.frames.append(frame)

    def _gather(self) -> None:
        if self._spans:
            self._taken.append(np.array(self._spans, np.int64))
            self._spans = []

    def _put(self, start: int, end: int) -> int:
        self._spans.append((start, end))
        return end

    def _cut(self, start: int, end: int) -> int:
        """A record that ends before `end`, where the next one begins."""
        self._put(start, start + len(self._window.data[start:end].rstrip(_GAP)))
        return end

    # Many at once -----------------------------------------------------------------------------------------------

    def _bulk(self, place: int) -> int:
        """Take sound elements from `place` on, as many as follow one another; returns where they end."""
        window = self._window
        at, depth, text = window.brackets.at, window.brackets.depth, window.bytes
        while True:
            first = window.brackets.index(place)
            base = window.brackets.before(first)
            level = depth[first : first + self.width]
            ends = np.flatnonzero(level <= base)
            below = np.flatnonzero(level[ends] < base)
            if len(below):
                ends = ends[: below[0]]
            if not len(ends):
                self.width = _WINDOW if len(below) else self.width * 4
                return place
            begins = np.append(0, ends[:-1] + 1)
            starts = at[first + begins].astype(np.int64)
            stops = at[first + ends].astype(np.int64) + 1
            opener = text[starts]
            sound = (text[stops - 1] == opener + 2) & (stops - starts <= self.cap)
            if not self.inside:
                if self.kind == "documents":
                    after = text[starts + 1]
                    sound &= np.where(opener == _OPEN, _AFTER_OPEN[after], _AFTER_LIST[after])
                else:
                    sound &= opener == _OPEN
            marks = self._marks[_search(self._marks, starts[0]) : _search(self._marks, stops[-1])]
            if len(marks):
                # A mark inside an element is for `_element` to judge.
                sound &= np.searchsorted(marks, starts, "right") == np.searchsorted(marks, stops)
            sound &= self._parted(np.append(place, stops[:-1]), starts)
            sound &= window.even(first + begins, first + ends)
            good = len(sound) if sound.all() else int(np.argmin(sound))
            if good:
                self._gather()
                self._taken.append(np.column_stack((starts[:good], stops[:good])))
                place = int(stops[good - 1])
            if good < len(sound) or len(below):
                self.width = _WINDOW
                return place
            if first + self.width >= len(at):
                return place
            self.width *= 4

    def _parted(self, lows: Places, highs: Places) -> npt.NDArray[np.bool_]:
        """Whether only separators lie from each of `lows` to the same of `highs`."""
        widths = highs - lows
        total = int(widths.sum())
        ends = np.cumsum(widths)
        where = np.arange(total) + np.repeat(lows - (ends - widths), widths)
        other = np.flatnonzero(~_IS_GAP[self._window.bytes[where]])
        clear = np.ones(len(lows), bool)
        clear[np.searchsorted(ends, other, "right")] = False
        return clear

    # One by one -------------------------------------------------------------------------------------------------

    def _outside(self, place: int, start: int) -> int:
        """Take what begins at `start`, between documents; `place` is where the one before ended."""
        data = self._window.data
        byte = data[start]
        if byte in _OPENS:
            if start + 1 == len(data) and not self._final:
                raise _More
            after = data[start + 1] if start + 1 < len(data) else _NEWLINE
            if byte == _LIST and self.kind == "array":
                # The stream was told to be an array; a later one is told from text in brackets.
                if not self.opened or after in b"{[ \t\r\n":
                    self.inside = self.opened = True
                    return start + 1
            elif byte == _OPEN and self.kind == "array":
                return self._element(place, start)
            elif byte == _OPEN and self.kind in ("list", "har") and _AFTER_OPEN[after]:
                return self._head(place, start)
            elif _AFTER_OPEN[after] if byte == _OPEN else _AFTER_LIST[after]:
                return self._element(place, start)
        elif byte in b'"}]:':
            return self._lost(start)
        return self._text(start)

    def _inside(self, place: int, start: int) -> int:
        """Take what begins at `start`, among the elements of an array or list."""
        byte = self._window.data[start]
        if byte in _OPENS:
            return self._element(place, start)
        if byte != _END:
            return self._scalar(start)
        if self.kind == "array":
            self.inside = False
            return start + 1
        return self._tail(start)

    def _element(self, place: int, start: int) -> int:
        window, final = self._window, self._final
        brackets, size = window.brackets, len(window.data)
        index = brackets.index(start)
        if index == len(brackets.at) or brackets.at[index] != start:
            return self._lost(start)
        learning = self._learning()
        own = self._own_line(place, start) if learning else None
        if learning and self.learned.seen < _LEARN:
            self._learn(start, index, own)
        depth = brackets.before(index)
        limit = start + self.cap
        if self.offset + start < self.half:
            limit = min(limit, self.horizon - self.offset)
        while True:
            mark = _search(self._marks, start + 1) if learning and len(self._marks) else len(self._marks)
            begun = int(self._marks[mark]) if mark < len(self._marks) else None
            if begun is not None and begun > limit:
                begun = None
            stop = len(brackets.at) if begun is None else brackets.index(begun)
            close = window.close(index + 1, depth, stop)
            end = None if close is None else int(brackets.at[close]) + 1
            if end is not None and end <= limit:
                if window.bytes[end - 1] != window.bytes[start] + 2:
                    return self._lost(start)
                self._count(own)
                joint = self._joint(start, end, index, close) if learning and not self.learned.by_line else None
                return self._put(start, end) if joint is None else self._cut(start, joint)
            if begun is not None:
                self.width = _WINDOW
                self._believe(start, begun)
                self._count(own)
                return self._cut(start, begun)
            if not final and size < limit + _LOOK:
                raise _More
            self.width = _WINDOW
            window.sort()
            following = self._next_start(start, limit) if learning and not self.learned.by_line else None
            if following is not None:
                if self.offset + start >= self.half:
                    self.half = self.offset + start + self.cap // 2
                    self.horizon = self.offset + start + self.cap
                self._count(own)
                return self._cut(start, following)
            if limit == start + self.cap:
                break
            limit = start + self.cap
        self._count(own)
        return self._rest(start, "element")

    def _joint(self, start: int, end: int, index: int, close: int | None) -> int | None:
        """Where the next element begins inside the one from `start` to `end`, if this took it in."""
        window = self._window
        if close is None or window.even(np.array([index]), np.array([close]))[0]:
            return None
        joints = window.joints(self.learned.keys)
        place = bisect.bisect_right(joints, start)
        if place == len(joints) or joints[place] >= end:
            return None
        self.width = _WINDOW
        return joints[place]

    def _rest(self, start: int, kind: str, depth: int = 0) -> int:
        """A record that ends behind the window, or with the stream."""
        data = self._window.data
        if self._final and len(data) - start <= self.cap:
            return self._cut(start, len(data))
        if not self._final and len(data) - start < self.cap + _LOOK:
            raise _More
        line = self.line + _search(self._window.brackets.lines, start)
        begins = self.offset + start
        self.long = _Long(kind, begins, line, data[start : start + self.cap], begins, depth)
        raise _Again

    def _lost(self, start: int) -> int:
        """Take what is left of a damaged element: up to where the next one begins."""
        self.width = _WINDOW
        lines = self._window.brackets.lines
        ends: list[int | None] = []
        if self._learning():
            mark = _search(self._marks, start + 1)
            ends.append(int(self._marks[mark]) if mark < len(self._marks) else None)
            if not self.learned.by_line:
                ends.append(self._next_start(start, len(self._window.data)))
        if not self._tellable():
            line = _search(lines, start)
            ends.append(int(lines[line]) if line < len(lines) else None)
        end = min((end for end in ends if end is not None), default=None)
        return self._rest(start, "lost") if end is None else self._cut(start, end)

    def _text(self, start: int) -> int:
        """Take a line that is no JSON; or what stands before the next document on it, if one closed there."""
        window = self._window
        lines = window.brackets.lines
        line = _search(lines, start)
        end = int(lines[line]) if line < len(lines) else None
        if end is None and not self._final:
            return self._rest(start, "text")
        stop = len(window.data) if end is None else end
        if not self._final and stop + _LOOK > len(window.data):
            raise _More
        if b"{" in window.data[start:stop]:
            self.width = _WINDOW
            following = self._next_start(start, stop)
            while following is not None:
                if window.ends_in(following):
                    return self._cut(start, following)
                following = self._next_start(following, stop)
        if end is None:
            return self._rest(start, "text")
        return self._cut(start, end)

    def _scalar(self, start: int) -> int:
        """Take an element that is no object and no array; anything but one is damage."""
        data = self._window.data
        enough = self._final or len(data) >= start + self.cap + _LOOK
        found = _SCALAR.match(data, start)
        blank = None if found is None else _BLANK.match(data, found.end())
        if found is None or blank is None:
            # A string ends on its line, if it is one: where the line ends may not be known yet.
            if data[start] == _QUOTE and not enough and data.find(b"\n", start) < 0:
                raise _More
            return self._lost(start)
        if blank.end() == len(data) and not enough:
            raise _More
        sound = blank.end() == len(data) or data[blank.end()] in b",]\r\n"
        return self._put(start, found.end()) if sound and found.end() - start <= self.cap else self._lost(start)

    def _head(self, place: int, start: int) -> int:
        """Take the beginning of a document up to its list; a document without it is a record."""
        window = self._window
        brackets, data = window.brackets, window.data
        index = brackets.index(start)
        if self.misses >= _LEARN or index == len(brackets.at) or brackets.at[index] != start:
            return self._element(place, start)
        close = window.close(index + 1, brackets.before(index), len(brackets.at))
        stop = len(data) if close is None else int(brackets.at[close])
        if close is None and not self._final and len(data) < start + HEAD + _LOOK:
            raise _More
        found = _locate(data, brackets, index, self.path, min(stop, start + HEAD))
        if found is None:
            self.misses += 1
            return self._element(place, start)
        self.inside = True
        self._framing.add(self.offset + start)
        return self._put(start, int(brackets.at[found]) + 1)

    def _tail(self, start: int) -> int:
        """Take the end of a document behind its list; a bracket that elements follow is a record, and no end."""
        window = self._window
        brackets, data = window.brackets, window.data
        if not self._final and len(data) < start + _LOOK:
            raise _More
        if _RESUMED.match(data, start):
            return self._put(start, start + 1)
        index = brackets.index(start)
        if index == len(brackets.at) or brackets.at[index] != start:
            return self._lost(start)
        close = window.close(index, int(brackets.depth[index]) - len(self.path), len(brackets.at))
        end = None if close is None else int(brackets.at[close]) + 1
        if end is None or end - start > self.cap:
            if len(data) - start > self.cap or not self._final:
                return self._rest(start, "tail", len(self.path) + 1)
            end = start + len(data[start:].rstrip(_GAP))
        self.inside = False
        self._framing.add(self.offset + start)
        return self._put(start, end)

    def _next_start(self, after: int, stop: int) -> int | None:
        starts = self._window.starts(self.learned.keys)
        place = bisect.bisect_right(starts, after)
        return starts[place] if place < len(starts) and starts[place] < stop else None

    # What elements look like ------------------------------------------------------------------------------------

    def _learning(self) -> bool:
        """Whether what stands here are the elements: not documents around the list."""
        return self.inside or self.kind in ("documents", "array")

    def _tellable(self) -> bool:
        """Whether the beginning of an element can be told from what it looks like."""
        return self._learning() and (bool(self.learned.keys) or self.learned.marked)

    def _count(self, own: bytes | None) -> None:
        if self._learning() and self.learned.seen < _LEARN:
            self.learned.seen += 1
            self.learned.shared += own is None

    def _own_line(self, place: int, start: int) -> bytes | None:
        """What stands before `start` on its line, if that is nothing but white space and commas."""
        data = self._window.data
        line = data.rfind(b"\n", place, start) + 1
        if line == 0:
            if place or not self.begins:
                return None
            line = place
        before = data[line:start]
        return before if len(before) <= _INDENT and not before.strip(b" \t,") else None

    def _learn(self, start: int, index: int, own: bytes | None) -> None:
        """Learn from the element at `start`.

        Raises:
            _Again: if something was learned.
        """
        data, learned = self._window.data, self.learned
        if not self._final and len(data) < start + _LOOK:
            raise _More
        key = _FIRST.match(data, start)
        new = key is not None and key[1] not in learned.keys and len(learned.keys) < _KEYS
        if new and key is not None:
            learned.keys += (key[1],)
        # What is left of a damaged element may look like one, but never begins further to the left.
        likely = own is not None if self.inside else own == b"" and data[start] == _OPEN
        if own is not None and likely and (learned.indent is None or len(own) < len(learned.indent)):
            learned.indent, learned.opener, learned.layout, new = own, data[start], None, True
        if learned.indent is not None and own is not None and learned.layout is None:
            learned.layout = self._judge(start, index, learned.indent)
            new = new or learned.layout is not None
        if new:
            raise _Again

    def _judge(self, start: int, index: int, indent: bytes) -> str | None:
        """Which layout the first line inside the element at `start` has."""
        window, data = self._window, self._window.data
        line = data.find(b"\n", start, start + self.cap)
        if line < 0:
            return None
        stop = window.brackets.index(line)
        if window.close(index + 1, window.brackets.before(index), stop) is not None:
            return None
        white = _WHITE.match(data, line)
        inner = line if white is None else white.end()
        if inner == len(data) and not self._final and len(data) < start + self.cap + _LOOK:
            raise _More
        if inner == len(data) or inner > start + self.cap:
            return None
        begins = data.rfind(b"\n", line, inner) + 1
        if inner - begins > len(indent):
            return "stepped"
        if data[inner] in b"}]" or data.startswith(indent + bytes((self.learned.opener,)), begins):
            return None
        return "flat"

    def _believe(self, start: int, mark: int) -> None:
        """Raise `_Again` if the line at `mark` may well lie inside the element at `start`: the layout is flat."""
        learned, data = self.learned, self._window.data
        if learned.layout == "stepped" or learned.seen >= _SINGLE:
            return
        if not self._final and len(data) < mark + _LOOK:
            raise _More
        key = _FIRST.match(data, mark)
        if key is not None and key[1] in learned.keys:
            return
        before = data[max(start, mark - _LOOK) : mark].rstrip(b" \t\r\n")
        # Behind a comma it may lie inside, but then the line of the object before it would have told.
        if before and before[-1] in b":[":
            learned.layout = "flat"
            raise _Again

    def _find_marks(self) -> Places:
        learned = self.learned
        if learned.indent is None or not learned.marked:
            return self._window.brackets.at[:0]
        return self._window.marks(learned.indent, learned.opener)

    # A record over the cap --------------------------------------------------------------------------------------

    def _pass(self, data: bytes, long: _Long, *, final: bool) -> tuple[int, bool]:
        """Go on through a record that is not held; the window begins with bytes of it that were passed before."""
        low = long.passed
        high = len(data) if final else len(data) - _LOOK
        if high <= low and not final:
            return 0, True
        keys = self.learned.keys if long.kind != "tail" else ()
        brackets = _brackets(data, keys, low=low, high=high, inside=long.inside, odd=long.odd)
        window = self._window = _Window(data, brackets)
        ends: list[int] = []
        closed = None
        if long.kind in ("element", "tail"):
            hits = np.flatnonzero(brackets.depth == -long.depth)
            closed = int(brackets.at[hits[0]]) + 1 if len(hits) else None
        if long.kind in ("element", "lost") and self._learning():
            ends += [int(mark) for mark in self._find_marks()[:2]]
        if (long.kind in ("element", "lost") and self._learning() and not self.learned.by_line) or long.kind == "text":
            starts = [start for start in window.starts(keys) if low <= start < high]
            ends += [start for start in starts if long.kind != "text" or window.ends_in(start)][:2]
        if long.kind == "text" or (long.kind == "lost" and not self._tellable()):
            ends += [int(line) for line in brackets.lines[:1]]
        # The record's own beginning is no other's.
        end = min((end for end in ends if self.offset + end > long.start), default=None)
        if closed is not None and (end is None or closed <= end):
            long.last, end = self.offset + closed, closed
        else:
            passed = data[low : high if end is None else end].rstrip(_GAP)
            if passed:
                long.last = self.offset + low + len(passed)
            if end is None and final:
                end = high
        if end is not None:
            self._put_long(long)
            self.long = None
            self.inside = self.inside and long.kind != "tail"
            done = end
        else:
            done = max(0, high - _LOOK)
            long.passed = high - done
            long.depth += int(brackets.depth[-1]) if len(brackets.depth) else 0
            long.inside, long.odd = brackets.inside, brackets.odd
        lines = np.flatnonzero(window.bytes[:done] == _NEWLINE)
        self._leave(data, done, lines)
        return done, end is None

    def _put_long(self, long: _Long) -> None:
        length = long.last - long.start
        self.record_bytes += length
        text = pa.array([long.kept[:length] if length <= self.cap else None], pa.large_binary())
        fault = FRAME if long.kind == "tail" else None
        frame = framed([long.line], [long.start], [length], text).with_columns(fault=pl.lit(fault, pl.String))
        self.frames.append(frame)


def split_documents(
    pieces: Iterator[bytes], shape: Shape, reading: Reading, max_record: int, start: int = 0
) -> Iterator[pl.DataFrame]:
    """Yield the records of a stream of JSON documents, and fill in `reading` on the way.

    Records of ``documents`` are documents, and each line of text between them; of ``array`` the elements, also those
    that are no objects, and what follows the array; of ``list`` and ``har`` the elements, and the document's head (up
    to the bracket that opens the list) and tail (from the bracket that closes it), whose fault is `FRAME`. Between them
    lie white space, commas and, in ``array``, brackets.

    Args:
        pieces: the stream, cut anywhere.
        shape: as `sniff_documents` told it.
        reading: gets lines, record_bytes and separator_bytes.
        max_record: bytes of the longest record whose text is kept.
        start: where in the stream the pieces begin.

    Yields:
        line, offset, length (Int64), text (Binary; null: over the cap) and fault (String), in order of offset.
    """
    splitter = _Splitter(shape.kind, shape.path, max_record, start)
    held, at, want, ended, last = b"", 0, BLOCK, False, b""
    while True:
        if len(held) - at < want and not ended:
            parts = [held[at:]]
            size = len(parts[0])
            while size < want and (piece := next(pieces, None)) is not None:
                parts.append(piece)
                size += len(piece)
            held, at, ended = b"".join(parts), 0, size < want
        window = held[at : at + want]
        done, more = splitter.scan(window, final=ended and at + len(window) == len(held))
        at += done
        last = held[at - 1 : at] or last
        if ended and at == len(held):
            break
        rest = len(window) - done
        want = max(rest + BLOCK, min(2 * rest, max_record + 2 * _LOOK)) if more else max(rest, 1)
        if _enough(splitter.frames):
            yield pl.concat(splitter.frames)
            splitter.frames = []
    if splitter.frames:
        yield pl.concat(splitter.frames)
    reading.lines += splitter.line - 1 + (last not in (b"", b"\n"))
    reading.record_bytes += splitter.record_bytes
    reading.separator_bytes += splitter.offset - start - splitter.record_bytes


def _enough(frames: list[pl.DataFrame]) -> bool:
    rows = sum(len(frame) for frame in frames)
    return rows >= _FRAME_ROWS or sum(int(frame["length"].sum()) for frame in frames) >= _FRAME_BYTES


# --- telling ----------------------------------------------------------------------------------------------------

_ARRAY = re.compile(rb'\[[ \t\r\n\[]*+\{[ \t\r\n]*+["}]')
_NOTHING = re.compile(rb"\[[ \t\r\n]*+\]\Z")
# What may follow a bracket that closes all others: the end of its line, more of a damaged array, or another array; not
# the text of a log line that begins with a list (`[{"user": 1}] signed in`).
_CLOSED = re.compile(rb"[ \t\r]*+(?:\Z|[\n,\]}]|" + _ARRAY.pattern + rb")")
_OBJECT = re.compile(rb'\{[ \t\r\n]*+["}]')
_PRETTY = re.compile(rb'\{[ \t]*+\r?\n[ \t\r\n]*+["}]')
_LINES = 256
"""Lines that tell whether a stream is one document on each."""

_STEPS = 4096
"""Lines and damaged documents after which it is told from what was seen, whatever follows them."""

_MEMBERS = 256
"""Members of an object among which a list of records is looked for."""

_HAR = ("log", "entries")

# What may stand beside a list of records: what says which page of them this is, and how it was got. Beside anything
# else the list is part of one record: a span has `events`, a response `data` beside its `model`, a subscription
# message `logEvents` beside its `logGroup`.
_PAGING = frozenset(
    b"""total count size limit offset page pages pageSize page_size per_page next previous prev nextToken nextPageToken
    nextForwardToken nextBackwardToken nextLink @nextLink next_cursor nextCursor next_page cursor has_more hasMore
    first_id last_id links meta metadata errors warnings status success object took timed_out
    ResponseMetadata""".split()
)
_LISTS: dict[tuple[str, ...], frozenset[bytes]] = {
    ("hits", "hits"): frozenset(
        b"""_shards _scroll_id pit_id max_score num_reduce_phases terminated_early aggregations suggest profile
        _clusters""".split()
    ),
    ("records",): frozenset(),
    ("Records",): frozenset(),
    ("events",): frozenset({b"searchedLogStreams"}),
    ("logEvents",): frozenset(),
    ("data",): frozenset(),
    ("value",): frozenset({b"@odata.context", b"@odata.count", b"@odata.nextLink"}),
    ("entries",): frozenset(),
    ("traces",): frozenset({b"metrics"}),
    ("items",): frozenset({b"kind", b"apiVersion"}),
    ("logs",): frozenset(),
    ("runs",): frozenset({b"cursors"}),
    ("results",): frozenset({b"preview", b"init_offset", b"messages", b"fields", b"highlighted"}),
}


def sniff_documents(head: bytes, whole: bool) -> Shape | None:
    """Tell how JSON documents lie in a stream that begins with `head`; null for one on each line, and for no JSON.

    Args:
        head: its first bytes, as many as `HEAD`.
        whole: whether that is all of it.
    """
    text = head.strip(b" \t\r\n")
    if not text:
        return None
    lines = head.split(b"\n")
    if not whole and len(lines) > 1:
        lines.pop()
    lines = [line for line in lines if line.strip(b" \t\r")]
    begun = [line for line in lines if line[0] in _OPENS][:_LINES]
    # A line alone may be a container, sound or not. Of several, each is a record if most are sound.
    single = b"\n" not in (text if whole else head.lstrip(b" \t\r\n"))
    by_line = not single and 2 * sum(map(_complete, begun)) > len(begun)
    if text[0] in _OPENS:
        brackets = _brackets(text)
        end = brackets.end()
        # A browser's archive is one whatever stands behind it.
        if text[0] == _OPEN and _locate(text, brackets, 0, _HAR, len(text)) is not None:
            return Shape("har", _HAR)
        if by_line:
            return None
        if text[0] == _OPEN and (path := _listed(text, brackets)) is not None:
            return Shape("list", path)
        if (_ARRAY.match(text) and (end is None or _CLOSED.match(text, end))) or (whole and _NOTHING.match(text)):
            return Shape("array")
        if single and (text[0] == _LIST or end == len(text)):
            return None
    long = len(lines) == 1 and not whole and _OBJECT.match(text) is not None
    return Shape("documents") if not by_line and (long or _documents(head, whole=whole)) else None


def _complete(line: bytes) -> bool:
    """Whether `line` is one object or array, all of it."""
    line = line.strip(b" \t\r\n")
    return line[0] in _OPENS and _brackets(line).end() == len(line)


def _documents(head: bytes, *, whole: bool) -> bool:
    """Whether most of `head` is documents of several lines, or several on a line."""
    if not any(bracket in head for bracket in (b"{", b"[")):
        return False
    splitter = _Splitter("documents", (), len(head) + 1, 0, steps=_STEPS)
    place, more = 0, False
    while not more and place < len(head):
        done, more = splitter.scan(head[place:], final=whole)
        place += done
    spans = [row for frame in splitter.frames for row in frame.select("offset", "length").iter_rows()]
    if splitter.steps and place < len(head):
        spans.append((place, len(head) - place))
    of_documents, several, before, size = 0, False, -1, 0
    for start, length in spans:
        end = start + length
        # Inside something else (a table's cell, a log line) they are indented, or text stands before or behind them.
        placed = start == 0 or before >= 0 or head[start - 1] == _NEWLINE
        if placed and head[start] in _OPENS and (head[end - 1] in b"}]" or _PRETTY.match(head, start)):
            of_documents += length
            several = several or head.find(b"\n", start, end) >= 0
            several = several or (before >= 0 and head.find(b"\n", before, start) < 0)
            before = end
        else:
            if before >= 0 and head.find(b"\n", before, start) < 0:
                of_documents -= size
            before = -1
        size = length
    return several and 2 * of_documents >= sum(length for _, length in spans)


def _listed(text: bytes, brackets: _Brackets) -> tuple[str, ...] | None:
    """The path of the list that holds the records of the document that `text` begins with, if it has one.

    It is opened only if it is most of the document, or goes on behind the head, and if nothing stands beside it that
    says more than which page it is.
    """
    size, over = len(text), brackets.end()
    early = over is not None and over != size
    # More behind it: another document, or more of this one, which ended too early by brackets that do not match.
    odd = over is not None and not _Window(text, brackets).even(np.array([0]), np.array([brackets.index(over - 1)]))[0]
    for path, beside in _LISTS.items():
        others: set[bytes] = set()
        found = _locate(text, brackets, 0, path, size, others)
        if found is None:
            continue
        start = int(brackets.at[found])
        closed = np.flatnonzero(brackets.depth[found:] < brackets.depth[found])
        end = int(brackets.at[found + closed[0]]) + 1 if len(closed) else size
        if early:
            if not odd and text[end - 1] == _END:
                continue
            end = size
        first = _WHITE.match(text, start + 1)
        objects = first is not None and text[first.end() : first.end() + 1] == b"{"
        if objects and 2 * (end - start) > size and others <= _PAGING | beside:
            return path
    return None


def _locate(
    data: bytes,
    brackets: _Brackets,
    index: int,
    path: tuple[str, ...],
    stop: int,
    others: set[bytes] | None = None,
) -> int | None:
    """The bracket that opens the list at `path` of the object that bracket `index` opens; `others` gets other keys."""
    for depth, name in enumerate(path, 1):
        child = None
        for key, opens in _members(data, brackets, index, stop):
            if key != name.encode():
                if others is not None:
                    others.add(key)
            elif child is None:
                child = opens
            if child is not None and others is None:
                break
        if child is None or data[brackets.at[child]] != (_LIST if depth == len(path) else _OPEN):
            return None
        index = child
    return index


def _members(data: bytes, brackets: _Brackets, index: int, stop: int) -> Iterator[tuple[bytes, int | None]]:
    """The keys of the object that bracket `index` opens, as written, with the bracket that the value opens, if any."""
    at, window = brackets.at, _Window(data, brackets)
    if index >= len(at):
        return
    level = int(brackets.depth[index])
    place, key, seen = int(at[index]) + 1, None, 0
    while seen < _MEMBERS:
        index += 1
        end = int(at[index]) if index < len(at) and at[index] < stop else stop
        for found in _MEMBER.finditer(data, place, end):
            if found[2] is not None:
                if key is not None:
                    yield key, None
                key, seen = found[1][1:-1], seen + 1
        opens = end < stop and data[end] in _OPENS
        if key is not None:
            yield key, index if opens else None
        close = window.close(index + 1, level, len(at)) if opens else None
        if close is None:
            return
        index, place, key = close, int(at[close]) + 1, None
