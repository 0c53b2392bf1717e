"""One source: its record batches to events, rejects and notes, with every record accounted for."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from threading import BoundedSemaphore, Lock
from typing import Any, Self

import polars as pl

from strataline.event import EVENTS, FRAME, REJECTS
from strataline.format import Format
from strataline.parse.figures import Figures
from strataline.parse.fill import EXTRA, TEXTS, Zone, fill
from strataline.parse.guess import JSON, LOOKED, TEXT, Draft, draft_lines, draft_objects
from strataline.parse.hashes import hashes
from strataline.parse.kernel import OBJECT, Kernel
from strataline.parse.lines import describes, match, match_field, match_other, opened, second_reading
from strataline.parse.recognise import FEW_OBJECTS, SAMPLE, Marks, Recognised, recognise
from strataline.parse.rescue import rescue

_LENIENT = re.compile(r'"(?:[^"\\]|\\.)*"|NaN|Infinity|,\s*[\]}]', re.DOTALL)
LEAST = 20
"""Records that a source is looked at by, if it has as many."""

LOOKED_BYTES, LOOKED_RECORDS = 8 << 20, 20_000
"""How far into a stream, and at how many records at most, its format is recognised from, whatever the batches."""

PLACED = (
    *("_record", "_line", "_offset", "_length", "_parts", "_inner", "_piece"),
    *("_raw", "_envelope", "_recovered", "_hash"),
)
"""Bookkeeping of a record: its number in the batch, where it lies, which of several at that address it is (``_inner``;
and ``_piece`` of what ran together), whether its text is the bytes there, what wrappers knew, why it was saved, and the
hash of its text."""

EXCERPT_BYTES = 200
_NO_FORMAT = "no format describes this source"
_CONTROL = {byte: f"\\x{byte:02x}" for byte in (*range(32), 127)}


_SAME = ("offset", "item", "index", "format", "input_hash", "output_hash")
WHOLE = pl.Schema({**{name: EVENTS.schema[name] for name in _SAME}, **TEXTS})
"""What `Parsed.texts` holds: which event it is, the hashes of its texts, and the texts."""


@dataclass(frozen=True)
class Note:
    """What was done to `count` records of a source, the first on `line` (null in a table)."""

    topic: str
    detail: str
    line: int | None
    count: int


@dataclass
class Parsed:
    """What became of one source.

    Args:
        events: as in ``events``, less the columns that correlation adds; none where `Plan.keep` took them.
        kept: what `Plan.keep` made of the events of each batch, in their order.
        figures: what they add up to.
        rejects: as in ``rejects``.
        notes: what was done to its records.
        records: how many there were: with_events + rejected + skipped.
        copy_of: the source that holds the events, where this one is its copy.
        texts: where they were asked for, those of each event: `WHOLE`.
    """

    events: pl.DataFrame = field(default_factory=EVENTS.empty)
    kept: list[Any] = field(default_factory=list)
    figures: Figures = field(default_factory=Figures)
    rejects: pl.DataFrame = field(default_factory=REJECTS.empty)
    notes: list[Note] = field(default_factory=list)
    recognised: Recognised | None = None
    records: int = 0
    with_events: int = 0
    skipped: int = 0
    recovered: int = 0
    copy_of: str | None = None
    texts: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=WHOLE))

    @property
    def rejected(self) -> int:
        """How many records became a reject."""
        return self.rejects.height


@dataclass(frozen=True)
class Plan:
    """How a source is to be read.

    Args:
        marks: the catalogue.
        forced: the format that the caller named, which is then not questioned.
        zone: from an option, if one names this source.
        assume: zone of naive times where nothing names one; null for UTC, which is noted.
        folder: folder of the source.
        excerpts: whether excerpts are kept.
        drafts: formats that were drafted from the records of this source.
        texts: whether the whole texts of events are wanted.
        only: offsets of the events that are wanted, in order; records that hold none are passed over once the formats
            of the source are recognised. Null for all.
        keep: what takes the events of each batch, on the thread that parsed them, and gives what is kept of them (null:
            nothing); null where they stay as they are.
        strangers: drafts the format of objects that no other describes, when the first is met; null where none can be
            met, or it is among `drafts`.
    """

    marks: Marks
    forced: Format | None = None
    zone: str | None = None
    assume: str | None = None
    folder: str = ""
    excerpts: bool = True
    texts: bool = False
    only: pl.Series | None = None
    keep: Callable[[pl.DataFrame], Any] | None = None
    drafts: Mapping[str, Format] = field(default_factory=dict)
    strangers: _Strangers | None = None
    _here: dict[tuple[str, ...], Marks] = field(default_factory=dict, repr=False, compare=False)

    def format(self, name: str) -> Format:
        """The format of that name."""
        if name not in self.drafts and self.forced is not None and self.forced.name == name:
            return self.forced
        if name == JSON and self.strangers is not None and (made := self.strangers.format()) is not None:
            return made
        return self.drafts.get(name) or self.marks.formats[name]

    def stranger(self, named: pl.Series) -> pl.Series:
        """The names of formats, with that of the objects that none describes."""
        if not named.null_count():
            return named
        known = self.drafts.get(JSON) if self.strangers is None else self.strangers.format()
        return named if known is None else named.fill_null(JSON)

    def here(self, recognised: Recognised) -> Marks:
        """The marks of the formats that the source is known to hold."""
        found = self._here.get(tuple(recognised.shares))
        if found is None:
            found = self._here[tuple(recognised.shares)] = self.marks.only(recognised.shares)
        return found

    def zone_for(self, fmt: Format) -> Zone:
        """The zone of naive times, and where it is from."""
        if self.zone is not None:
            return Zone(self.zone, "option")
        if fmt.zone is not None:
            return Zone(fmt.zone, "format")
        return Zone(self.assume or "UTC", "assumed")


Drafts = dict[str, Draft]
"""What was guessed of a source's records, by the name of the format that is made of it."""


