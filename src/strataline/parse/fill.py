"""Fields to events: the mappings of a format applied to whole columns.

In: one row per element, its bookkeeping in columns that begin with ``_`` and its fields as text. Out: one row per
event with the columns of ``events``, less what only the end of the source or the correlation can tell.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from strataline.errors import FormatError
from strataline.event import DOCUMENT, EVENTS, ID, MAP
from strataline.format import Documents, Event, Format, Id, Time, Value, fields_read, path
from strataline.parse.hashes import hashes
from strataline.parse.kernel import Kernel
from strataline.parse.times import read_durations, read_times, to_time

EXCERPT = 240
REPEATS = 500
"""Texts by which it is judged whether they repeat."""

_UNFOLDED = r"\s\s|[^\S ]|^\s|\s$"
"""White space that folding changes."""

MOST_PIECES = 1 << 20
"""Pieces of one record, at most, that are told apart."""

PLACE = ("line", "offset", "length", "parts", "item", "recovered", "index")
"""Bookkeeping that an event takes over from its element (there with ``_`` before the name)."""

EXTRA = ("unsure_times", "record", "envelope_id", "observed_assumed")
"""What `fill` says beside the columns of ``events``: whether a local time of the event occurs twice or never, the
record (number and piece) that it is from, whether it has an id from the wrapper around it, and whether a zone was
assumed for the wrapper's time that is when something else saw it."""

PASSAGES = pl.List(pl.Struct({"document": pl.String, "text": pl.String}))
TEXTS = pl.Schema({"input": pl.String(), "output": pl.String(), "passages": PASSAGES})
"""What `fill` gives beside `EXTRA` where whole texts are asked for: the event's, and those of its documents."""


@dataclass(frozen=True)
class Zone:
    """The zone of naive times in one source, and where it is from (format, option or assumed)."""

    name: str
    basis: str


def fill(
    kernel: Kernel,
    fmt: Format,
    elements: pl.DataFrame,
    zone: Zone,
    folder: str,
    *,
    excerpts: bool,
    texts: bool = False,
) -> pl.DataFrame:
    """Make the events of `elements`.

    Args:
        kernel: reads what lies in lists.
        fmt: the format.
        elements: `PLACE`, record, piece and envelope (each with ``_`` before), ``_described`` (the fields are the
            format's), ``_text`` (the record, for the excerpt of a line that the format does not describe), and the
            fields.
        zone: of times that state none.
        folder: folder of the source; names the clock where nothing else does.
        excerpts: whether excerpts are kept.
        texts: whether whole texts are kept: `TEXTS`.

    Returns:
        Events in no particular order, with `EXTRA` beside the columns of ``events``.
    """
    shared = _shared_times(fmt, elements, zone)
    taken = np.zeros(elements.height, dtype=np.bool_)
    made = []
    for index, (event, holds) in enumerate(zip(fmt.events, _holding(fmt, elements), strict=True)):
        if not holds.any():
            continue
        with _blamed(fmt, event):
            every = bool(holds.all())
            read = fields_read(fmt, event)
            names = [name for name in elements.columns if name.startswith("_") or name in read]
            rows = elements.select(names) if every else elements.select(names).filter(pl.Series(holds))
            of_rows = None if every else pl.Series(np.flatnonzero(holds))
            if event.each is not None:
                rows, parents = _each(kernel, rows, event)
                of_rows = parents if of_rows is None else of_rows.gather(parents)
                if rows.is_empty():
                    continue
            number = pl.lit(index, pl.Int64) if event.each is None else index + pl.col("_each") * len(fmt.events)
            rows = rows.with_columns(_index=number)
            taken[slice(None) if of_rows is None else of_rows.to_numpy()] = True
            own = {
                name: one if of_rows is None else one[of_rows]
                for name, one in shared.items()
                if _declared(event)[name] is None
            }
            event = _inherit(fmt, event)
            made.append(_events(kernel, fmt, event, rows, own, zone, folder, excerpts=excerpts, texts=texts))
    if not taken.all():
        left = pl.Series(np.flatnonzero(~taken))
        times = {name: one[left] for name, one in shared.items() if name == "event_time"}
        made.append(_other(kernel, fmt, elements[left], times, zone, folder, excerpts=excerpts, texts=texts))
    return pl.concat(made, how="diagonal") if made else EVENTS.empty()


