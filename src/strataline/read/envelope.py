"""Wrappers around records: what one is, which of them a source has, and how they are taken off.

Docker, journald, CloudWatch and their like put an application's record into one of their own. Inside is what the
parsers know; outside stands what they may lack: a time, a host, a pod. Nothing of either is lost: what was inside
becomes the text of a record, what the wrapper knew stays beside it, and the address stays that of the wrapper.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import polars as pl
import pyarrow as pa

from strataline.read.frame import FRAME, MAX_RECORD, RECORDS, conform

DEPTH = 4
"""Wrappers that are taken off one after another, at most."""

WORDS = (
    "time",
    "time_role",
    "time_zone",
    "received",
    "received_zone",
    "ended",
    "partial",
    "host",
    "pod",
    "namespace",
    "container",
    "stream",
    "service",
    "severity",
    "id",
    "trace_id",
    "span_id",
    "log",
    "envelope",
)
"""The words in which a wrapper says what it knows, all values as written; besides these, ``labels.<name>``.

``time`` and its role (``write``, ``event`` or ``received``); ``time_zone`` and ``received_zone`` only where the
wrapper's times state no zone and its documentation fixes one; ``received`` when a collector took it in; ``service``
unit, program or application; ``id`` the record's own id there (insertId, eventId, cursor); ``log`` the log group,
index or file. `Unwrapper` itself sets ``envelope`` (names from the outermost inwards, ``loki>docker``), ``ended`` (time
of the last piece of what was put together) and ``partial`` (``unfinished``: its last piece is missing).
"""

_TIME_WORDS = ("time", "time_role", "time_zone", "ended")
_SCOPE = ("host", "pod", "namespace", "container", "stream", "service", "log", "labels.log_stream")
"""What outer wrappers know of where a line is from: pieces of two such places never belong together."""

_LONG_PIECE = 4096
"""Log drivers cut a line at 8 or 16 KiB. Where nothing is ever finished and nothing is this long, nothing was cut."""

_STEP = 32 << 20
"""Bytes of text that are given out at once, where what is inside of wrappers was packed."""

_WAITING = 1 << 20
"""Pieces of unfinished records that may be held at once, however short."""


@dataclass(frozen=True)
class Inner:
    """What was inside of a wrapper.

    Args:
        text: the record inside, its very bytes where the wrapper keeps them.
        known: what the wrapper knew, in `WORDS`.
        more: the next record of that stream continues this one.
        joins: the stream whose pieces belong together, ``""`` where there is only one; null: never in pieces.
        over: what is inside expands to more than may be kept, and `text` is not it.
        fault: the reason of the reject that it is already known to be; `text` is then what stands in the wrapper.
        detail: what exactly was met.
    """

    text: bytes
    known: dict[str, str]
    more: bool = False
    joins: str | None = None
    over: bool = False
    fault: str | None = None
    detail: str | None = None


@dataclass(frozen=True)
class Envelope:
    """One kind of wrapper.

    Args:
        name: as it stands in ``envelope``.
        open: what is inside of a record; null: the record is not of this kind; empty: an envelope with nothing in it
            (a control message), which is a counted skip. It raises nothing.
        weak: its marks are so few that records in which all is damaged do not speak for it.
    """

    name: str
    open: Callable[[bytes], list[Inner] | None]
    weak: bool = False


def plan(
    sample: Sequence[bytes], described: Callable[[list[bytes]], bool], envelopes: Sequence[Envelope]
) -> list[Envelope]:
    """Return the wrappers to take off records like `sample`, from the outermost inwards.

    A wrapper is taken off where it opens at least half of the records that are not blank, and where something is
    gained by it: another text, or something known. This ends where `described` says that a format knows the records
    as they stand. A wrapper that leaves the text alone (keys beside the application's own) is read even there: it
    only adds. Where a log driver's pieces are never finished and all short, they are taken for whole lines.

    Args:
        sample: records, whole.
        described: whether a format knows such records.
        envelopes: the kinds to try, most specific first.
    """
    taken: list[Envelope] = []
    records = [record for record in sample if record.strip()]
    while records and len(taken) < DEPTH:
        known_as_they_stand: bool | None = None
        before = {one.name for one in taken}
        for one in envelopes:
            opened = _opened(one, records)
            if opened is None:
                continue
            same = all(len(inside) == 1 and inside[0].text == text for text, inside in opened)
            if same and (one.name in before or not any(inside[0].known for _, inside in opened)):
                continue
            if not same:
                # Asked only where it matters: it costs more than all wrappers together.
                known_as_they_stand = described(records) if known_as_they_stand is None else known_as_they_stand
                if known_as_they_stand:
                    continue
            taken.append(_whole(one) if _never_ends(inside for _, found in opened for inside in found) else one)
            break
        else:
            return taken
        records = _inside(taken[-1], records)
    return taken


def _opened(one: Envelope, records: list[bytes]) -> list[tuple[bytes, list[Inner]]] | None:
    """The records that `one` opens, with what is inside; null where they are fewer than half."""
    allowed = len(records) // 2
    opened = []
    for text in records:
        inside = one.open(text)
        if inside is not None and not (one.weak and all(piece.fault for piece in inside)):
            opened.append((text, inside))
        elif allowed:
            allowed -= 1
        else:
            return None
    return opened


_WHOLE_LINES = " (whole lines)"


def _never_ends(inside: Iterable[Inner]) -> bool:
    pieces = [one for one in inside if one.joins is not None]
    return bool(pieces) and all(one.more and len(one.text) < _LONG_PIECE for one in pieces)


def _whole(one: Envelope) -> Envelope:
    def read(text: bytes) -> list[Inner] | None:
        inside = one.open(text)
        return inside and [replace(piece, more=False, joins=None) for piece in inside]

    return replace(one, name=one.name + _WHOLE_LINES, open=read)


def named(names: Sequence[str], envelopes: Sequence[Envelope]) -> list[Envelope]:
    """The wrappers that `plan` once returned, by their names."""
    known = {one.name: one for one in envelopes}
    return [
        _whole(known[name.removesuffix(_WHOLE_LINES)]) if name.endswith(_WHOLE_LINES) else known[name] for name in names
    ]


def _inside(one: Envelope, records: list[bytes]) -> list[bytes]:
    """What is inside of those of `records` that `one` opens, pieces put together."""
    unwrapper = Unwrapper([one])
    columns = {"offset": list(range(len(records))), "length": list(map(len, records)), "text": records}
    frame = conform(pl.DataFrame(columns, schema_overrides={"text": pl.Binary}))
    finished = unwrapper.feed(frame).filter(pl.col("envelope").is_not_null(), pl.col("fault").is_null())
    found = finished if len(finished) else unwrapper.end()
    return [text for text in found["text"].to_list() if text is not None and text.strip()]


@dataclass(slots=True)
class _Record:
    """A record on its way inwards. `places` are (offset, length) of the outer records that hold it."""

    line: int | None
    offset: int
    places: list[tuple[int, int]]
    text: bytes | None
    raw: bool
    known: dict[str, str]
    names: str


@dataclass(slots=True)
class _Pieces:
    """The pieces so far of a record that is not finished; `text` is null once they are over the cap."""

    first: _Record
    depth: int
    text: list[bytes] | None
    size: int
    count: int
    ended: str | None


@dataclass
class _Columns:
    """Records to give out, column by column."""

    line: list[int | None] = field(default_factory=list)
    offset: list[int] = field(default_factory=list)
    length: list[int] = field(default_factory=list)
    parts: list[list[dict[str, int]] | None] = field(default_factory=list)
    inner: list[int] = field(default_factory=list)
    text: list[bytes | None] = field(default_factory=list)
    raw: list[bool] = field(default_factory=list)
    fault: list[str | None] = field(default_factory=list)
    detail: list[str | None] = field(default_factory=list)
    envelope: list[dict[str, str] | None] = field(default_factory=list)

    def frame(self) -> pl.DataFrame:
        """These columns as `RECORDS`."""
        names = [name for name in RECORDS if name != "envelope"]
        frame = pl.DataFrame(
            {name: getattr(self, name) for name in names}, schema={name: RECORDS[name] for name in names}
        )
        return conform(frame.with_columns(_maps(self.envelope).alias("envelope")))


def _maps(known: list[dict[str, str] | None]) -> pl.Series:
    """A column of lists of key and value, keys in order; built flat, since a list of dictionaries each is slow."""
    keys: list[str] = []
    values: list[str] = []
    bounds = [0]
    for one in known:
        if one:
            for key in sorted(one):
                keys.append(key)
                values.append(one[key])
        bounds.append(len(keys))
    pairs = pa.StructArray.from_arrays(
        [pa.array(keys, pa.large_string()), pa.array(values, pa.large_string())], ["key", "value"]
    )
    missing = pa.array([one is None for one in known], pa.bool_())
    lists = pa.LargeListArray.from_arrays(pa.array(bounds, pa.int64()), pairs, mask=missing)
    column = pl.from_arrow(lists)
    assert isinstance(column, pl.Series)  # noqa: S101 - an array is a series
    return column


def merged(outer: dict[str, str], inner: dict[str, str]) -> dict[str, str]:
    """Return what two wrappers know, one around the other: the inner one wins for each word; empty values are none.

    An outer time is when the inner wrapper's record was taken in, so it becomes ``received`` where the inner one has
    a time of its own and neither says when it was received.
    """
    own = {word: value for word, value in inner.items() if value}
    known = outer | own
    if "time" in own:
        for word in _TIME_WORDS:
            if word in outer and word not in own:
                del known[word]
        if "time" in outer and "received" not in known:
            known["received"] = outer["time"]
            if "time_zone" in outer:
                known["received_zone"] = outer["time_zone"]
    if "received" in own and "received_zone" not in own:
        known.pop("received_zone", None)
    return known


class Unwrapper:
    """Takes the wrappers of one source off its records, and puts together what a log driver cut into pieces.

    A record that the outermost wrapper does not open stays as it is, and so does one that cannot be read (a fault is
    known, or its text is null). What is inside of a record has that record's line, offset, length and parts;
    ``inner`` counts what one record holds, from 0, in the order in which it is given out. ``raw`` stays true only
    where the wrapper left the text alone. A wrapper with nothing in it stays, with the fault `FRAME`.

    What was put together has the line and offset of its first piece, the addresses of all as ``parts`` (null where
    all lie in one record), their sum as length, and the time of the first; it is given out where its last piece
    lies.

    Over `max_record` a text is null, and so is what comes after eight times that much was inside of one record, at
    all depths together: only what was packed several times over holds so much. At most four times `max_record` of
    unfinished pieces is held, and a million of them: past that the oldest is given out as it is, as unfinished.

    Args:
        plan: wrappers, from the outermost inwards.
        max_record: bytes of the longest text that is kept.
    """

    def __init__(self, plan: Sequence[Envelope], max_record: int = MAX_RECORD) -> None:
        self._plan = tuple(plan)
        self._max = max_record
        self._pending: dict[tuple[object, ...], _Pieces] = {}
        self._held = 0
        self._waiting = 0
        self._numbers: dict[int, int] = {}
        self._pinned: Counter[int] = Counter()
        self._now: int | None = None
        self._unpacked = 0
        self._size = 0
        self._out = _Columns()
        self.opened = [0] * len(self._plan)
        """Records that each wrapper of the plan opened."""
        self.empty = 0
        """Wrappers with nothing in them."""
        self.pieces = 0
        """Pieces that were put together."""
        self.joined = 0
        """Records that they became."""
        self.unfinished = 0
        """Those of them whose last piece never came."""

    @property
    def envelopes(self) -> tuple[str, ...]:
        """Names of the wrappers that opened something, from the outermost inwards."""
        return tuple(one.name for one, count in zip(self._plan, self.opened, strict=True) if count)

    def feed(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return what is inside of the records of `frame` (as `RECORDS`), except what later ones continue."""
        frames = list(self.steps(frame))
        return pl.concat(frames) if len(frames) != 1 else frames[0]

    def steps(self, frame: pl.DataFrame) -> Iterator[pl.DataFrame]:
        """Yield what `feed` returns in one or more frames: what is packed may unpack to a thousand times its size.

        No more than 32 MiB of text and what is inside of one record are held at once.
        """
        if not self._plan:
            yield frame
            return
        columns = [column.to_list() for column in conform(frame)]
        for line, offset, length, parts, inner, text, raw, fault, detail, envelope in zip(*columns, strict=True):
            self._begin(offset, inner)
            places = [(part["offset"], part["length"]) for part in parts] if parts else [(offset, length)]
            known = {pair["key"]: pair["value"] for pair in envelope or ()}
            record = _Record(line, offset, places, text, raw, known, known.pop("envelope", ""))
            if text is None or fault is not None:
                self._give(record, fault, detail, length)
            else:
                self._descend(record, 0, length)
            if self._size >= _STEP:
                yield self._taken()
        yield self._taken()

    def end(self) -> pl.DataFrame:
        """Return what was never finished, as far as it goes. Nothing may be fed afterwards."""
        while self._pending:
            self._give_up()
        return self._taken()

    def _taken(self) -> pl.DataFrame:
        frame, self._out, self._size = self._out.frame(), _Columns(), 0
        return frame

    def _begin(self, offset: int, inner: int) -> None:
        """Number what is inside of the record at `offset` from `inner` on, or from where its address left off."""
        self._unpacked = 0
        if offset != self._now:
            self._forget(self._now)
            self._now = offset
        self._numbers[offset] = max(self._numbers.get(offset, 0), inner)

    def _forget(self, offset: int | None) -> None:
        """Drop the numbering of a record that nothing more can come from."""
        if offset is not None and offset not in self._pinned:
            self._numbers.pop(offset, None)

    def _descend(self, record: _Record, depth: int, length: int | None = None) -> None:
        text = record.text
        found = None if text is None or depth == len(self._plan) else self._plan[depth].open(text)
        if found is None:
            self._give(record, length=length)
            return
        one = self._plan[depth]
        names = f"{record.names}>{one.name}" if record.names else one.name
        self.opened[depth] += 1
        if not found:
            self.empty += 1
            record.names = names
            self._give(record, FRAME, f"{one.name}: nothing in it", length)
            return
        for inner in found:
            self._unpacked += len(inner.text)
            over = inner.over or len(inner.text) > self._max or self._unpacked > 8 * self._max
            inside = _Record(
                record.line,
                record.offset,
                record.places,
                None if over else inner.text,
                record.raw and not over and inner.text == text,
                merged(record.known, inner.known),
                names,
            )
            if inner.fault is not None:
                self._give(inside, inner.fault, inner.detail, length)
            elif inner.joins is None or not (inner.more or self._pending):
                self._descend(inside, depth + 1, length)
            else:
                self._join(inside, depth, inner, (depth, inner.joins, *map(record.known.get, _SCOPE)), length)

    def _join(self, piece: _Record, depth: int, inner: Inner, stream: tuple[object, ...], length: int | None) -> None:
        pieces = self._pending.get(stream)
        size = len(inner.text) if piece.text is not None else self._max + 1
        if pieces is None:
            if not inner.more:
                self._descend(piece, depth + 1, length)
                return
            piece.places = list(piece.places)
            pieces = self._pending[stream] = _Pieces(piece, depth, [], 0, 0, None)
            self._pinned[piece.offset] += 1
        else:
            places = pieces.first.places
            if places[-len(piece.places) :] != piece.places:
                places.extend(piece.places[piece.places[0] == places[-1] :])
            pieces.ended = piece.known.get("time")
        self.pieces += 1
        self._waiting += 1
        pieces.count += 1
        pieces.size += size
        if pieces.text is not None:
            if pieces.size > self._max:
                self._held -= sum(map(len, pieces.text))
                pieces.text = None
            else:
                pieces.text.append(inner.text)
                self._held += size
        if not inner.more:
            self._finish(stream)
        while self._held > 4 * self._max or self._waiting > _WAITING:
            self._give_up()

    def _finish(self, stream: tuple[object, ...], **further: str) -> None:
        """Put the pieces of `stream` together, and go on inwards."""
        pieces = self._pending.pop(stream)
        record = pieces.first
        record.raw = False
        record.text = None if pieces.text is None else b"".join(pieces.text)
        self._held -= len(record.text or b"")
        self._waiting -= pieces.count
        if pieces.ended is not None:
            further["ended"] = pieces.ended
        record.known = record.known | further
        self.joined += 1
        self._descend(record, pieces.depth + 1)
        self._pinned[record.offset] -= 1
        if not self._pinned[record.offset]:
            del self._pinned[record.offset]
            if record.offset != self._now:
                self._forget(record.offset)

    def _give_up(self) -> None:
        """Give out the oldest unfinished record."""
        self.unfinished += 1
        self._finish(next(iter(self._pending)), partial="unfinished")

    def _give(
        self, record: _Record, fault: str | None = None, detail: str | None = None, length: int | None = None
    ) -> None:
        """Give out `record`. Its length is that of its parts, except where the reader said otherwise."""
        out = self._out
        number = self._numbers[record.offset]
        self._numbers[record.offset] = number + 1
        split = len(record.places) > 1
        out.line.append(record.line)
        out.offset.append(record.offset)
        out.length.append(sum(size for _, size in record.places) if length is None else length)
        out.parts.append([{"offset": at, "length": size} for at, size in record.places] if split else None)
        out.inner.append(number)
        out.text.append(record.text)
        self._size += len(record.text or b"")
        out.raw.append(record.raw)
        out.fault.append(fault)
        out.detail.append(detail)
        known = record.known | {"envelope": record.names} if record.names else record.known
        out.envelope.append(known or None)