class _Strangers:
    """The format of objects that none describes, in a source whose other formats are known; drafted once, if at all."""

    def __init__(self, drafts: Drafts, like: Format | None, draft: Callable[[], Draft | None]) -> None:
        self._drafts = drafts
        self._like = like
        self._draft = draft
        self._lock = Lock()
        self._asked = False
        self._format: Format | None = None

    def format(self) -> Format | None:
        """The format; null where the beginning of the source holds too few such objects."""
        with self._lock:
            if not self._asked:
                self._asked = True
                draft = self._draft()
                if draft is not None:
                    self._drafts[JSON] = draft
                    self._format = draft.format(JSON, self._like)
        return self._format


class Parsing:
    """The parsing of one source that is under way: batch by batch, on the threads of `Workers`."""

    def __init__(
        self, recognised: Recognised | None, drafts: Drafts, parts: Iterable[Future[tuple[Parsed, _Tally]]]
    ) -> None:
        self.recognised = recognised
        self._drafts = drafts
        self._parts = list(parts)

    def result(self) -> Parsed:
        """What became of the source, once all of its batches are parsed; in the order of its batches."""
        parsed, tally = Parsed(recognised=self.recognised), _Tally()
        events, rejects, texts = [], [], []
        for part in self._parts:
            one, noted = part.result()
            parsed.records += one.records
            parsed.skipped += one.skipped
            parsed.with_events += one.with_events
            parsed.recovered += one.recovered
            parsed.figures.take(one.figures)
            parsed.kept += one.kept
            events.append(one.events)
            rejects.append(one.rejects)
            texts.append(one.texts)
            tally.take(noted)
        self._parts = []
        if events:
            parsed.events, parsed.rejects, parsed.texts = pl.concat(events), pl.concat(rejects), pl.concat(texts)
        for name, draft in sorted(self._drafts.items()):
            count, line = parsed.figures.formats.get(name, (0, None))
            if count:
                for what, why in draft.reasons.items():
                    tally.add("guessed", f"{what} from {why}", line, count)
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
    drafts: Drafts = {}
    recognised = None if plan.forced is None else Recognised(plan.forced, 1.0, forced=True)
    if plan.forced is None or plan.forced.guessed:
        # The beginning decides which formats the source holds, and each record which of them it is.
        sample, wrapped, batches = _sample(batches)
        if recognised is None:
            recognised = recognise(kernel, plan.marks, sample)
        strangers = None
        if plan.forced is None and recognised is not None and not _open_ended(plan, recognised):
            later = partial(_guess, kernel, plan, recognised, sample, wrapped=wrapped)
            strangers = _Strangers(drafts, plan.marks.formats.get(JSON), lambda: later()[1].get(JSON))
        else:
            recognised, drafts = _guess(kernel, plan, recognised, sample, wrapped=wrapped)
        made = {name: draft.format(name, plan.marks.formats.get(name)) for name, draft in drafts.items()}
        plan = replace(plan, drafts=made, strangers=strangers)
    wanted = batches if plan.only is None else (_holding(batch, plan.only) for batch in batches)
    parts = [submit(partial(_parse_batch, kernel, plan, recognised, batch)) for batch in wanted if batch.height]
    return Parsing(recognised, drafts, parts)