def _holding(fmt: Format, rows: pl.DataFrame) -> Iterator[NDArray[np.bool_]]:
    """Per event of the format, which rows hold it."""
    described = rows["_described"].to_numpy()
    said = {n: event.when for n, event in enumerate(fmt.events) if event.when is not None}
    whens = {n: when.fill_null(value=False).alias(str(n)) for n, when in said.items()}
    try:
        # All in one query, which sees what its expressions share.
        told = rows.lazy().select(whens.values()).collect()
    except pl.exceptions.PolarsError:
        for n, when in whens.items():
            with _blamed(fmt, fmt.events[n]):
                rows.select(when)
        raise
    for n in range(len(fmt.events)):
        if n in whens:
            holds = told[str(n)]
            # What reads no field is one value for all.
            yield described & (holds if len(holds) == rows.height else holds.new_from_index(0, rows.height)).to_numpy()
        else:
            yield described


@contextmanager
def _blamed(fmt: Format, event: Event) -> Iterator[None]:
    """A mapping that cannot be computed is its author's mistake, and named as such."""
    try:
        yield
    except pl.exceptions.PolarsError as problem:
        kind = event.kind if isinstance(event.kind, str) else "its event"
        reason = str(problem).strip().splitlines()[0][:200]
        hint = "strataline check-format shows it on the format's sample; casts need strict=False"
        raise FormatError(f"format {fmt.name}: {kind} cannot be computed: {reason}", hint=hint) from problem


def _each(kernel: Kernel, rows: pl.DataFrame, event: Event) -> tuple[pl.DataFrame, pl.Series]:
    """One row per element of the list field, the element's fields hiding those of the record; and whose row it is."""
    assert event.each is not None  # noqa: S101 - asked by the caller
    found = kernel.elements(rows[event.each], event.fields)
    parents = rows[found["r"]].drop([name for name in event.fields if name in rows.columns])
    own = found.select(pl.col("item").alias("_each"), *event.fields)
    return pl.concat([parents, own], how="horizontal"), found["r"]


def _inherit(fmt: Format, event: Event) -> Event:
    """The event with what it shares with all events of the format; its own entries win."""
    return replace(
        event,
        layer=event.layer or fmt.layer,
        columns={**fmt.columns, **event.columns},
        attributes={**fmt.attributes, **event.attributes},
        ids=(*fmt.ids, *event.ids),
        refs=(*fmt.refs, *event.refs),
        time=event.time or fmt.time,
        end=event.end or fmt.end,
        duration=event.duration or fmt.duration,
        observed=event.observed or fmt.observed,
        time_kind=event.time_kind or fmt.time_kind,
    )


def _other(
    kernel: Kernel,
    fmt: Format,
    rows: pl.DataFrame,
    times: Mapping[str, pl.DataFrame],
    zone: Zone,
    folder: str,
    *,
    excerpts: bool,
    texts: bool,
) -> pl.DataFrame:
    """Events of sound records that the format does not describe: an excerpt, the time if stated, no layer facts."""
    columns = {name: value for name, value in fmt.columns.items() if name == "service"}
    event = Event(
        kind=pl.lit("log.other"),
        layer=fmt.layer,
        columns={**columns, "input": pl.col("_text")},
        time=fmt.time,
        time_kind=fmt.time_kind,
    )
    rows = rows.with_columns(_index=pl.lit(len(fmt.events), pl.Int64))
    return _events(kernel, fmt, event, rows, times, zone, folder, excerpts=excerpts, texts=texts)


