"""One source: its record batches to events, rejects and notes, with every record accounted for."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from threading import BoundedSemaphore
from typing import Any, Self

import polars as pl

from strataline.event import EVENTS, FRAME, REJECTS
from strataline.format import Format
from strataline.parse.fill import EXTRA, Zone, fill
from strataline.parse.kernel import OBJECT, Kernel
from strataline.parse.lines import match, match_other, second_reading
from strataline.parse.recognise import Recognised, recognise
from strataline.parse.rescue import rescue

_LENIENT = re.compile(r'"(?:[^"\\]|\\.)*"|NaN|Infinity|,\s*[\]}]', re.DOTALL)
LEAST = 20
"""Records that a source is looked at by, if it has as many."""

LOOKED_BYTES, LOOKED_RECORDS = 8 << 20, 20_000
"""How far into a stream, and at how many records at most, its format is recognised from, whatever the batches."""

PLACED = ("_record", "_line", "_offset", "_length", "_parts", "_inner", "_piece", "_raw", "_envelope", "_recovered")
"""Bookkeeping of a record: its number in the batch, where it lies, which of several at that address it is (``_inner``;
and ``_piece`` of what ran together), whether its text is the bytes there, what wrappers knew, why it was saved."""

EXCERPT_BYTES = 200
_NO_FORMAT = "no format describes this source"
_CONTROL = {byte: f"\\x{byte:02x}" for byte in (*range(32), 127)}


@dataclass(frozen=True)
class Note:
    """What was done to `count` records of a source, the first on `line`."""

    topic: str
    detail: str
    line: int
    count: int


@dataclass
class Parsed:
    """What became of one source.

    Args:
        events: as in ``events``, less the columns that correlation adds.
        rejects: as in ``rejects``.
        notes: what was done to its records.
        records: how many there were: with_events + rejected + skipped.
        copy_of: the source that holds the events, where this one is its copy.
    """

    events: pl.DataFrame = field(default_factory=EVENTS.empty)
    rejects: pl.DataFrame = field(default_factory=REJECTS.empty)
    notes: list[Note] = field(default_factory=list)
    recognised: Recognised | None = None
    records: int = 0
    with_events: int = 0
    skipped: int = 0
    recovered: int = 0
    copy_of: str | None = None

    @property
    def rejected(self) -> int:
        """How many records became a reject."""
        return self.rejects.height


@dataclass(frozen=True)
class Plan:
    """How a source is to be read.

    Args:
        formats: the catalogue.
        forced: the format that the caller named, which is then not questioned.
        zone: from an option, if one names this source.
        assume: zone of naive times where nothing names one; null for UTC, which is noted.
        folder: folder of the source.
        excerpts: whether excerpts are kept.
    """

    formats: Mapping[str, Format]
    forced: Format | None = None
    zone: str | None = None
    assume: str | None = None
    folder: str = ""
    excerpts: bool = True

    def zone_for(self, fmt: Format) -> Zone:
        """The zone of naive times, and where it is from."""
        if self.zone is not None:
            return Zone(self.zone, "option")
        if fmt.zone is not None:
            return Zone(fmt.zone, "format")
        return Zone(self.assume or "UTC", "assumed")


class Parsing:
    """The parsing of one source that is under way: batch by batch, on the threads of `Workers`."""

    def __init__(self, recognised: Recognised | None, parts: Iterable[Future[tuple[Parsed, _Tally]]]) -> None:
        self.recognised = recognised
        self._parts = list(parts)

    def result(self) -> Parsed:
        """What became of the source, once all of its batches are parsed; in the order of its batches."""
        parsed, tally = Parsed(recognised=self.recognised), _Tally()
        events, rejects = [], []
        for part in self._parts:
            one, noted = part.result()
            parsed.records += one.records
            parsed.skipped += one.skipped
            parsed.with_events += one.with_events
            parsed.recovered += one.recovered
            events.append(one.events)
            rejects.append(one.rejects)
            tally.take(noted)
        self._parts = []
        if events:
            parsed.events, parsed.rejects = pl.concat(events), pl.concat(rejects)
        parsed.notes = tally.rows()
        return parsed


class Workers:
    """Threads that parse batches, so many at a time that memory stays bounded.

    Args:
        count: how many; no result depends on it.
    """

    def __init__(self, count: int) -> None:
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="parse")
        self._room = BoundedSemaphore(count + 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def submit(self, work: Callable[[], tuple[Parsed, _Tally]]) -> Future[tuple[Parsed, _Tally]]:
        """Have `work` done as soon as a thread is free; waits while all are busy and one more batch is ready."""
        self._room.acquire()
        made = self._pool.submit(work)
        made.add_done_callback(lambda _: self._room.release())
        return made


def parse_source(
    kernel: Kernel, plan: Plan, batches: Iterable[pl.DataFrame], workers: Workers | None = None
) -> Parsing:
    """Parse the record batches of one source (columns as reading gives them).

    All batches have been taken when this returns, and with `workers` not all have been parsed. Event ids and the
    source's name are not known yet: see `identify`.
    """
    submit = _at_once if workers is None else workers.submit
    recognised = None if plan.forced is None else Recognised(plan.forced, 1.0, forced=True)
    if plan.forced is None:
        # The beginning decides for the whole source.
        sample, batches = _sample(batches)
        recognised = recognise(kernel, plan.formats, sample)
    parts = [submit(partial(_parse_batch, kernel, plan, recognised, batch)) for batch in batches if batch.height]
    return Parsing(recognised, parts)


def _at_once(work: Callable[[], tuple[Parsed, _Tally]]) -> Future[tuple[Parsed, _Tally]]:
    made: Future[tuple[Parsed, _Tally]] = Future()
    made.set_result(work())
    return made


def described(kernel: Kernel, formats: Mapping[str, Format], text: pl.Series) -> bool:
    """Whether one of `formats` describes these records (Binary) as they stand."""
    return recognise(kernel, formats, text) is not None


def _sample(batches: Iterable[pl.DataFrame]) -> tuple[pl.Series, Iterator[pl.DataFrame]]:
    """Texts of the first records, at least `LEAST` that are not blank if there are as many; and all batches again."""
    taken: list[pl.DataFrame] = []
    texts: list[pl.Series] = []
    rest = iter(batches)
    rows = solid = 0
    for batch in rest:
        taken.append(batch)
        known = batch.filter(pl.col("fault").is_null())
        counts = (~_all_space(known["text"].fill_null(b"."))).cast(pl.Int64)
        near = (pl.col("offset") < LOOKED_BYTES) & (pl.int_range(pl.len()) + rows < LOOKED_RECORDS)
        few = pl.lit(counts.cum_sum() - counts + solid) < LEAST
        here = known.filter(near | few)
        texts.append(here["text"])
        if here.height < known.height:
            break
        rows, solid = rows + known.height, solid + int(counts.sum())
    return pl.concat(texts) if texts else pl.Series("text", [], dtype=pl.Binary), chain(taken, rest)


class _Tally:
    """Counts what was done to records, by topic and detail, with the first line concerned."""

    def __init__(self) -> None:
        self._count: Counter[tuple[str, str]] = Counter()
        self._first: dict[tuple[str, str], int] = {}

    def add(self, topic: str, detail: str, line: int, count: int = 1) -> None:
        self._count[topic, detail] += count
        self._first[topic, detail] = min(self._first.get((topic, detail), line), line)

    def take(self, other: _Tally) -> None:
        for (topic, detail), count in other._count.items():
            self.add(topic, detail, other._first[topic, detail], count)

    def rows(self) -> list[Note]:
        return [
            Note(topic, detail, self._first[topic, detail], n) for (topic, detail), n in sorted(self._count.items())
        ]


def identify(events: pl.DataFrame, source: str, stream_digest: str) -> pl.DataFrame:
    """Give the events of one source their name and ids, once its stream is known to the end."""
    stem = hashlib.blake2b(stream_digest.encode(), digest_size=16)
    names = []
    for offset, item, index in events.select("offset", "item", "index").iter_rows():
        one = stem.copy()
        one.update(b":%d:%d:%d" % (offset, item, index))
        names.append(one.hexdigest())
    return events.with_columns(pl.Series("event_id", names, dtype=pl.String), source=pl.lit(source))


def _parse_batch(
    kernel: Kernel, plan: Plan, recognised: Recognised | None, batch: pl.DataFrame
) -> tuple[Parsed, _Tally]:
    one, tally = Parsed(), _Tally()
    rejects = _Rejects(recognised.format.name if recognised else None, excerpts=plan.excerpts)
    names = {name: f"_{name}" for name in ("line", "offset", "length", "parts", "inner", "raw", "envelope")}
    rows = batch.rename(names).with_columns(
        pl.int_range(pl.len()).cast(pl.Int64).alias("_record"),
        pl.lit(0, pl.Int64).alias("_piece"),
        pl.lit(None, pl.String).alias("_recovered"),
    )
    one.records = batch.height
    one.skipped = int((rows["fault"] == FRAME).sum())
    for row in rows.filter(pl.col("fault").is_not_null() & (pl.col("fault") != FRAME)).iter_rows(named=True):
        rejects.add(row, row["text"] or b"", row["fault"], row["detail"] or "")
    rows = rows.filter(pl.col("fault").is_null()).drop("fault", "detail")
    for row in rows.filter(pl.col("text").is_null()).iter_rows(named=True):
        rejects.add(row, b"", "too_long", "longer than --max-record")
    rows = rows.filter(pl.col("text").is_not_null())
    blank = _all_space(rows["text"])
    one.skipped += int(blank.sum())
    rows = rows.filter(~blank)
    nul = rows["text"].bin.contains(b"\x00")
    if nul.any():
        rows, padded = _without_padding(rows, nul, rejects)
        one.records += padded
        nul = rows["text"].bin.contains(b"\x00")
    for row in rows.filter(nul).iter_rows(named=True):
        text = row["text"]
        rejects.add(row, text, "nul_bytes", f"{text.count(0)} NUL bytes, the first at byte {text.index(0) + 1}")
    rows = rows.filter(~nul)
    if recognised is None:
        rows = rows.with_columns(kernel.decode(rows["text"]).alias("_text"))
        _reject_undecoded(rows, rejects)
        known = rejects.every(rows.filter(pl.col("_text").is_not_null()), "unrecognised_format", _NO_FORMAT)
        one.rejects = pl.concat([rejects.frame(), known])
        return one, tally
    fmt = recognised.format
    reader = _read_objects if fmt.container == "json" else _read_lines
    elements, more = reader(kernel, fmt, rows, rejects)
    one.records += more
    elements = elements.sort("_offset", "_inner", "_piece", "_item", maintain_order=True).with_columns(
        _item=pl.int_range(pl.len()).cast(pl.Int64).over("_offset")
    )
    made = fill(kernel, fmt, elements, plan.zone_for(fmt), plan.folder, excerpts=plan.excerpts)
    records = elements.unique(["_record", "_piece"], maintain_order=True)
    hashes = records.select(_hashes(records["_text"]), record=pl.struct("_record", "_piece"))
    made = made.drop("record_hash").join(hashes, on="record", how="left", maintain_order="left")
    made = made.with_columns(
        address=pl.lit("bytes" if batch["line"].null_count() < batch.height else "row"),
        format=pl.lit(fmt.name),
        format_confidence=pl.lit(recognised.confidence),
    )
    _note_events(made, tally)
    _note_lenient(elements, tally)
    one.events = EVENTS.conform(made.drop(EXTRA))
    places = made.select("record", "recovered").unique()
    one.with_events = places.height
    one.recovered = int(places["recovered"].is_not_null().sum())
    one.rejects = rejects.frame()
    return one, tally


def _without_padding(rows: pl.DataFrame, nul: pl.Series, rejects: _Rejects) -> tuple[pl.DataFrame, int]:
    """Part a sound record from the zero bytes before it, which a file has that was cut while it was written on.

    Returns:
        The rows, and how many records there are more.
    """
    parted: dict[int, bytes] = {}
    for row in rows.filter(nul & pl.col("_raw")).iter_rows(named=True):
        rest = row["text"].lstrip(b"\0")
        if rest and b"\0" not in rest and len(rest) < len(row["text"]):
            run = len(row["text"]) - len(rest)
            rejects.add({**row, "_length": run}, row["text"][:run], "nul_bytes", f"{run} NUL bytes before a record")
            parted[row["_record"]] = rest
    if not parted:
        return rows, 0
    rest = pl.DataFrame(
        {"_record": parted.keys(), "rest": parted.values()}, schema={"_record": pl.Int64, "rest": pl.Binary}
    )
    joined = rows.join(rest, on="_record", how="left", maintain_order="left")
    before = pl.col("_length") - pl.col("rest").bin.size().cast(pl.Int64)
    moved = pl.col("rest").is_not_null()
    joined = joined.with_columns(
        _offset=pl.when(moved).then(pl.col("_offset") + before).otherwise("_offset"),
        _length=pl.when(moved).then(pl.col("_length") - before).otherwise("_length"),
        _recovered=pl.when(moved).then(pl.lit("nul_padding")).otherwise("_recovered"),
        text=pl.coalesce("rest", "text"),
    )
    return joined.drop("rest"), len(parted)


def _all_space(text: pl.Series) -> pl.Series:
    """Whether each record is white space only."""
    blank = pl.Series([False] * len(text), dtype=pl.Boolean)
    # Records begin with a visible byte almost always: only those that do not are looked at whole.
    head = text.bin.slice(0, 1)
    spaces = head.is_in([b"", b" ", b"\t", b"\x0b", b"\x0c", b"\r"])
    if spaces.any():
        where = spaces.arg_true()
        found = [not one.strip() for one in text.gather(where).to_list()]
        blank = blank.scatter(where, found)
    return blank


def _hashes(text: pl.Series) -> pl.Series:
    found = [hashlib.blake2b(one.encode(), digest_size=16).hexdigest() for one in text.to_list()]
    return pl.Series("record_hash", found, dtype=pl.String)


def _lowest(lines: pl.Series) -> int:
    return int(lines.sort().item(0))


def _note_events(made: pl.DataFrame, tally: _Tally) -> None:
    for why, rows in made.filter(pl.col("recovered").is_not_null()).group_by("recovered", maintain_order=True):
        tally.add("recovered", f"saved by a second reading: {why[0]}", _lowest(rows["line"]), rows["record"].n_unique())
    unsure = made.filter("unsure_times")
    if unsure.height:
        detail = "local time that occurs twice in its zone (the earlier was taken) or never (no time was taken)"
        tally.add("time_unsure", detail, _lowest(unsure["line"]), unsure.height)
    borrowed = made.filter(pl.col("time_kind") == "envelope")
    if borrowed.height:
        detail = "the record states no time; that of the wrapper around it was taken"
        tally.add("envelope_time", detail, _lowest(borrowed["line"]), borrowed.height)
    observed = made.filter("observed_assumed")
    if observed.height:
        detail = "times of the wrapper state no zone; one was assumed for when something saw it (--zone GLOB=ZONE)"
        tally.add("zone_assumed", detail, _lowest(observed["line"]), observed.height)
    named = made.filter("envelope_id")
    if named.height:
        detail = "the record carries no id; that of the wrapper around it was taken"
        tally.add("envelope_id", detail, _lowest(named["line"]), named.height)
    unread = made.filter(pl.col("time_raw").is_not_null() & pl.col("event_time").is_null())
    if unread.height:
        tally.add(
            "time_unread",
            "time as written could not be read; the event has none",
            _lowest(unread["line"]),
            unread.height,
        )


def _note_lenient(elements: pl.DataFrame, tally: _Tally) -> None:
    """Count repeated keys, and confirm what looked like NaN, Infinity or a trailing comma."""
    if "_repeated" not in elements.columns:
        return
    repeated = elements.filter("_repeated")
    if repeated.height:
        tally.add(
            "repeated_key",
            "an object repeats a key; its first value was taken",
            _lowest(repeated["_line"]),
            repeated.select("_record", "_piece").n_unique(),
        )
    looks = elements.filter("_lenient").unique(["_record", "_piece"], maintain_order=True)
    for line, text in looks.select("_line", "_text").iter_rows():
        if not _strict(text):
            tally.add("lenient_json", "NaN, Infinity or a trailing comma was accepted", line)


def _strict(text: str) -> bool:
    """Whether no NaN, Infinity or trailing comma stands outside of the strings."""
    return all(found.group().startswith('"') for found in _LENIENT.finditer(text))


class _Rejects:
    """Collects reject rows."""

    def __init__(self, fmt: str | None, *, excerpts: bool) -> None:
        self.fmt = fmt
        self.excerpts = excerpts
        self.rows: list[dict[str, object]] = []

    def add(self, row: Mapping[str, Any], text: bytes, reason: str, detail: str) -> None:
        """Reject the record at the place that `row` (`PLACED`) says."""
        self.rows.append(
            {
                "address": "bytes" if row["_line"] is not None else "row",
                "line": row["_line"],
                "offset": row["_offset"],
                "length": row["_length"],
                "parts": row["_parts"],
                "item": row["_inner"],
                "format": self.fmt,
                "reason": reason,
                "detail": detail,
                "excerpt": _excerpt(text[:EXCERPT_BYTES]) if self.excerpts and text else None,
            }
        )

    def every(self, rows: pl.DataFrame, reason: str, detail: str) -> pl.DataFrame:
        """All of `rows` (`PLACED`, and ``text``) as rejects of one reason, by columns."""
        heads = rows["text"].bin.slice(0, EXCERPT_BYTES).to_list()
        excerpts = [_excerpt(head) for head in heads] if self.excerpts else [None] * len(heads)
        return REJECTS.conform(
            rows.select(
                address=pl.when(pl.col("_line").is_null()).then(pl.lit("row")).otherwise(pl.lit("bytes")),
                line="_line",
                offset="_offset",
                length="_length",
                parts="_parts",
                item="_inner",
                format=pl.lit(self.fmt, pl.String),
                reason=pl.lit(reason),
                detail=pl.lit(detail),
                excerpt=pl.Series(excerpts, dtype=pl.String),
            )
        )

    def frame(self) -> pl.DataFrame:
        return REJECTS.conform(pl.DataFrame(self.rows, schema=REJECTS.schema))


def _excerpt(text: bytes) -> str:
    return text.decode("utf-8", "backslashreplace").translate(_CONTROL)


def _utf8_fault(text: bytes) -> str:
    try:
        text.decode("utf-8")
    except UnicodeDecodeError as problem:
        return f"byte {problem.start + 1} is 0x{text[problem.start]:02x}: {problem.reason}"
    return "not UTF-8"


def _read_objects(kernel: Kernel, fmt: Format, rows: pl.DataFrame, rejects: _Rejects) -> tuple[pl.DataFrame, int]:
    """JSON records to elements.

    Returns:
        The elements, and how many records there are more than were read (records that ran together).
    """
    look = kernel.look(rows["text"]).rename({"s": "_text", "lenient": "_lenient"})
    rows = pl.concat([rows, look], how="horizontal")
    _reject_undecoded(rows, rejects)
    rows = rows.filter(pl.col("_text").is_not_null())
    for row in rows.filter(pl.col("type").is_not_null() & (pl.col("type") != OBJECT)).iter_rows(named=True):
        detail = f"JSON {row['type'].lower()} where an object was expected"
        rejects.add(row, row["text"], "not_an_object", detail)
    keep = [*PLACED, "_text", "_lenient"]
    sound = rows.filter(pl.col("type") == OBJECT).select(keep)
    saved, plain, more = _second_reading(rows.filter(pl.col("type").is_null()), rejects, sound.schema)
    sound = pl.concat([sound, saved]).sort("_offset", "_inner", "_piece")
    if fmt.reshape is None:
        found = kernel.extract(sound["_text"], fmt.fields, fmt.explode)
    else:
        parts = [(r, part) for r, text in enumerate(sound["_text"].to_list()) for part in fmt.reshape(text)]
        found = kernel.extract(pl.Series([part for _, part in parts], dtype=pl.String), fmt.fields, ())
        found = found.with_columns(r=pl.Series([r for r, _ in parts], dtype=pl.Int64).gather(found["r"]))
        found = found.with_columns(item=pl.int_range(pl.len()).over("r"))
    elements = pl.concat([sound[found["r"]], found.drop("r")], how="horizontal")
    elements = elements.rename({"item": "_item", "sound": "_described", "repeated": "_repeated"})
    # A record without elements is a sound line that the format does not describe, as is a banner.
    empty = sound.filter(~pl.int_range(pl.len()).is_in(found["r"].unique().implode()))
    return pl.concat([elements, pl.concat([plain, empty])], how="diagonal").with_columns(
        pl.col("_described").fill_null(value=False), pl.col("_item").fill_null(0)
    ), more


def _reject_undecoded(rows: pl.DataFrame, rejects: _Rejects) -> None:
    for row in rows.filter(pl.col("_text").is_null()).iter_rows(named=True):
        rejects.add(row, row["text"], "invalid_utf8", _utf8_fault(row["text"]))


def _piece(row: Mapping[str, Any], number: int, start: int, length: int) -> dict[str, Any]:
    """The place of a piece of the record `row`: its own bytes where the text is what lies there."""
    if not row["_raw"]:
        return {**row, "_piece": number}
    return {**row, "_piece": number, "_offset": row["_offset"] + start, "_length": length}


def _second_reading(rows: pl.DataFrame, rejects: _Rejects, schema: pl.Schema) -> tuple[pl.DataFrame, pl.DataFrame, int]:
    """Look once more at what the kernel refused: documents that were saved, plain lines, and further records."""
    saved: list[dict[str, Any]] = []
    plain: list[dict[str, Any]] = []
    more = 0
    for row in rows.iter_rows(named=True):
        text = row["_text"]
        pieces = rescue(text)
        more += len(pieces) - 1
        at = 0
        for number, piece in enumerate(pieces):
            raw = text[piece.start : piece.end].encode()
            place = _piece(row, number, at, len(raw))
            if piece.plain:
                plain.append({**place, "_lenient": False})
            elif piece.text is not None and not piece.text.startswith("{"):
                rejects.add(place, raw, "not_an_object", "JSON where an object was expected")
            elif piece.text is None:
                rejects.add(place, raw, piece.why, piece.detail)
            else:
                why = piece.why or "refused_by_kernel"
                saved.append({**place, "_recovered": why, "_text": piece.text, "_lenient": False})
            at += len(raw)
    return pl.DataFrame(saved, schema=schema), pl.DataFrame(plain, schema=schema), more


def _read_lines(kernel: Kernel, fmt: Format, rows: pl.DataFrame, rejects: _Rejects) -> tuple[pl.DataFrame, int]:
    """Text records to elements; returns as `_read_objects` does."""
    rows = rows.with_columns(kernel.decode(rows["text"]).alias("_text"))
    _reject_undecoded(rows, rejects)
    rows = rows.filter(pl.col("_text").is_not_null()).select(*PLACED, "_text")
    found = pl.concat([rows, match(fmt, rows["_text"])], how="horizontal")
    refused = found.filter(~pl.col("_described")).select(rows.columns)
    parts = list(_parts(fmt, refused))
    again = pl.DataFrame([part for part, _ in parts], schema=rows.schema)
    described = pl.Series([flag for _, flag in parts], dtype=pl.Boolean)
    matched = again.filter(described)
    others = again.filter(~described)
    elements = pl.concat(
        [
            found.filter("_described"),
            pl.concat([matched, match(fmt, matched["_text"])], how="horizontal"),
            pl.concat([others, match_other(fmt, others["_text"])], how="horizontal"),
        ]
    )
    return elements.with_columns(_item=pl.lit(0, pl.Int64)), again.height - refused.height


def _parts(fmt: Format, refused: pl.DataFrame) -> Iterator[tuple[dict[str, Any], bool]]:
    for row in refused.iter_rows(named=True):
        text, at = row["_text"], 0
        for number, part in enumerate(second_reading(fmt, text)):
            piece = text[part.start : part.end]
            length = len(piece.encode())
            yield {**_piece(row, number, at, length), "_recovered": part.why, "_text": piece}, part.described
            at += length