def _holding(batch: pl.DataFrame, offsets: pl.Series) -> pl.DataFrame:
    """The records of `batch` in which one of `offsets` (in order) lies: an event may begin within its record."""
    if offsets.is_empty():
        return batch.clear()
    places = offsets.search_sorted(batch["offset"])
    next_ = pl.concat([offsets.cast(pl.Int64), pl.Series([None], dtype=pl.Int64)]).gather(places)
    length = batch["length"].fill_null(1).clip(1)
    return batch.filter((next_ < batch["offset"] + length).fill_null(value=False))


def _open_ended(plan: Plan, recognised: Recognised | None) -> list[str]:
    """Formats of which only the marks are known."""
    return [name for name in (recognised.shares if recognised else {}) if plan.marks.formats[name].guessed]


def _guess(
    kernel: Kernel, plan: Plan, recognised: Recognised | None, sample: pl.Series, *, wrapped: bool
) -> tuple[Recognised | None, Drafts]:
    """Draft formats for what none describes, and for those of which only the marks are known.

    What a wrapper holds is a log, and the wrapper knows its time.
    """
    if plan.forced is not None and recognised is not None:
        objects = kernel.look(sample.head(LOOKED)).filter(pl.col("type") == OBJECT)["s"]
        draft = draft_objects(objects.to_list(), wrapped=wrapped)
        return recognised, {plan.forced.name: draft} if draft else {}
    shares = recognised.shares if recognised else {}
    open_ended = _open_ended(plan, recognised)
    look = kernel.look(sample.head(LOOKED)).filter(pl.col("s").is_null() | pl.col("s").str.contains(r"\S"))
    sound = look.filter(pl.col("type") == OBJECT)
    objects = sound["s"]
    lines = look.filter(pl.col("type").is_null() & pl.col("s").is_not_null())["s"]
    drafts: Drafts = {}
    if objects.len() >= FEW_OBJECTS * look.height or open_ended:
        named = plan.marks.only(shares).of_objects(kernel, objects, sound["shape"])
        for name in open_ended:
            draft = draft_objects(objects.filter(named == name).to_list(), wrapped=wrapped)
            if draft is not None:
                drafts[name] = draft
        strange = objects.filter(named.is_null())
        draft = draft_objects(strange.to_list(), wrapped=wrapped)
        if draft is not None:
            drafts[JSON] = draft
    if recognised is not None:
        return recognised, drafts
    if lines.len() and lines.len() >= (1 - FEW_OBJECTS) * look.height:
        draft = draft_lines(lines.to_list(), wrapped=wrapped)
        if draft is not None:
            drafts[TEXT] = draft
    if not drafts:
        return None, {}
    found = {JSON: objects.len(), TEXT: lines.len()}
    told = {name: round(found[name] / max(1, look.height), 4) for name in drafts}
    name = max(told, key=lambda one: (told[one], one))
    return Recognised(drafts[name].format(name), told[name], told, guessed=True), drafts


def _at_once(work: Callable[[], tuple[Parsed, _Tally]]) -> Future[tuple[Parsed, _Tally]]:
    made: Future[tuple[Parsed, _Tally]] = Future()
    made.set_result(work())
    return made


def described(kernel: Kernel, marks: Marks, text: pl.Series) -> bool:
    """Whether formats describe these records (Binary) as they stand."""
    return recognise(kernel, marks, text) is not None


def _sample(batches: Iterable[pl.DataFrame]) -> tuple[pl.Series, bool, Iterator[pl.DataFrame]]:
    """Texts of the first records, at least `LEAST` that are not blank if there are as many; and all batches again.

    Between the two: whether any lay in a wrapper.
    """
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
    wrapped = any(batch["envelope"].null_count() < batch.height for batch in taken)
    return pl.concat(texts) if texts else pl.Series("text", [], dtype=pl.Binary), wrapped, chain(taken, rest)


