"""The contract of a log format, and the words it is written in.

A format is a value: one file ``parsers/<name>.py`` that ends in ``FORMAT = Format(...)``. It declares how a
file is recognised, where its fields lie, which of them are ids, and which events a record holds. It has no
class, loop, I/O or registration. ``docs/writing-formats.md`` walks through one.

Fields arrive as text (`pl.String`); null where the record lacks them. Expressions must therefore cast with
``strict=False``; `whole`, `number` and `truth` do.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import polars as pl

from strataline.errors import FormatError
from strataline.event import EVENTS, ID_ROLES, LAYERS, TIME_KINDS

QUOTABLE = re.compile(r'[^"\\*]+')
"""Keys that a JSON path can hold between quotes."""

RESERVED = frozenset(
    {"r", "i", "item", "sound", "repeated"}
    | {f"_{name}" for name in ("record", "line", "offset", "length", "parts", "inner", "piece", "raw", "envelope")}
    | {f"_{name}" for name in ("recovered", "text", "type", "lenient", "item", "described", "repeated", "row", "index")}
    | {f"_{name}" for name in ("taken", "each", "shape")}
)
"""Names that no field may have: the kernel's own columns are called so."""

Segment = str | int
Value = str | pl.Expr
"""The name of a field, or an expression over fields."""


@dataclass(frozen=True)
class Field:
    """Where one field lies in a record. Made by `path`, `inside`, `attribute`, `column`, `group` and `pair`."""

    segments: tuple[Segment, ...] = ()
    inner: tuple[Segment, ...] | None = None
    key: str | None = None
    name: str | None = None
    pair: str | None = None
    level: int | None = None
    verbatim: bool = False
    null: str | None = None


def path(*segments: Segment, verbatim: bool = False, null: str | None = None, level: int | None = None) -> Field:
    """A value in a JSON record: keys, or places in a list (from 0; -1 is the last). No wildcards.

    Args:
        segments: the way from the top of the record (or of the element, where the format explodes).
        verbatim: keep a number as it is written (times, decimal ids); otherwise floats are re-serialised.
        null: the text that a JSON ``null`` becomes; without it null and a missing key are the same.
        level: where the format explodes: 0 is the record, 1 the first list's element, …; default innermost.
    """
    return Field(segments, verbatim=verbatim, null=null, level=level)


def inside(outer: Field, *segments: Segment) -> Field:
    """A value in a JSON text that is itself the string at `outer` (of a text format: a group or pair)."""
    return replace(outer, inner=segments)


def attribute(key: str, *segments: Segment, level: int | None = None) -> Field:
    """The value of `key` in an OTLP KeyValue list (at `segments`, default ``attributes``); the first wins.

    Source: opentelemetry-proto ``common.proto``, JSON mapping (``{"key": …, "value": {"stringValue": …}}``).
    """
    return Field(segments or ("attributes",), key=key, level=level)


def column(name: str) -> Field:
    """A column of a CSV, Parquet, Arrow or SQLite table, whose rows are read as JSON objects.

    Without a header row columns are called ``"1"``, ``"2"``, …
    """
    return path(name)


def group(name: str) -> Field:
    """A named group of the format's `pattern`; an empty match is null."""
    return Field(name=name)


def pair(key: str) -> Field:
    """The value of ``key=value`` in a line of text: a word, or a text in double quotes; the first wins.

    Source: logfmt, https://brandur.org/logfmt, as slog, logrus and their like write it.
    """
    return Field(pair=key)


@dataclass(frozen=True)
class Recognise:
    """How records of a format are told from all others, scored over many records.

    Args:
        keys: JSON keys (each a path) that every record has; of a table, columns.
        any_of: groups of JSON keys, of each of which every record has one.
        where: JSON path and linear-time regex that the value there must match somewhere.
    A text format is recognised by its `pattern`.
    """

    keys: tuple[tuple[Segment, ...], ...] = ()
    any_of: tuple[tuple[tuple[Segment, ...], ...], ...] = ()
    where: tuple[tuple[tuple[Segment, ...], str], ...] = ()

    @property
    def specificity(self) -> int:
        """How many marks must agree; of two formats that fit, the more specific is taken."""
        return len(self.keys) + len(self.any_of) + 2 * len(self.where)