def _events(
    kernel: Kernel,
    fmt: Format,
    event: Event,
    rows: pl.DataFrame,
    times: Mapping[str, pl.DataFrame],
    zone: Zone,
    folder: str,
    *,
    excerpts: bool,
    texts: bool,
) -> pl.DataFrame:
    """The events that one mapping makes of `rows`; `times` are those that were read already, row by row."""
    columns: dict[str, pl.Expr] = {name: _value(value) for name, value in event.columns.items()}
    kind = pl.lit(event.kind) if isinstance(event.kind, str) else event.kind
    rows = _derived(kernel, rows, event.ids)
    groups = {name: columns[name] for name in ("session", "user", "tenant") if name in columns}
    ids = [_id(one, number) for number, one in enumerate(event.ids)]
    ids += [(name, value, "group") for name, value in groups.items()]
    ids += [("span_id", columns["span_id"], "span")] if "span_id" in columns else []
    refs = [(one.kind, _value(one.value), one.relation) for one in event.refs]
    written = {name: value for name, value in _time_values(event).items() if name not in times}
    # All in one query, which sees what its expressions share.
    wanted = (
        *(pl.col(f"_{name}").alias(name) for name in PLACE),
        (pl.col("_record") * MOST_PIECES + pl.col("_piece")).alias("record"),
        pl.col("_hash").alias("record_hash"),
        kind.cast(pl.String).alias("kind"),
        _clock(fmt, columns, folder).alias("clock"),
        *(
            value.cast(EVENTS.schema[name], strict=False).alias(name)
            for name, value in columns.items()
            if name in EVENTS.schema
        ),
        *(columns[name].cast(pl.String).alias(f"_{name}") for name in ("input", "output") if name in columns),
        *(value.cast(pl.String).alias(f"_time {name}") for name, value in written.items()),
        *_several("id", [value for _, value, _ in ids]),
        *_several("ref", [value for _, value, _ in refs]),
        *_several("attribute", [_value(value) for value in event.attributes.values()]),
        *_several("parameter", [_value(value) for value in event.parameters.values()]),
    )
    found = rows.lazy().select(wanted).collect()
    frame = found.select(name for name in found.columns if " " not in name).with_columns(
        _ids(found, "id", [(kind, role) for kind, _, role in ids]).alias("ids"),
        _ids(found, "ref", [(kind, role) for kind, _, role in refs]).alias("refs"),
        _map(found, "attribute", list(event.attributes)).alias("attributes"),
        _map(found, "parameter", list(event.parameters)).alias("parameters"),
        *([_documents(kernel, rows, event.documents)] if event.documents is not None else []),
        *_times(found, event, times, zone),
        layer=pl.lit(event.layer),
        time_kind=pl.lit(event.time_kind),
        envelope_id=pl.lit(value=False),
        observed_assumed=pl.lit(value=False),
    )
    frame = _lasting(frame, event)
    if rows["_envelope"].null_count() < rows.height:
        frame = _from_wrapper(frame, rows["_envelope"], zone, folder)
    if texts:
        sides = [pl.col(f"_{one}") if f"_{one}" in frame.columns else pl.lit(None) for one in ("input", "output")]
        listed = [] if event.documents is None else [_passages(kernel, rows, event.documents)]
        frame = frame.with_columns(
            input=sides[0].cast(pl.String), output=sides[1].cast(pl.String), passages=pl.lit(None, PASSAGES)
        ).with_columns(listed)
    for side in ("input", "output"):
        frame = _content(frame, side, excerpts=excerpts)
    if not excerpts:
        # Attributes and names may hold what people wrote; a word without white space is a name or a code.
        word = pl.when(~pl.col("name").str.contains(r"\s")).then("name") if "name" in frame.columns else pl.lit(None)
        frame = frame.with_columns(attributes=pl.lit(None, MAP), name=word.cast(pl.String))
    return frame


def _several(what: str, values: Sequence[pl.Expr]) -> list[pl.Expr]:
    """Values as text, in columns of `what` and a number."""
    return [value.cast(pl.String).alias(f"{what} {number}") for number, value in enumerate(values)]