class _Tally:
    """Counts what was done to records, by topic and detail, with the first line concerned."""

    def __init__(self) -> None:
        self._count: Counter[tuple[str, str]] = Counter()
        self._first: dict[tuple[str, str], int | None] = {}

    def add(self, topic: str, detail: str, line: int | None, count: int = 1) -> None:
        self._count[topic, detail] += count
        known = [one for one in (self._first.get((topic, detail)), line) if one is not None]
        self._first[topic, detail] = min(known, default=None)

    def take(self, other: _Tally) -> None:
        for (topic, detail), count in other._count.items():
            self.add(topic, detail, other._first[topic, detail], count)

    def rows(self) -> list[Note]:
        return [
            Note(topic, detail, self._first[topic, detail], n) for (topic, detail), n in sorted(self._count.items())
        ]


def identify(events: pl.DataFrame, source: str, stream_digest: str) -> pl.DataFrame:
    """Give the events of one source their name and ids, once its stream is known to the end."""
    place = pl.concat_str(pl.lit(stream_digest), "offset", "item", "index", separator=":")
    names = hashes(events.select(place.cast(pl.Binary)).to_series().to_list())
    return events.with_columns(names.alias("event_id"), source=pl.lit(source))


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
    look = kernel.look(rows["text"])
    look = look.rename({"s": "_text", "type": "_type", "shape": "_shape", "lenient": "_lenient"})
    rows = pl.concat([rows.with_columns(_hash=_hashes(rows["text"])), look], how="horizontal")
    _reject_undecoded(rows, rejects)
    rows = rows.filter(pl.col("_text").is_not_null())
    if recognised is None:
        one.rejects = pl.concat([rejects.frame(), rejects.every(rows, "unrecognised_format", _NO_FORMAT)])
        return one, tally
    made, more = _read(kernel, plan, recognised, rows, rejects)
    one.records += more
    events = []
    for fmt, elements in _numbered(made):
        zone = plan.zone_for(fmt)
        filled = fill(kernel, fmt, elements, zone, plan.folder, excerpts=plan.excerpts, texts=plan.texts)
        # An item is as sure as its container; of what was met beyond the sample no share is known.
        whole = recognised.confidence if recognised.forced or fmt.of is not None else None
        confidence = pl.lit(recognised.shares.get(fmt.name, whole), pl.Float64)
        events.append(filled.with_columns(format=pl.lit(fmt.name), format_confidence=confidence))
        _note_lenient(elements, tally)
    if events:
        found = _in_order(pl.concat(events, how="diagonal"))
        found = found.with_columns(address=pl.lit("bytes" if batch["line"].null_count() < batch.height else "row"))
        _note_events(found, tally)
        if plan.texts:
            one.texts = found.select(
                (pl.col(name) if name in found.columns else pl.lit(None)).cast(dtype).alias(name)
                for name, dtype in WHOLE.items()
            )
            found = found.drop(TEXTS.names())
        one.events = EVENTS.conform(found.drop(EXTRA))
        places = found.select("record", "recovered").unique()
        one.with_events = places.height
        one.recovered = int(places["recovered"].is_not_null().sum())
        one.figures = Figures.of(one.events)
        if plan.keep is not None:
            kept, one.events = plan.keep(one.events), EVENTS.empty()
            one.kept = [] if kept is None else [kept]
    one.rejects = rejects.frame()
    return one, tally


def _in_order(events: pl.DataFrame) -> pl.DataFrame:
    """The events of a batch by (offset, item, index); here, where they are few and lie in the caches."""
    keys = events.select("offset", "item", "index")
    place = keys.with_row_index("row").sort("offset", "item", "index")["row"]
    return events if (place.diff().drop_nulls() > 0).all() else events[place]


_Made = list[tuple[Format, pl.DataFrame]]
"""Elements by the format that describes them: `PLACED`, ``_text``, ``_item``, ``_described``, the format's fields."""