@dataclass(frozen=True)
class Id:
    """An id that an event carries.

    Args:
        kind: what the id names (``request_id``, ``trace_id``, ``call_id``, …); values without enough
            entropy join only within one kind.
        value: field name, or expression over the fields, that gives the text.
        role: alias (names this request, call or record), span, or group (shared by many requests).
        derive: a declared derivation: ``hex_of_decimal``, or ``sha256:N`` (first N hex digits).
    """

    kind: str
    value: Value
    role: str = "alias"
    derive: str | None = None


@dataclass(frozen=True)
class Ref:
    """An id of *another* record that an event names (``regenerate_of``, ``retry_of``, ``cache_origin``).

    ``repeats`` says more: the other record reports the very same operation (a wrapper around this span, the first
    post of this run), and the two count once.
    """

    kind: str
    value: Value
    relation: str


@dataclass(frozen=True)
class Time:
    """A time: the field (or expression) that holds it, and its unit where the digits alone do not tell.

    `unit` is ``auto`` (ISO text, or an epoch whose unit follows from its size), ``iso``, ``s``, ``ms``, ``us``,
    ``ns``, or ``ticks`` (of .NET: 100 ns since the year 1).
    """

    value: Value
    unit: str = "auto"


@dataclass(frozen=True)
class Duration:
    """How long something took: the field (or expression) that holds the number, and its unit: s, ms, us or ns.

    Texts that carry their unit (``2m58s``, ``25.4µs``, ``986.5ms``, ``0.847 s``) are of unit ``text``.
    """

    value: Value
    unit: str


@dataclass(frozen=True)
class Documents:
    """A JSON list of documents: the field that holds it, and paths within one element.

    With no `id` path the elements are the ids themselves. The rank is the place in the list, from 1.
    """

    value: Value
    id: tuple[Segment, ...] = ()
    score: tuple[Segment, ...] | None = None
    version: tuple[Segment, ...] | None = None
    tenant: tuple[Segment, ...] | None = None
    text: tuple[Segment, ...] | None = None
    """Where the document's text lies; its hash goes into the table."""


@dataclass(frozen=True)
class Event:
    """One event that a record holds.

    Args:
        kind: dotted kind, or an expression that gives it.
        columns: event column → field name or expression. ``input`` and ``output`` stand for the full texts:
            excerpt, hash and length follow from them.
        when: records that hold this event; default all.
        layer: if it is not the format's.
        time: when; with `end`, `duration`, `observed` and `time_kind` it overrides the format's.
        ids: further ids, beside the format's.
        refs: further refs.
        attributes: attribute name → field name or expression.
        parameters: parameter name → field name or expression.
        documents: documents returned or used.
        each: a field that holds a JSON list: one event for each element, with `fields` read from the element.
            Names in `fields` hide those of the format.
        fields: see `each`.
    """

    kind: Value
    columns: Mapping[str, Value] = field(default_factory=dict)
    when: pl.Expr | None = None
    layer: str | None = None
    time: Time | str | None = None
    end: Time | str | None = None
    duration: Duration | None = None
    observed: Time | str | None = None
    time_kind: str | None = None
    ids: tuple[Id, ...] = ()
    refs: tuple[Ref, ...] = ()
    attributes: Mapping[str, Value] = field(default_factory=dict)
    parameters: Mapping[str, Value] = field(default_factory=dict)
    documents: Documents | None = None
    each: str | None = None
    fields: Mapping[str, Field] = field(default_factory=dict)