def _from_wrapper(frame: pl.DataFrame, envelope: pl.Series, zone: Zone, folder: str) -> pl.DataFrame:
    """What the wrapper around a record knows, where the record itself does not: time, id, service, host.

    A time that the record states stands, and the wrapper's is then when something else saw it. An event of a record
    that names no id of its own takes the wrapper's trace and span.
    """

    def known(word: str) -> pl.Series:
        of_word = pl.element().filter(pl.element().struct.field("key") == word).struct.field("value")
        return pl.DataFrame({"e": envelope}).select(pl.col("e").list.eval(of_word).list.first().alias(word))[word]

    names = ("event_time", "time_raw", "time_precision", "zone_basis", "observed_time", "service", "end_time")
    frame = frame.with_columns(
        pl.lit(None, EVENTS.schema[name]).alias(name) for name in names if name not in frame.columns
    )
    own = pl.col("time_raw").is_not_null() | pl.col("event_time").is_not_null()
    told_utc = (known("time_zone") == "UTC").fill_null(value=False)

    def moment(word: str) -> pl.Series:
        """The wrapper's time, in the zone of the source or in the one that the wrapper fixes."""
        by_zone = read_times(known(word), "auto", zone.name)
        return read_times(known(word), "auto", "UTC").zip_with(told_utc, by_zone) if told_utc.any() else by_zone

    basis = pl.when(pl.lit(told_utc)).then(pl.lit("format")).otherwise(pl.lit(zone.basis))
    time, received = moment("time"), moment("received")
    at, seen = (to_time(pl.lit(one.struct.field("ns"))) for one in (time, received))
    naive = pl.lit(time.struct.field("naive"))
    borrowed = ~own & pl.lit(time.struct.field("ns")).is_not_null()
    where = pl.coalesce(pl.lit(known("host")), pl.lit(known("pod")))
    wrapper = pl.lit(known("envelope"))
    seen_at = pl.coalesce(seen, pl.when(own).then(at))
    naive_seen = pl.when(seen.is_not_null()).then(pl.lit(received.struct.field("naive"))).otherwise(naive)
    assumed = pl.col("observed_time").is_null() & seen_at.is_not_null() & naive_seen & (basis == "assumed")
    frame = frame.with_columns(
        observed_assumed=assumed.fill_null(value=False),
        event_time=pl.when(borrowed).then(at).otherwise("event_time"),
        time_raw=pl.when(~own).then(pl.lit(known("time"))).otherwise("time_raw"),
        time_precision=pl.when(borrowed).then(pl.lit(time.struct.field("precision"))).otherwise("time_precision"),
        zone_basis=pl.when(borrowed)
        .then(pl.when(naive).then(basis).otherwise(pl.lit("explicit")))
        .otherwise("zone_basis"),
        time_kind=pl.when(borrowed).then(pl.lit("envelope")).otherwise("time_kind"),
        observed_time=pl.coalesce("observed_time", seen_at),
        service=pl.coalesce("service", pl.lit(known("service")), pl.lit(known("container"))),
        clock=pl.when(borrowed)
        .then(pl.coalesce(where, pl.concat_str(pl.lit(folder or "."), pl.lit(" "), wrapper)))
        .otherwise(pl.coalesce(pl.lit(known("host")), "clock")),
        envelope=pl.lit(envelope).cast(MAP),
    )
    nameless = pl.col("ids").list.eval(pl.element().struct.field("role") == "alias").list.any().not_()
    told = pl.DataFrame([known("trace_id").alias("id 0"), known("span_id").alias("id 1")])
    ids = _ids(told, "id", [("trace_id", "alias"), ("span_id", "span")])
    given = nameless & pl.lit(ids.list.len() > 0)
    return frame.with_columns(
        ids=pl.when(given).then(pl.concat_list("ids", pl.lit(ids))).otherwise("ids"),
        envelope_id=given.fill_null(value=False),
    )


def _value(value: Value) -> pl.Expr:
    return pl.col(value) if isinstance(value, str) else value