def _numbered(made: _Made) -> _Made:
    """The elements with ``_item`` counted over all that lie at one address, whatever their format."""
    parts: dict[str, tuple[Format, list[pl.DataFrame]]] = {}
    for fmt, elements in made:
        if elements.height:
            parts.setdefault(fmt.name, (fmt, []))[1].append(elements)
    made = [(fmt, pl.concat(frames, how="diagonal")) for fmt, frames in parts.values()]
    if not made:
        return []
    if len(made) == 1 and (made[0][1]["_offset"].diff().drop_nulls() > 0).all():
        # One element at each address, in order.
        return [(made[0][0], made[0][1].with_columns(_item=pl.lit(0, pl.Int64)))]
    order = ["_offset", "_inner", "_piece", "_item"]
    every = pl.concat([elements.select(order).with_columns(_part=n) for n, (_, elements) in enumerate(made)])
    every = every.with_row_index("_row").sort(order, maintain_order=True)
    counted = every.with_columns(_count=pl.int_range(pl.len()).cast(pl.Int64).over("_offset")).sort("_row")
    return [
        (fmt, elements.with_columns(_item=counted.filter(pl.col("_part") == n)["_count"]).sort("_offset", "_item"))
        for n, (fmt, elements) in enumerate(made)
    ]


def _read(
    kernel: Kernel, plan: Plan, recognised: Recognised, rows: pl.DataFrame, rejects: _Rejects
) -> tuple[_Made, int]:
    """Give each record to the format that describes it, and read its elements.

    Returns:
        The elements, and how many records there are more than were read (records that ran together).
    """
    main, everything = recognised.format, plan.marks
    is_object = (rows["_type"] == OBJECT).fill_null(value=False)
    if recognised.forced:
        everything = Marks({main.name: main})
        is_object = is_object & (main.container == "json")
    objects, lines = rows.filter(is_object), rows.filter(~is_object)
    if recognised.forced:
        named = pl.Series([main.name] * objects.height, dtype=pl.String)
        described = everything.of_lines(lines["_text"])
    else:
        here = plan.here(recognised)
        named = _told(objects, *(partial(_of_objects, kernel, marks) for marks in (here, everything)))
        described = _told(lines, *(partial(_of_lines, marks) for marks in (here, everything)))
        named = plan.stranger(named)
        if TEXT in plan.drafts:
            fits = describes(plan.drafts[TEXT], lines["_text"])
            described = pl.select(pl.coalesce(pl.lit(described), pl.when(pl.lit(fits)).then(pl.lit(TEXT)))).to_series()
    made: _Made = []
    left = []
    for name, part in _by_format(objects, named):
        if name is None:
            left.append(part)
        else:
            made += _objects(kernel, plan, plan.format(name), part, rejects)
    for name, part in _by_format(lines, described):
        if name is None:
            left.append(part)
        else:
            fmt = plan.format(name)
            made.append((fmt, _described(kernel, fmt, part)))
    if not left:
        return made, 0
    rest = pl.concat(left).sort("_offset", "_inner", "_piece")
    reader = _read_rest if main.container == "json" else _read_lines
    more, count = reader(kernel, plan, main, rest, rejects)
    return made + more, count


def _of_objects(kernel: Kernel, marks: Marks, rows: pl.DataFrame) -> pl.Series:
    return marks.of_objects(kernel, rows["_text"], rows["_shape"])


def _of_lines(marks: Marks, rows: pl.DataFrame) -> pl.Series:
    return marks.of_lines(rows["_text"])