@dataclass(frozen=True)
class Format:
    """A log format. See the module's docstring, and ``docs/writing-formats.md`` for a walk through one.

    Args:
        name: the file's name without ``.py``.
        title: what a person calls it.
        layer: the layer of its events, unless the event says another.
        reference: the page or schema it follows.
        events: the events that a record may hold, in order (their place is the event's `index`).
        fields: name → where it lies.
        recognise: marks of a JSON format.
        container: ``json`` (an object per record, as the rows of tables are) or ``text`` (a line per record).
        pattern: for text: one linear-time regex with named groups that describes a whole line.
        begins: for text: what every record begins with; two records on one line are parted by it.
        other: for text: a regex (groups of `pattern`'s names) for sound lines that `pattern` does not describe.
        versions: versions of the emitter that were seen.
        verified: whether a real record stands behind it.
        columns: columns that all events share.
        ids: ids that all events carry.
        refs: ids of other records that all events name.
        attributes: attributes that all events carry.
        time: when the record happened.
        end: when it ended.
        duration: how long it took.
        observed: when something else received it.
        time_kind: start, end or write; ``relative`` where the clock starts anew with each record, which tells no time.
        zone: IANA zone of naive times, where the emitter always writes one zone; else null.
        clock: field name or expression that names the clock domain; default: service within its folder.
        explode: paths to nested lists whose innermost elements are the items; each from the level above.
        reshape: text of a record → JSON texts of its items, where a container really needs code.
        items: what the items of `reshape` are (``span``), where formats `of` that kind describe them,
            each item by its own.
        of: the kind of items that the format describes; such a format reads no source of its own.
        guessed: whether the marks are all that is known: what the records mean is guessed from their own words, as of
            a log that no format describes.
        export: where a user gets the log: the setting, command or page.
        limits: what the log cannot tell, whatever is read from it.
    """

    name: str
    title: str
    layer: str
    reference: str
    events: tuple[Event, ...]
    fields: Mapping[str, Field]
    recognise: Recognise = Recognise()
    container: str = "json"
    pattern: str | None = None
    begins: str | None = None
    other: str | None = None
    versions: tuple[str, ...] = ()
    verified: bool = False
    columns: Mapping[str, Value] = field(default_factory=dict)
    ids: tuple[Id, ...] = ()
    refs: tuple[Ref, ...] = ()
    attributes: Mapping[str, Value] = field(default_factory=dict)
    time: Time | str | None = None
    end: Time | str | None = None
    duration: Duration | None = None
    observed: Time | str | None = None
    time_kind: str = "write"
    zone: str | None = None
    clock: Value | None = None
    explode: tuple[tuple[Segment, ...], ...] = ()
    reshape: Callable[[str], list[str]] | None = None
    items: str | None = None
    of: str | None = None
    guessed: bool = False
    export: str = ""
    limits: str = ""

    def __post_init__(self) -> None:
        """Refuse a declaration that cannot hold, naming what is wrong."""
        for problem in _problems(self):
            raise FormatError(f"format {self.name}: {problem}", hint="docs/writing-formats.md describes a format file")


def _problems(fmt: Format) -> list[str]:
    found = []
    if fmt.layer not in LAYERS:
        found.append(f"layer is {fmt.layer!r}; expected one of {', '.join(LAYERS)}")
    if fmt.container not in ("json", "text"):
        found.append(f"container is {fmt.container!r}; expected json or text")
    if fmt.container == "text" and fmt.pattern is None:
        found.append("a text format needs a pattern")
    for pattern in (fmt.pattern, fmt.other):
        try:
            pl.select(pl.lit("").str.contains(pattern or ""))
        except pl.exceptions.ComputeError as problem:
            found.append(f"not a linear-time regex: {problem}")
    if fmt.container == "json" and not fmt.recognise.specificity:
        found.append("a JSON format needs marks to be recognised by")
    lists = [*fmt.explode, *(one.segments for one in fmt.fields.values() if one.key is not None)]
    segments = sorted({str(segment) for one in lists for segment in one})
    taken = sorted(name for name in fmt.fields if name in RESERVED)
    found += [f"a field cannot be called {name!r}: the kernel's columns are" for name in taken]
    if fmt.items and not fmt.reshape:
        found.append("it names items, and has no reshape to give them")
    if fmt.items and fmt.events:
        found.append("formats of its items give the events; it has none of its own")
    if fmt.of and fmt.container != "json":
        found.append("items are JSON: the format of an item cannot be text")
    found += [
        f"the path of a list has a key that cannot be quoted: {s!r}" for s in segments if not QUOTABLE.fullmatch(s)
    ]
    if fmt.explode and fmt.reshape:
        found.append("explode and reshape exclude each other")
    allowed = {*EVENTS.names, "input", "output"}
    for columns in (fmt.columns, *(event.columns for event in fmt.events)):
        found += [f"events have no column {name}" for name in columns if name not in allowed]
    for event in fmt.events:
        if event.layer is not None and event.layer not in LAYERS:
            found.append(f"layer is {event.layer!r}; expected one of {', '.join(LAYERS)}")
        if event.time_kind is not None and event.time_kind not in TIME_KINDS:
            found.append(f"time_kind is {event.time_kind!r}; expected one of {', '.join(TIME_KINDS)}")
        unknown = fields_read(fmt, event) - set(fmt.fields) - set(event.fields)
        found += [f"it reads a field that it does not declare: {name}" for name in sorted(unknown)]
    for one in (*fmt.ids, *(i for event in fmt.events for i in event.ids)):
        if one.role not in ID_ROLES[:3]:
            found.append(f"role of id {one.kind} is {one.role!r}; expected one of {', '.join(ID_ROLES[:3])}")
        if one.derive not in (None, "hex_of_decimal") and not (one.derive or "").startswith("sha256:"):
            found.append(f"derivation {one.derive!r} is not known; expected hex_of_decimal or sha256:N")
    return found


