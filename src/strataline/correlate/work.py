"""What passes from step to step of the correlation: narrow frames, and the notes and links made so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import polars as pl

from strataline.correlate.graph import sorting
from strataline.event import NOTES

OPENING = "prompt.received"
OPERATIONS = ("model.call", "retrieval.query", "retrieval.request", "retrieval.rerank", "retrieval.embed")
"""Kinds that are an operation of their own: `call` points to one, and the earliest opens a job."""

NARROW = (
    "layer",
    "kind",
    "outcome",
    "source",
    "index",
    "format",
    "clock",
    "event_time",
    "end_time",
    "duration_ns",
    "time_precision",
    "name",
    "output_hash",
    "span_id",
    "parent_id",
    "session",
    "user",
    "input_hash",
    "attempt",
    "step",
    "time_kind",
)
"""Columns of ``events`` that the steps look at; wide text never enters them."""

WORDS = (
    "layer",
    "kind",
    "outcome",
    "source",
    "format",
    "clock",
    "name",
    "session",
    "user",
    "step",
    "time_kind",
)
"""Those of them that are numbers in the steps: an Enum, whose numbers are in the order of the words."""

HASHES = ("input_hash", "output_hash")
"""Those that are compared for equality alone, with each other as well: numbers, in the order in which they are met."""

UNITS_NS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}

MOST_COMPARED = 32
"""Ids of one event up to which each is compared with each."""

ROLES = ("alias", "span", "group")

LINKED = pl.Schema(
    {
        "from": pl.Int64,
        "to": pl.Int64,
        "relation": pl.String,
        "to_request": pl.Int64,
        "method": pl.String,
        "id": pl.Int64,
        "text": pl.Int64,
        "delta_ns": pl.Int64,
        "scope": pl.String,
        "confidence": pl.Float64,
        "runner_up": pl.Int64,
        "runner_up_confidence": pl.Float64,
        "taken": pl.Boolean,
    }
)
"""Links on the way: events by n, the request, the id and the text by their numbers."""

SAMPLE = 4000
"""Requests that what is usual in these logs is learned from; more would not change it."""

FILLED = (
    "request",
    "call",
    "seq",
    "link_method",
    "link_confidence",
    "order_basis",
    "corrected_time",
    "clock_offset",
)
"""Columns of ``events`` that correlation fills."""

OWN_IDS = ("event_uuid", "decision_id")
"""Kinds of id that name one event."""


@dataclass(frozen=True)
class Options:
    """What a caller may choose.

    Args:
        reuse_gap_ns: two uses of one id value further apart than this, by one clock, are two values.
        window_ns: events further apart than this, on aligned time, are not linked by content or by window.
        min_confidence: links by content and by window that are less sure are listed and not taken.
        reference_clock: the clock domain that all others are relative to; None for the one with most linked events.
        clock_offsets: clock domain → how far it is ahead of the reference (ns), as the caller asserts.
    """

    reuse_gap_ns: int = 6 * 3600 * 10**9
    window_ns: int = 15 * 60 * 10**9
    min_confidence: float = 0.9
    reference_clock: str | None = None
    clock_offsets: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Work:
    """State of the correlation.

    Args:
        events: `NARROW`, in order of (source, offset, item, index), with ``n`` (row), ``logged`` and ``logged_end``
            (times as logged, ns; null where the record states none), ``t`` and ``end`` (the same, less the clock's
            offset), ``unit`` (finest unit of the time, ns), ``first`` (``n`` of the event that this one delivers
            again, else its own) and ``place`` (of the event's id in the order of event ids). `WORDS` are Enums,
            `HASHES` numbers.
        ids: n, id (number of what is written, in `values`), kind, role, key (normalised; equal keys join); in order
            of n. Roles alias, span and group. Before ids have numbers: n, kind, role, value (place in `values`).
        refs: n, id, kind, role (the relation), key; in order of n.
        values: id, kind and value (as written), in order of id; before ids have numbers, value alone.
        texts: the hashes of texts, in the order of their numbers.
        groups: openings: n, ``turn`` (smallest n of the openings that are attempts of one turn).
        members: n, component, request (``place`` of the event that names it), request_kind, opener, link_method,
            confidence; events tied to something.
        clocks: as `bounds.CLOCK_ROWS` says; empty before the clocks are estimated.
        ordered: n, seq, order_basis.
        rests: of a step that runs twice, the members and clocks that it left behind.
    """

    events: pl.DataFrame
    ids: pl.DataFrame
    refs: pl.DataFrame
    options: Options
    values: pl.DataFrame = field(default_factory=pl.DataFrame)
    texts: pl.Series = field(default_factory=lambda: pl.Series([], dtype=pl.String))
    groups: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema={"n": pl.Int64, "turn": pl.Int64}))
    members: pl.DataFrame = field(default_factory=pl.DataFrame)
    clocks: pl.DataFrame = field(default_factory=pl.DataFrame)
    ordered: pl.DataFrame = field(default_factory=pl.DataFrame)
    rests: Mapping[str, tuple[pl.DataFrame, pl.DataFrame]] = field(default_factory=dict)
    links: tuple[pl.DataFrame, ...] = ()
    notes: tuple[pl.DataFrame, ...] = ()

    def note(self, topic: str, detail: str, *, subject: str | None = None, count: int | None = None) -> Work:
        """This, with one more note."""
        row = {"room": "correlate", "topic": topic, "subject": subject, "count": count, "detail": detail}
        return replace(self, notes=(*self.notes, NOTES.conform(pl.DataFrame([row]))))

    def resting(self, step: str) -> Work:
        """This, knowing that `step` has come to this."""
        return replace(self, rests={**self.rests, step: (self.members, self.clocks)})

    def rests_on(self, step: str) -> bool:
        """Whether `step` would find nothing that it did not find before."""
        members, clocks = self.rests.get(step, (None, None))
        return members is self.members and clocks is self.clocks

    def without(self, topic: str) -> Work:
        """This, without the notes that an earlier round made on a topic."""
        return replace(self, notes=tuple(one.filter(pl.col("topic") != topic) for one in self.notes))

    def unlisted(self, method: str) -> Work:
        """This, without the candidates that an earlier round listed by `method`."""
        listed = ~pl.col("taken") & (pl.col("method") == method)
        return replace(self, links=tuple(one.filter(~listed) for one in self.links))

    def note_rows(self, topic: str, rows: pl.DataFrame) -> Work:
        """This, with a note for each of `rows` (subject or source, count, detail)."""
        frame = rows.with_columns(room=pl.lit("correlate"), topic=pl.lit(topic))
        return replace(self, notes=(*self.notes, NOTES.conform(frame)))

    def link(self, rows: pl.DataFrame) -> Work:
        """This, with the links `rows` (columns of `LINKED`; those that are missing are null, ``taken`` true)."""
        if "taken" not in rows.columns:
            rows = rows.with_columns(taken=pl.lit(value=True))
        have = rows.schema
        wanted = [
            (pl.col(name) if name in have else pl.lit(None)).cast(dtype).alias(name) for name, dtype in LINKED.items()
        ]
        return replace(self, links=(*self.links, rows.select(wanted)))


@dataclass(frozen=True)
class Seen:
    """What correlation looks at, of all events.

    Args:
        events: in order of (source, offset, item, index): words (as Categorical), `HASHES` (places in `texts`),
            ``span_id`` and ``parent_id`` (places in `values`), numbers and times as in ``events``; ``step`` (the kind,
            a decision's stage behind it), ``signature`` (equal for deliveries of one event; null where none is told),
            and what requests list of it.
        ids: n (row), kind, role, value (place in `values`); in order of n.
        refs: likewise.
        values: distinct ids, as written.
        texts: distinct hashes of texts.
        row: of each event the row that it was before they were put in order; null where they were.
    """

    events: pl.DataFrame
    ids: pl.DataFrame
    refs: pl.DataFrame
    values: pl.Series
    texts: pl.Series
    row: np.ndarray | None = None


def start(seen: Seen, options: Options) -> Work:
    """Begin with what is seen of the events, and what the caller chose."""
    # One chunk: NumPy looks at most columns.
    narrow = (
        seen.events.select(*NARROW, "signature")
        .rechunk()
        .with_columns(
            n=pl.int_range(pl.len()),
            place=in_order(seen.events["event_id"]),
            logged=pl.col("event_time").dt.epoch("ns"),
            logged_end=pl.col("end_time").dt.epoch("ns"),
            unit=pl.col("time_precision").replace_strict(UNITS_NS, default=1, return_dtype=pl.Int64),
        )
    )
    places = pl.concat([narrow[name] for name in HASHES])
    texts = met(places)
    hashes = [texts.slice(place * narrow.height, narrow.height).alias(name) for place, name in enumerate(HASHES)]
    narrow = narrow.with_columns(*(as_words(narrow[name]) for name in WORDS), *hashes)
    narrow = narrow.with_columns(first="n", t="logged", end="logged_end")
    ids, refs = (table.rechunk().with_columns(as_words(table["role"], *ROLES)) for table in (seen.ids, seen.refs))
    known = texts.is_not_null()
    order = np.empty(len(seen.texts), np.int64)
    order[texts.filter(known).to_numpy()] = places.filter(known).to_numpy()
    return Work(
        texts=seen.texts.gather(order),
        events=narrow.drop("event_time", "end_time", "time_precision"),
        ids=ids,
        refs=refs,
        values=seen.values.alias("value").to_frame(),
        options=options,
    )


def in_order(names: pl.Series) -> pl.Series:
    """The place of each of the distinct `names` in their order, from 0."""
    # Numbers are quicker to sort than text; event ids are hashes in hex.
    lead = names.str.slice(0, 15)
    if not lead.str.contains("[^0-9a-f]").any() and lead.str.len_bytes().min() == 15:
        number = lead.str.to_integer(base=16).to_numpy()
        order = np.argsort(number)
        if (np.diff(number[order]) > 0).all():
            place = np.empty(len(order), np.int64)
            place[order] = np.arange(len(order))
            return pl.Series("place", place)
    return names.rank("ordinal").cast(pl.Int64).alias("place") - 1


def as_words(column: pl.Series, *more: str) -> pl.Series:
    """Text as an Enum of its words and `more`, whose numbers are in the order of the words."""
    words = column.unique().drop_nulls().cast(pl.String)
    words = words.append(pl.Series(more, dtype=pl.String)).unique() if more else words
    return column.cast(pl.Enum(words.sort()))


def numbers(column: pl.Series, of: Mapping[str, int], other: int | None) -> pl.Series:
    """The number that `of` gives for each word of an Enum column, `other` where it gives none."""
    table = pl.Series([of.get(word, other) for word in column.dtype.categories], dtype=pl.Int64)  # type: ignore[attr-defined]
    return table.gather(column.to_physical())


def met(column: pl.Series) -> pl.Series:
    """Numbers (from 0, null for null) for the values of a column, in the order in which they are met.

    Args:
        column: text, words, or numbers from 0 that are about as many.
    """
    codes = told_apart([column])[1][0] if column.dtype == pl.String else column.to_physical()
    known = codes.is_not_null()
    at = np.flatnonzero(known.to_numpy())[::-1]
    number = codes.fill_null(0).to_numpy()
    size = int(number.max()) + 1 if len(number) else 0
    first = np.full(size, len(number), np.int64)
    first[number[at]] = at
    place = np.empty(size, np.int64)
    place[np.argsort(first, kind="stable")] = np.arange(size)
    return pl.Series(column.name, place[number]).set(~known, None)


def told_apart(columns: Sequence[pl.Series]) -> tuple[pl.Series, list[pl.Series]]:
    """The distinct texts of `columns`, in no order that means anything, and each column as places in them."""
    parts = [column.alias("") for column in columns]
    every = pl.concat(parts).rechunk()
    there = every.is_not_null()
    some = every.drop_nulls()
    # A hash is found fifty times as quickly as a text.
    _, first, number = np.unique(some.hash().to_numpy(), return_index=True, return_inverse=True)
    texts = some.gather(first)
    if not (texts.gather(number) == some).all():
        number = some.cast(pl.Categorical(pl.Categories.random())).to_physical().to_numpy()
        _, first = np.unique(number, return_index=True)
        texts = some.gather(first)
    place = np.zeros(len(every), np.uint32)
    place[there.to_numpy()] = number
    places = pl.Series(place).set(~there, None)
    ends = np.cumsum([len(part) for part in parts]).tolist()
    named = zip(columns, [0, *ends], ends, strict=False)
    # What is picked from text holds on to all of it, unless it is copied.
    texts = pl.Series(texts.name, texts.to_arrow(compat_level=pl.CompatLevel.oldest()))
    return texts, [places.slice(begin, end - begin).alias(column.name) for column, begin, end in named]


def inverse(place: pl.Series) -> pl.Series:
    """Of each place, from 0, the row that has it."""
    row = np.empty(len(place), np.int64)
    row[place.to_numpy()] = np.arange(len(place))
    return pl.Series(row)


def beside(rows: pl.DataFrame, size: int) -> pl.DataFrame:
    """What `rows` say of each of `size` events, in their order; null where they say nothing.

    Args:
        rows: n, each once, and further columns.
        size: how many events there are.
    """
    n = rows["n"].to_numpy()
    if len(n) == size and (n == np.arange(size)).all():
        return rows.drop("n")
    at = np.full(size, -1)
    at[n] = np.arange(len(n))
    return rows.select(pl.exclude("n").gather(pl.Series(at).set(pl.Series(at < 0), None)))


def in_order_of_n(parts: list[pl.DataFrame]) -> pl.DataFrame:
    """The rows of `parts`, each in order of n, all in order of n; of one n in the order of the parts."""
    if not any(part.height for part in parts[1:]):
        return pl.concat(parts[:1] + [part.clear() for part in parts[1:]], how="diagonal")
    every = pl.concat(parts, how="diagonal").rechunk()
    return every[sorting(every["n"].to_numpy())]


def once(rows: pl.DataFrame, *columns: str) -> pl.DataFrame:
    """`rows` (in order of n) without those that say the same of the same event as one before.

    Args:
        rows: n and `columns`.
        columns: numbers or Enums.
    """
    n = rows["n"].to_numpy()
    # Few rows are of one event: each is compared with those before it.
    longest = int(np.bincount(n).max()) if len(n) else 0
    if longest > MOST_COMPARED:
        return rows.unique(["n", *columns], keep="first", maintain_order=True)
    values = [rows[name].to_physical().to_numpy() for name in columns]
    again = np.zeros(len(n), bool)
    for back in range(1, longest):
        same = n[back:] == n[:-back]
        for value in values:
            same &= value[back:] == value[:-back]
        again[back:] |= same
    return rows.filter(pl.Series(~again)) if again.any() else rows


def carried(rows: pl.DataFrame) -> pl.DataFrame:
    """N and key of rows of ids (in order of n), each pair once."""
    return once(rows.select("n", "key"), "key")


def sample(requests: pl.DataFrame) -> pl.DataFrame:
    """At most `SAMPLE` of the values of a column, spread evenly over them."""
    names = requests.unique().sort(requests.columns)
    if names.height <= SAMPLE:
        return names
    return names.gather(pl.Series(range(SAMPLE)) * names.height // SAMPLE)