def _told(
    rows: pl.DataFrame, here: Callable[[pl.DataFrame], pl.Series], anywhere: Callable[[pl.DataFrame], pl.Series]
) -> pl.Series:
    """The format of each record: one that the source is known to hold, else any whose marks some of the rest carry."""
    named = here(rows)
    left = named.is_null().arg_true()
    if not len(left):
        return named
    rest = rows[left]
    strangers = anywhere(rest.gather_every(max(1, len(left) // SAMPLE)))
    if strangers.null_count() == len(strangers):
        return named
    return named.scatter(left, anywhere(rest))


def _by_format(rows: pl.DataFrame, named: pl.Series) -> Iterator[tuple[str | None, pl.DataFrame]]:
    """Rows by the name of their format, in the order in which the formats first occur."""
    if rows.is_empty():
        return
    names = named.unique(maintain_order=True).to_list()
    for name in names:
        yield (
            name,
            rows if len(names) == 1 else rows.filter(named.eq_missing(pl.lit(name)) if name else named.is_null()),
        )


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
    """Hash of each text (UTF-8)."""
    return hashes(text.to_list()).alias("_hash")


def _hash(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _lowest(lines: pl.Series) -> int | None:
    """The first of the lines; null in a table, whose rows have none."""
    known = lines.drop_nulls()
    return int(known.sort().item(0)) if len(known) else None


def _note_events(made: pl.DataFrame, tally: _Tally) -> None:
    made = made.select("line", "time_raw", "event_time", "time_kind", "recovered", *EXTRA)
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
    unread = made.filter(
        pl.col("time_raw").is_not_null() & pl.col("event_time").is_null() & (pl.col("time_kind") != "relative")
    )
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
    looks = elements.select("_record", "_piece", "_line", "_text", "_lenient").filter("_lenient")
    for line, text in looks.unique(["_record", "_piece"], maintain_order=True).select("_line", "_text").iter_rows():
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


def _objects(kernel: Kernel, plan: Plan, fmt: Format, sound: pl.DataFrame, rejects: _Rejects) -> _Made:
    """The elements of JSON objects that `fmt` describes; where it has items, by the formats that describe these."""
    shape = sound["_shape"] if "_shape" in sound.columns else None
    sound = sound.select(*PLACED, "_text", "_lenient")
    if fmt.reshape is None:
        found = kernel.extract(sound["_text"], fmt.fields, fmt.explode, shape)
        return [(fmt, _placed(sound, found)), (fmt, _without_elements(fmt, sound, found["r"]))]
    pairs, failed = _reshaped(fmt.reshape, sound["_text"].to_list())
    for r, problem in failed.items():
        row = sound.row(r, named=True)
        rejects.add(row, row["_text"].encode(), "format_failed", problem)
    parts = pl.DataFrame(pairs, schema={"r": pl.Int64, "text": pl.String}, orient="row")
    parts = parts.with_columns(item=pl.int_range(pl.len()).cast(pl.Int64).over("r"))
    told = pl.concat([parts["r"], pl.Series("r", list(failed), dtype=pl.Int64)])
    made: _Made = [(fmt, _without_elements(fmt, sound, told))]
    names = pl.Series([fmt.name] * parts.height, dtype=pl.String)
    if fmt.items is not None:
        names = plan.marks.of_items(kernel, parts["text"], fmt.items)
    for name, part in _by_format(parts, names):
        if name is None:
            bare = _undescribed(fmt, sound[part["r"]])
            made.append((fmt, bare.with_columns(_item=part["item"])))
            continue
        reader = plan.format(name)
        found = kernel.extract(part["text"], reader.fields, distinct=True)
        found = found.with_columns(part["item"].gather(found["r"]), r=part["r"].gather(found["r"]))
        made.append((reader, _placed(sound, found)))
    return made


def _reshaped(reshape: Callable[[str], list[str]], texts: list[str]) -> tuple[list[tuple[int, str]], dict[int, str]]:
    """The items of each record with its place, and of which records the format's own code made none, and why."""
    pairs: list[tuple[int, str]] = []
    failed: dict[int, str] = {}
    for r, text in enumerate(texts):
        try:
            pairs += [(r, part) for part in reshape(text)]
        # A format is its author's code: whatever it raises costs this record, and no other.
        except Exception as problem:  # noqa: BLE001
            failed[r] = f"{type(problem).__name__}: {problem}"[:200]
    return pairs, failed


def _placed(sound: pl.DataFrame, found: pl.DataFrame) -> pl.DataFrame:
    """Fields beside the places of the records that they are from."""
    elements = pl.concat([sound[found["r"]], found.drop("r")], how="horizontal")
    return elements.rename({"item": "_item", "sound": "_described", "repeated": "_repeated"}, strict=False)


def _without_elements(fmt: Format, sound: pl.DataFrame, r: pl.Series) -> pl.DataFrame:
    """A record without elements is a sound line that the format does not describe, as is a banner."""
    empty = sound if r.is_empty() else sound.filter(~pl.int_range(pl.len()).is_in(r.unique().implode()))
    return _undescribed(fmt, empty)


def _undescribed(fmt: Format, rows: pl.DataFrame) -> pl.DataFrame:
    """Elements of sound records that `fmt` does not describe: no field is known of them."""
    nothing = {name: pl.lit(None, pl.String) for name in fmt.fields}
    return rows.with_columns(_described=pl.lit(value=False), _item=pl.lit(0, pl.Int64), **nothing)


def _read_rest(kernel: Kernel, plan: Plan, fmt: Format, rows: pl.DataFrame, rejects: _Rejects) -> tuple[_Made, int]:
    """What no format describes, in a source of JSON: damaged records, banners, objects without the marks."""
    for row in rows.filter(pl.col("_type").is_not_null() & (pl.col("_type") != OBJECT)).iter_rows(named=True):
        detail = f"JSON {row['_type'].lower()} where an object was expected"
        rejects.add(row, row["text"], "not_an_object", detail)
    keep = [*PLACED, "_text", "_lenient"]
    strange = rows.filter(pl.col("_type") == OBJECT).select(keep)
    saved, plain, more = _second_reading(rows.filter(pl.col("_type").is_null()), rejects, strange.schema)
    made: _Made = []
    if plan.forced is None:
        named = plan.marks.of_objects(kernel, saved["_text"])
        named = plan.stranger(named)
    else:
        named = pl.Series([fmt.name] * saved.height, dtype=pl.String)
    for name, part in _by_format(saved, named):
        if name is None:
            strange = pl.concat([strange, part])
        else:
            made += _objects(kernel, plan, plan.format(name), part, rejects)
    rest = _undescribed(fmt, strange)
    if not (fmt.explode or fmt.reshape):
        # Of a record without the marks the time is still read, where the format would read it.
        fields = kernel.extract(strange["_text"], fmt.fields).select(fmt.fields.keys())
        rest = pl.concat([rest.drop(fmt.fields.keys()), fields], how="horizontal")
    return [*made, (fmt, rest), (fmt, _undescribed(fmt, plain))], more


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
                plain.append({**place, "_hash": _hash(text[piece.start : piece.end]), "_lenient": False})
            elif piece.text is not None and not piece.text.startswith("{"):
                rejects.add(place, raw, "not_an_object", "JSON where an object was expected")
            elif piece.text is None:
                rejects.add(place, raw, piece.why, piece.detail)
            else:
                why = piece.why or "refused_by_kernel"
                told = {"_recovered": why, "_text": piece.text, "_hash": _hash(piece.text), "_lenient": False}
                saved.append({**place, **told})
            at += len(raw)
    return pl.DataFrame(saved, schema=schema), pl.DataFrame(plain, schema=schema), more


def _described(kernel: Kernel, fmt: Format, rows: pl.DataFrame) -> pl.DataFrame:
    """The elements of text records that `fmt` describes."""
    rows = rows.select(*PLACED, "_text")
    found = pl.concat([rows, match(fmt, rows["_text"])], how="horizontal")
    for outer, fields in opened(fmt).items():
        texts = match_field(fmt, outer, rows["_text"])
        found = pl.concat([found, kernel.extract(texts, fields).select(fields.keys())], how="horizontal")
    return found.with_columns(_item=pl.lit(0, pl.Int64))


def _read_lines(kernel: Kernel, plan: Plan, fmt: Format, rows: pl.DataFrame, rejects: _Rejects) -> tuple[_Made, int]:
    """What no format describes, in a source of text: lines that ran together or were cut, banners."""
    del plan, rejects
    rows = rows.select(*PLACED, "_text")
    parts = list(_parts(fmt, rows))
    again = pl.DataFrame([part for part, _ in parts], schema=rows.schema)
    described = pl.Series([flag for _, flag in parts], dtype=pl.Boolean)
    others = again.filter(~described)
    found = pl.concat([others, match_other(fmt, others["_text"])], how="horizontal")
    found = found.with_columns(_item=pl.lit(0, pl.Int64))
    return [(fmt, _described(kernel, fmt, again.filter(described))), (fmt, found)], again.height - rows.height


def _parts(fmt: Format, refused: pl.DataFrame) -> Iterator[tuple[dict[str, Any], bool]]:
    for row in refused.iter_rows(named=True):
        text, at = row["_text"], 0
        for number, part in enumerate(second_reading(fmt, text)):
            piece = text[part.start : part.end]
            length = len(piece.encode())
            told = {"_recovered": part.why, "_text": piece, "_hash": _hash(piece)}
            yield {**_piece(row, number, at, length), **told}, part.described
            at += length
