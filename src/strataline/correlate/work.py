"""What passes from step to step of the correlation: narrow frames, and the notes and links made so far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import polars as pl

from strataline.event import LINKS, NOTES, address

OPENING = "prompt.received"
OPERATIONS = ("model.call", "retrieval.query", "retrieval.request", "retrieval.rerank", "retrieval.embed")
"""Kinds that are an operation of their own: `call` points to one, and the earliest opens a job."""

NARROW = (
    "event_id",
    "layer",
    "kind",
    "outcome",
    "source",
    "line",
    "offset",
    "item",
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
    "policy_stage",
    "time_kind",
)
"""Columns of ``events`` that the steps look at; wide text never enters them."""


UNITS_NS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}

SAMPLE = 4000
"""Requests that what is usual in these logs is learned from; more would not change it."""

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
            offset), ``unit`` (finest unit of the time, ns), ``step`` (the kind, a decision's stage behind it) and
            ``first`` (``n`` of the event that this one delivers again, else its own).
        ids: n, kind, value (as written), role, key (normalised; equal keys join). Roles alias, span and group.
        refs: n, kind, value, role (the relation), key.
        groups: openings: n, ``turn`` (smallest n of the openings that are attempts of one turn).
        members: n, component, request, request_kind, opener, link_method, confidence; events tied to something.
        clocks: as `bounds.CLOCK_ROWS` says; empty before the clocks are estimated.
        ordered: n, seq, order_basis.
    """

    events: pl.DataFrame
    ids: pl.DataFrame
    refs: pl.DataFrame
    options: Options
    groups: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema={"n": pl.Int64, "turn": pl.Int64}))
    members: pl.DataFrame = field(default_factory=pl.DataFrame)
    clocks: pl.DataFrame = field(default_factory=pl.DataFrame)
    ordered: pl.DataFrame = field(default_factory=pl.DataFrame)
    links: tuple[pl.DataFrame, ...] = ()
    notes: tuple[pl.DataFrame, ...] = ()

    def note(self, topic: str, detail: str, *, subject: str | None = None, count: int | None = None) -> Work:
        """This, with one more note."""
        row = {"room": "correlate", "topic": topic, "subject": subject, "count": count, "detail": detail}
        return replace(self, notes=(*self.notes, NOTES.conform(pl.DataFrame([row]))))

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
        """This, with the links `rows` (``from`` and ``to`` as n; other columns as in ``links``)."""
        name = self.events.select("n", "event_id", address=address())
        joined = rows.join(
            name.rename({"n": "from", "event_id": "from_event", "address": "from_address"}), on="from", how="left"
        ).join(name.rename({"n": "to", "event_id": "to_event", "address": "to_address"}), on="to", how="left")
        joined = joined.drop("from", "to")
        if "taken" not in rows.columns:
            joined = joined.with_columns(taken=pl.lit(value=True))
        return replace(self, links=(*self.links, LINKS.conform(joined)))


def start(events: pl.DataFrame, options: Options) -> Work:
    """Begin: narrow `events`, and take their ids apart."""
    # One chunk: Polars 2.1 panics in `format` on a column with an empty one.
    ordered = events.select(*NARROW, "ids", "refs", _signature(events)).sort("source", "offset", "item", "index")
    ordered = ordered.rechunk()
    ordered = ordered.with_columns(
        n=pl.int_range(pl.len()),
        logged=pl.col("event_time").dt.epoch("ns"),
        logged_end=pl.col("end_time").dt.epoch("ns"),
        unit=pl.col("time_precision").replace_strict(UNITS_NS, default=1, return_dtype=pl.Int64),
        step=pl.when(pl.col("kind") == "policy.decision")
        .then(pl.concat_str("kind", pl.lit("/"), pl.col("policy_stage").fill_null("")))
        .otherwise("kind"),
    )
    ordered = ordered.with_columns(first="n", t="logged", end="logged_end")
    return Work(
        events=ordered.drop("ids", "refs", "event_time", "end_time", "time_precision"),
        ids=_apart(ordered, "ids"),
        refs=_apart(ordered, "refs"),
        options=options,
    )


def _signature(events: pl.DataFrame) -> pl.Series:
    """Equal for events that say the same of the same time; null without a time or an id.

    The whole record must be the same, unless the event has an id of its own (`OWN_IDS`): then what a second delivery
    changes beside the event, such as when it was sent, does not count.
    """
    own = pl.col("ids").list.eval(pl.element().struct.field("kind").is_in(OWN_IDS)).list.any()
    said = events.select(
        pl.when(own).then(None).otherwise("record_hash").alias("record"),
        "layer",
        "kind",
        "name",
        "service",
        "outcome",
        "error_type",
        "time_raw",
        "ids",
        "refs",
        "parent_id",
        "input_hash",
        "output_hash",
        "verdict",
        "attempt",
    )
    alias = pl.element().struct.field("role") == "alias"
    named = pl.col("time_raw").is_not_null() & pl.col("ids").list.eval(alias).list.any()
    rows = events.select(named=named).with_columns(signature=said.hash_rows())
    return rows.select(pl.when("named").then("signature").alias("signature")).to_series()


def _apart(events: pl.DataFrame, column: str) -> pl.DataFrame:
    """One row per id: n, kind, value, role."""
    long = events.select("n", column).filter(pl.col(column).list.len() > 0)
    return long.explode(column).unnest(column).unique(maintain_order=True)


def sample(requests: pl.DataFrame) -> pl.DataFrame:
    """At most `SAMPLE` of the values of a column, spread evenly over them."""
    names = requests.unique().sort(requests.columns)
    if names.height <= SAMPLE:
        return names
    return names.gather(pl.Series(range(SAMPLE)) * names.height // SAMPLE)