def _clock(fmt: Format, columns: Mapping[str, pl.Expr], folder: str) -> pl.Expr:
    """The clock domain: what the format names, else the service within its folder, else the folder."""
    default = pl.lit(folder or ".")
    if "service" in columns:
        default = pl.concat_str(pl.lit(folder + "/" if folder else ""), columns["service"]).fill_null(folder or ".")
    return default if fmt.clock is None else _value(fmt.clock).cast(pl.String).fill_null(default)


def _id(one: Id, number: int) -> tuple[str, pl.Expr, str]:
    return one.kind, pl.col(f"_derived{number}") if one.derive else _value(one.value), one.role


def _derived(kernel: Kernel, rows: pl.DataFrame, ids: tuple[Id, ...]) -> pl.DataFrame:
    for number, one in enumerate(ids):
        if one.derive is None:
            continue
        value = rows.select(_value(one.value).cast(pl.String).alias("v"))["v"]
        if one.derive == "hex_of_decimal":
            derived = value.str.to_decimal(scale=0).cast(pl.Int128, strict=False)
            texts = [None if v is None or v < 0 else f"{v:016x}" for v in derived.to_list()]
            column = pl.Series(texts, dtype=pl.String)
        else:
            column = kernel.sha256(value).str.slice(0, int(one.derive.partition(":")[2]))
        rows = rows.with_columns(column.alias(f"_derived{number}"))
    return rows


def _ids(found: pl.DataFrame, what: str, named: Sequence[tuple[str, str]]) -> pl.Series:
    """Per row a list of (kind, value, role), leaving out what is null or empty, and what is there already.

    The values are the columns of `what`, in the order of `named` (kind and role).
    """
    values = {n: value for n in range(len(named)) if (value := found[f"{what} {n}"]).null_count() < found.height}
    seen: dict[tuple[str, str], list[int]] = {}
    for n in values:
        seen.setdefault(named[n], []).append(n)
    again = [
        pl.when(~pl.any_horizontal(pl.lit(values[n]).eq_missing(pl.lit(values[one])) for one in numbers[:place]))
        .then(pl.lit(values[n]))
        .alias(str(n))
        for numbers in seen.values()
        for place, n in enumerate(numbers)
        if place
    ]
    if again:
        values |= {int(one.name): one for one in pl.select(again).get_columns()}
    rows, places, flat = _long(values)
    kinds, roles = (pa.array([one[part] for one in named], pa.large_string()).take(places) for part in (0, 1))
    structs = pa.StructArray.from_arrays([kinds, flat, roles], ["kind", "value", "role"])
    return _lists(structs, rows, found.height).cast(pl.List(ID))


def _map(found: pl.DataFrame, what: str, names: Sequence[str]) -> pl.Series:
    """Per row a map of the values that are not null; null where there is none."""
    values = {n: value for n in range(len(names)) if (value := found[f"{what} {n}"]).null_count() < found.height}
    if not values:
        return pl.Series([None], dtype=MAP).new_from_index(0, found.height)
    rows, places, flat = _long(values, empty=True)
    keys = pa.array(names, pa.large_string()).take(places)
    structs = pa.StructArray.from_arrays([keys, flat], ["key", "value"])
    return _lists(structs, rows, found.height, nothing=True).cast(MAP)


def _long(
    values: Mapping[int, pl.Series], *, empty: bool = False
) -> tuple[NDArray[np.int64], NDArray[np.int64], pa.Array]:
    """The values that are not null (nor, unless `empty`, empty), in order of row and key: their row, key, and text."""
    if not values:
        none = np.zeros(0, dtype=np.int64)
        return none, none, pa.array([], pa.large_string())
    frame = pl.DataFrame({str(n): value for n, value in values.items()})
    kept = pl.all().is_not_null() if empty else (pl.all() != "").fill_null(value=False)
    rows, places = np.nonzero(frame.select(kept).to_numpy())
    flat = pl.concat(frame.get_columns()).gather(places * frame.height + rows)
    keys = np.fromiter(values, np.int64, len(values))
    return rows, keys[places], flat.to_arrow(compat_level=pl.CompatLevel.oldest())


