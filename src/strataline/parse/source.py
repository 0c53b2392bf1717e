"""One source: its record batches to events, rejects and notes, with every record accounted for."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain

import polars as pl

from strataline.event import EVENTS, REJECTS
from strataline.format import Format
from strataline.parse.fill import EXCERPT, Zone, fill
from strataline.parse.kernel import OBJECT, Kernel
from strataline.parse.lines import match, match_other, second_reading
from strataline.parse.recognise import Recognised, recognise
from strataline.parse.rescue import rescue

_LENIENT = re.compile(r'"(?:[^"\\]|\\.)*"|NaN|Infinity|,\s*[\]}]', re.DOTALL)
LEAST = 20
"""Records that a source is looked at by, if it has as many."""

PLACED = ("_line", "_offset", "_length", "_recovered")


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


def parse_source(kernel: Kernel, plan: Plan, batches: Iterable[pl.DataFrame]) -> Parsed:
    """Parse the record batches of one source (line, offset, length, text).

    Event ids and the source's name are not known yet: see `identify`.
    """
    parsed = Parsed(recognised=None if plan.forced is None else Recognised(plan.forced, 1.0, forced=True))
    events, rejects = [], []
    tally = _Tally()
    if plan.forced is None:
        # The first batches decide for the whole source, once there is enough to look at.
        first, batches = _enough(batches)
        if first:
            parsed.recognised = recognise(kernel, plan.formats, pl.concat([batch["text"] for batch in first]))
        batches = chain(first, batches)
    for batch in batches:
        one = _parse_batch(kernel, plan, parsed.recognised, batch, tally)
        parsed.records += one.records
        parsed.skipped += one.skipped
        parsed.with_events += one.with_events
        parsed.recovered += one.recovered
        events.append(one.events)
        rejects.append(one.rejects)
    if events:
        parsed.events, parsed.rejects = pl.concat(events), pl.concat(rejects)
    parsed.notes = tally.rows()
    return parsed


def _enough(batches: Iterable[pl.DataFrame]) -> tuple[list[pl.DataFrame], Iterator[pl.DataFrame]]:
    """The first batches, until they hold `LEAST` records that are not blank, and the rest."""
    rest, first, found = iter(batches), [], 0
    for batch in rest:
        first.append(batch)
        found += int((~_all_space(batch["text"].drop_nulls())).sum())
        if found >= LEAST:
            break
    return first, rest


class _Tally:
    """Counts what was done to records, by topic and detail, with the first line concerned."""

    def __init__(self) -> None:
        self._count: Counter[tuple[str, str]] = Counter()
        self._first: dict[tuple[str, str], int] = {}

    def add(self, topic: str, detail: str, line: int, count: int = 1) -> None:
        self._count[topic, detail] += count
        self._first[topic, detail] = min(self._first.get((topic, detail), line), line)

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
    kernel: Kernel, plan: Plan, recognised: Recognised | None, batch: pl.DataFrame, tally: _Tally
) -> Parsed:
    one = Parsed()
    rejects = _Rejects(recognised.format.name if recognised else None, excerpts=plan.excerpts)
    rows = batch.rename({"line": "_line", "offset": "_offset", "length": "_length"}).with_columns(
        pl.lit(None, pl.String).alias("_recovered")
    )
    unread = rows.filter(pl.col("text").is_null())
    for line, offset, length in unread.select("_line", "_offset", "_length").iter_rows():
        rejects.add(line, offset, length, b"", "too_long", "longer than --max-record")
    rows = rows.filter(pl.col("text").is_not_null())
    blank = _all_space(rows["text"])
    one.records = batch.height
    one.skipped = int(blank.sum())
    rows = rows.filter(~blank)
    nul = rows["text"].bin.contains(b"\x00")
    for line, offset, length, text in rows.filter(nul).select("_line", "_offset", "_length", "text").iter_rows():
        detail = f"{text.count(0)} NUL bytes, the first at byte {text.index(0) + 1}"
        rejects.add(line, offset, length, text, "nul_bytes", detail)
    rows = rows.filter(~nul)
    if recognised is None:
        for line, offset, length, text in rows.select("_line", "_offset", "_length", "text").iter_rows():
            rejects.add(line, offset, length, text, "unrecognised_format", "no format describes this source")
        one.rejects = rejects.frame()
        return one
    fmt = recognised.format
    reader = _read_objects if fmt.container == "json" else _read_lines
    elements, more = reader(kernel, fmt, rows, rejects)
    one.records += more
    made = fill(kernel, fmt, elements, plan.zone_for(fmt), plan.folder, excerpts=plan.excerpts)
    records = elements.unique("_offset", maintain_order=True)
    hashes = records.select(offset="_offset").with_columns(_hashes(records["_text"]))
    made = made.drop("record_hash").join(hashes, on="offset", how="left", maintain_order="left")
    made = made.with_columns(
        address=pl.lit("bytes"), format=pl.lit(fmt.name), format_confidence=pl.lit(recognised.confidence)
    )
    _note_events(made, tally)
    _note_lenient(elements, tally)
    one.events = EVENTS.conform(made.drop("unsure_times"))
    places = made.select("offset", "recovered").unique()
    one.with_events = places.height
    one.recovered = int(places["recovered"].is_not_null().sum())
    one.rejects = rejects.frame()
    return one


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
        tally.add("recovered", f"saved by a second reading: {why[0]}", _lowest(rows["line"]), rows["offset"].n_unique())
    unsure = made.filter("unsure_times")
    if unsure.height:
        detail = "local time that occurs twice in its zone (the earlier was taken) or never (no time was taken)"
        tally.add("time_unsure", detail, _lowest(unsure["line"]), unsure.height)
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
            repeated["_offset"].n_unique(),
        )
    looks = elements.filter("_lenient").unique("_offset", maintain_order=True)
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
        self.rows: list[tuple[object, ...]] = []

    def add(self, line: int, offset: int, length: int, text: bytes, reason: str, detail: str) -> None:
        excerpt = text[:EXCERPT].decode("utf-8", "backslashreplace") if self.excerpts and text else None
        self.rows.append((None, "bytes", line, offset, length, self.fmt, reason, detail, excerpt))

    def frame(self) -> pl.DataFrame:
        return pl.DataFrame(self.rows, schema=REJECTS.schema, orient="row")


def _utf8_fault(text: bytes) -> str:
    try:
        text.decode("utf-8")
    except UnicodeDecodeError as problem:
        return f"byte {problem.start + 1} is 0x{text[problem.start]:02x}: {problem.reason}"
    return "not UTF-8"


def _read_objects(kernel: Kernel, fmt: Format, rows: pl.DataFrame, rejects: _Rejects) -> tuple[pl.DataFrame, int]:
    """JSON records to elements.

    Returns:
        The elements, and how many records there are more than physical lines (records that ran together).
    """
    look = kernel.look(rows["text"]).rename({"s": "_text", "lenient": "_lenient"})
    rows = pl.concat([rows, look], how="horizontal")
    _reject_undecoded(rows, rejects)
    rows = rows.filter(pl.col("_text").is_not_null())
    wrong = rows.filter(pl.col("type").is_not_null() & (pl.col("type") != OBJECT))
    for line, offset, length, text, kind in wrong.select("_line", "_offset", "_length", "text", "type").iter_rows():
        rejects.add(line, offset, length, text, "not_an_object", f"JSON {kind.lower()} where an object was expected")
    keep = [*PLACED, "_text", "_lenient"]
    sound = rows.filter(pl.col("type") == OBJECT).select(keep)
    saved, plain, more = _second_reading(rows.filter(pl.col("type").is_null()), rejects, sound.schema)
    sound = pl.concat([sound, saved]).sort("_offset")
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
    undecoded = rows.filter(pl.col("_text").is_null())
    for line, offset, length, text in undecoded.select("_line", "_offset", "_length", "text").iter_rows():
        rejects.add(line, offset, length, text, "invalid_utf8", _utf8_fault(text))


def _second_reading(rows: pl.DataFrame, rejects: _Rejects, schema: pl.Schema) -> tuple[pl.DataFrame, pl.DataFrame, int]:
    """Look once more at what the kernel refused: documents that were saved, plain lines, and further records."""
    saved: list[tuple[object, ...]] = []
    plain: list[tuple[object, ...]] = []
    more = 0
    for line, offset, text in rows.select("_line", "_offset", "_text").iter_rows():
        pieces = rescue(text)
        more += len(pieces) - 1
        at = offset
        for piece in pieces:
            raw = text[piece.start : piece.end].encode()
            if piece.plain:
                plain.append((line, at, len(raw), None, text, False))
            elif piece.text is not None and not piece.text.startswith("{"):
                rejects.add(line, at, len(raw), raw, "not_an_object", "JSON where an object was expected")
            elif piece.text is None:
                rejects.add(line, at, len(raw), raw, piece.why, piece.detail)
            else:
                saved.append((line, at, len(raw), piece.why or "refused_by_kernel", piece.text, False))
            at += len(raw)
    found = pl.DataFrame(saved, schema=schema, orient="row")
    return found, pl.DataFrame(plain, schema=schema, orient="row"), more


def _read_lines(kernel: Kernel, fmt: Format, rows: pl.DataFrame, rejects: _Rejects) -> tuple[pl.DataFrame, int]:
    """Text records to elements; returns as `_read_objects` does."""
    rows = rows.with_columns(kernel.decode(rows["text"]).alias("_text"))
    _reject_undecoded(rows, rejects)
    rows = rows.filter(pl.col("_text").is_not_null()).select(*PLACED, "_text")
    found = pl.concat([rows, match(fmt, rows["_text"])], how="horizontal")
    refused = found.filter(~pl.col("_described")).select(rows.columns)
    parts = list(_parts(fmt, refused))
    again = pl.DataFrame([part for part, _ in parts], schema=rows.schema, orient="row")
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
    return elements.with_columns(_item=pl.lit(0, pl.Int64)).sort("_offset"), again.height - refused.height


def _parts(fmt: Format, refused: pl.DataFrame) -> Iterator[tuple[tuple[object, ...], bool]]:
    for line, offset, _, _, text in refused.iter_rows():
        at = offset
        for part in second_reading(fmt, text):
            piece = text[part.start : part.end]
            length = len(piece.encode())
            yield (line, at, length, part.why, piece), part.described
            at += length