def fields_read(fmt: Format, event: Event) -> set[str]:
    """The fields that the mappings of `event`, with what it shares with all events, read."""
    values: list[Value | None] = [event.kind if isinstance(event.kind, pl.Expr) else None, event.when, event.each]
    values += [*fmt.columns.values(), *event.columns.values(), *fmt.attributes.values(), *event.attributes.values()]
    values += [*event.parameters.values(), fmt.clock, event.documents.value if event.documents else None]
    values += [one.value for one in (*fmt.ids, *event.ids)] + [one.value for one in (*fmt.refs, *event.refs)]
    values += [one.value for one in (fmt.duration, event.duration) if one is not None]
    times = (fmt.time, fmt.end, fmt.observed, event.time, event.end, event.observed)
    values += [time.value if isinstance(time, Time) else time for time in times]
    names: set[str] = set()
    for value in values:
        names |= {value} if isinstance(value, str) else set() if value is None else set(value.meta.root_names())
    return names


def decode(text: str) -> Any:
    """The JSON value of a record, for a `reshape`: of a repeated key the first wins; NaN and its like become null.

    Integers keep all of their digits; a float may lose what a double does not hold.

    >>> decode('{"a": 1, "a": 2}')
    {'a': 1}
    """
    try:
        value = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return json.loads(text, object_pairs_hook=_first_wins, parse_constant=lambda _: None)
    # A repeated key is one fewer when written again. Texts that hold what looks like a key are written alike.
    if msgspec.json.encode(value).count(b'":') == text.count('":'):
        return value
    return json.loads(text, object_pairs_hook=_first_wins)


def encode(value: Any) -> str:
    """The JSON text of an item that a `reshape` gives."""
    return msgspec.json.encode(value).decode()


def _first_wins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return dict(reversed(pairs)) if len(pairs) != len({key for key, _ in pairs}) else dict(pairs)


def whole(name: str) -> pl.Expr:
    """The field as a whole number; null where it is none.

    >>> pl.DataFrame({"n": ["3", "x", "2.0"]}).select(whole("n"))["n"].to_list()
    [3, None, 2]
    """
    exact = pl.col(name).cast(pl.Int64, strict=False)
    return exact.fill_null(pl.col(name).cast(pl.Float64, strict=False).cast(pl.Int64, strict=False))


def number(name: str) -> pl.Expr:
    """The field as a number; null where it is none.

    >>> pl.DataFrame({"n": ["3", "x", "2.5"]}).select(number("n"))["n"].to_list()
    [3.0, None, 2.5]
    """
    return pl.col(name).cast(pl.Float64, strict=False)


def truth(name: str) -> pl.Expr:
    """The field as true or false; null where it is neither.

    >>> pl.DataFrame({"b": ["true", "False", "1", "no?"]}).select(truth("b"))["b"].to_list()
    [True, False, True, None]
    """
    return words(name, {"true": "1", "1": "1", "yes": "1", "false": "0", "0": "0", "no": "0"}).eq("1")


def words(name: str, meaning: Mapping[str, str], default: str | None = None) -> pl.Expr:
    """The field (lower case) in this project's words; `default` for any other text; null stays null.

    >>> pl.DataFrame({"d": ["Allow", "DENY", "?"]}).select(words("d", {"allow": "allow", "deny": "block"}))[
    ...     "d"
    ... ].to_list()
    ['allow', 'block', None]
    """
    lower = pl.col(name).str.to_lowercase()
    known = lower.replace_strict(dict(meaning), default=default, return_dtype=pl.String)
    return pl.when(lower.is_null()).then(None).otherwise(known).alias(name)


def filled(*names: str) -> pl.Expr:
    """The first of the fields that is there and not empty.

    >>> pl.DataFrame({"a": ["", "x"], "b": ["y", "z"]}).select(filled("a", "b"))["a"].to_list()
    ['y', 'x']
    """
    return pl.coalesce(pl.when(present(name)).then(pl.col(name)) for name in names).alias(names[0])


def present(name: str) -> pl.Expr:
    """Whether the record has the field, and it is not empty.

    >>> pl.DataFrame({"a": ["x", "", None]}).select(present("a"))["a"].to_list()
    [True, False, False]
    """
    return pl.col(name).is_not_null() & (pl.col(name).fill_null("") != "")