def _lists(elements: pa.Array, rows: NDArray[np.int64], height: int, *, nothing: bool = False) -> pl.Series:
    """The elements, which are in order of their row, as one list per row; empty where a row has none, or null."""
    counts = np.bincount(rows, minlength=height)
    offsets = np.zeros(height + 1, dtype=np.int64)
    np.cumsum(counts, out=offsets[1:])
    mask = pa.array(counts == 0) if nothing else None
    return pl.Series(pa.LargeListArray.from_arrays(pa.array(offsets), elements, mask=mask))


def _documents(kernel: Kernel, rows: pl.DataFrame, documents: Documents) -> pl.Series:
    kind = pl.List(DOCUMENT)
    fields = {"id": path(*documents.id)}
    for name in ("score", "version", "tenant", "text"):
        segments = getattr(documents, name)
        if segments is not None:
            fields[name] = path(*segments)
    lists = rows.select(_value(documents.value).alias("l"))["l"]
    found = kernel.elements(lists, fields)
    found = found.with_columns(
        pl.lit(None, pl.String).alias(name) for name in ("score", "version", "tenant", "text") if name not in fields
    )
    found = found.with_columns(hash=text_hash(found["text"]))
    document = pl.struct(
        id="id",
        score=pl.col("score").cast(pl.Float64, strict=False),
        rank=pl.col("item") + 1,
        version="version",
        tenant="tenant",
        hash="hash",
    )
    grouped = found.group_by("r", maintain_order=True).agg(document.alias("documents"))
    joined = pl.DataFrame({"r": pl.int_range(rows.height, eager=True).cast(pl.Int64)}).join(
        grouped, on="r", how="left", maintain_order="left"
    )
    # A list that is there and empty says that nothing was found; null says nothing.
    empty = lists.str.contains(r"^\s*\[\s*\]\s*$").fill_null(value=False)
    nothing = pl.Series("documents", [[]], dtype=kind).new_from_index(0, rows.height)
    return nothing.zip_with(empty, joined["documents"].cast(kind))


def _passages(kernel: Kernel, rows: pl.DataFrame, documents: Documents) -> pl.Series:
    """The texts of the documents that each row lists, in its order; null where it lists none with a text."""
    nothing = pl.Series("passages", [None], dtype=PASSAGES).new_from_index(0, rows.height)
    if documents.text is None:
        return nothing
    lists = rows.select(_value(documents.value).alias("l"))["l"]
    found = kernel.elements(lists, {"document": path(*documents.id), "text": path(*documents.text)})
    grouped = (
        found.filter(pl.col("text").is_not_null())
        .group_by("r", maintain_order=True)
        .agg(pl.struct("document", "text").alias("passages"))
    )
    if grouped.is_empty():
        return nothing
    numbered = pl.DataFrame({"r": pl.int_range(rows.height, eager=True).cast(pl.Int64)})
    return numbered.join(grouped, on="r", how="left", maintain_order="left")["passages"].cast(PASSAGES)


def _time_values(event: Event) -> dict[str, pl.Expr]:
    """The texts that the event's times, and its duration, are read from."""
    times = {"event_time": event.time, "end_time": event.end, "observed_time": event.observed}
    found = {
        name: _value(one.value if isinstance(one, Time) else one) for name, one in times.items() if one is not None
    }
    return found | ({"duration_ns": _value(event.duration.value)} if event.duration is not None else {})


def _declared(event: Event | Format) -> dict[str, Time | str | None]:
    return {"event_time": event.time, "end_time": event.end, "observed_time": event.observed}


def _shared_times(fmt: Format, rows: pl.DataFrame, zone: Zone) -> dict[str, pl.DataFrame]:
    """The times that the format's events have in common, read once for all rows."""
    return {
        name: _read_time(rows.select(_value(one.value if isinstance(one, Time) else one)).to_series(), one, zone)
        for name, one in _declared(fmt).items()
        if one is not None
    }


def _read_time(text: pl.Series, declared: Time | str, zone: Zone) -> pl.DataFrame:
    """One row per text: the text, and what `read_times` says of it."""
    text = text.cast(pl.String).alias("text")
    read = read_times(text, declared.unit if isinstance(declared, Time) else "auto", zone.name)
    return pl.DataFrame([text]).hstack(read.struct.unnest())


def _times(found: pl.DataFrame, event: Event, times: Mapping[str, pl.DataFrame], zone: Zone) -> list[pl.Series]:
    """The time columns, and ``unsure_times``: from `times`, else from the texts that `_time_values` names."""
    columns: list[pl.Series] = []
    unsure = pl.Series([False]).new_from_index(0, found.height)
    for name, declared in _declared(event).items():
        if declared is None:
            continue
        if event.time_kind == "relative":
            # Where the clock starts anew with each record, what it says is no time.
            text = times[name]["text"] if name in times else found[f"_time {name}"]
            columns += [text.alias("time_raw")] if name == "event_time" else []
            continue
        read = times[name] if name in times else _read_time(found[f"_time {name}"], declared, zone)
        columns.append(read.select(to_time(pl.col("ns")).alias(name)).to_series())
        unsure = unsure | read["unsure"]
        if name == "event_time":
            basis = pl.when(pl.col("ns").is_not_null()).then(
                pl.when("naive").then(pl.lit(zone.basis)).otherwise(pl.lit("explicit"))
            )
            columns += [read["text"].alias("time_raw"), read["precision"].alias("time_precision")]
            columns.append(read.select(basis.alias("zone_basis")).to_series())
    if event.duration is not None:
        columns.append(read_durations(found["_time duration_ns"], event.duration.unit).alias("duration_ns"))
    there = {one.name for one in columns}
    for name in ("event_time", "time_raw", "time_precision", "zone_basis"):
        if name not in there:
            columns.append(pl.Series(name, [None], dtype=EVENTS.schema[name]).new_from_index(0, found.height))
    return [*columns, unsure.fill_null(value=False).alias("unsure_times")]


def _lasting(frame: pl.DataFrame, event: Event) -> pl.DataFrame:
    """The end of what began at a known time and lasted so long."""
    if event.duration is None or event.end is not None or event.time_kind != "start":
        return frame
    return frame.with_columns(end_time=pl.col("event_time") + pl.duration(nanoseconds="duration_ns", time_unit="ns"))


def _content(frame: pl.DataFrame, side: str, *, excerpts: bool) -> pl.DataFrame:
    """Excerpt, hash and length of the full text in ``_input`` or ``_output``, which goes."""
    full = f"_{side}"
    if full not in frame.columns:
        return frame
    text = frame[full]
    excerpt = pl.col(full).str.slice(0, EXCERPT) if excerpts else pl.lit(None, pl.String)
    return frame.with_columns(
        excerpt.alias(f"{side}_excerpt"),
        text_hash(text).alias(f"{side}_hash"),
        pl.col(full).str.len_chars().cast(pl.Int64).alias(f"{side}_chars"),
    ).drop(full)


def text_hash(text: pl.Series) -> pl.Series:
    """Hash of each text after white space is folded (BLAKE2b, 128 bits, hex); null where it is null or blank.

    Texts that differ in white space alone are equal here, as two layers rarely keep it alike.
    """
    folded = text
    if text.str.contains(_UNFOLDED).any():
        folded = text.str.replace_all(r"\s+", " ").str.strip_chars()
    known = folded.is_not_null() & (folded != "")
    texts = folded if known.all() else folded.filter(known)
    # What is said again and again, a system's prompt, is hashed once; to look for that where each text is another
    # costs more than the hashes.
    few = texts.head(REPEATS)
    if few.n_unique() < few.len() / 2:
        distinct = texts.unique()
        found = texts.replace_strict(distinct, _hashed(distinct), return_dtype=pl.String)
    else:
        found = _hashed(texts)
    if len(found) == len(text):
        return found.alias(text.name)
    nothing = pl.Series(text.name, [None], dtype=pl.String).new_from_index(0, len(text))
    return nothing.scatter(known.arg_true(), found)


def _hashed(texts: pl.Series) -> pl.Series:
    return hashes(texts.cast(pl.Binary).to_list())
