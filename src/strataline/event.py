"""The tables of a case, each stated once: column, dtype, unit, meaning.

Documentation (``docs/tables.md``), validation (`Table.conform`) and the Parquet schemas derive from the
declarations here. Times are UTC nanoseconds; null always means "not known", never zero or empty.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import polars as pl

from strataline.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

TIME = pl.Datetime("ns", "UTC")
ID = pl.Struct({"kind": pl.String, "value": pl.String, "role": pl.String})
PART = pl.Struct({"offset": pl.Int64, "length": pl.Int64})
DOCUMENT = pl.Struct(
    {
        "id": pl.String,
        "score": pl.Float64,
        "rank": pl.Int64,
        "version": pl.String,
        "tenant": pl.String,
        "hash": pl.String,
    }
)
MAP = pl.Map(pl.String(), pl.String())

LAYERS = ("prompt", "retrieval", "model", "policy", "ui", "change", "other")
PRODUCT_LAYERS = LAYERS[:5]
"""The five layers that a product's answer passes through; ``change`` and ``other`` stand beside them."""

OUTCOMES = ("ok", "error", "timeout", "blocked", "cancelled", "unknown")
VERDICTS = ("allow", "flag", "redact", "block", "challenge", "error", "not_evaluated", "unknown")
TIME_KINDS = ("start", "end", "write", "relative")
"""What a record's own time may mean (``relative``: by a clock that starts anew with each record, so no time); one that
its wrapper states is of kind ``envelope``."""
ID_ROLES = ("alias", "span", "group", "ref")

FRAME = "frame"
"""What a batch calls the fault of what frames records and is none itself (a header row, the head of a document whose
list holds them, a control message): a counted skip."""

REASONS = {
    "truncated_json": (
        "JSON that ends where it would go on.",
        "The writer stopped or the line was cut; look for its rest in a rotated file.",
    ),
    "not_json": (
        "Begins as JSON does and is none.",
        "See the detail for the place; a writer that escapes wrongly needs a format with `reshape`.",
    ),
    "not_an_object": ("JSON that is no object.", "A format reads objects; `explode` opens lists inside of them."),
    "too_deep": ("Damaged, and nested over 200 levels.", "Ask for the record again, if it is one."),
    "too_long": ("Longer than --max-record.", "Raise --max-record if the record matters."),
    "invalid_utf8": (
        "Bytes that are no text in the encoding of the source.",
        "--encoding GLOB=NAME names another one.",
    ),
    "nul_bytes": (
        "Holds zero bytes: a file that was cut and written on, or no text at all.",
        "Ask for the export again, or for the file as it was before it was rotated.",
    ),
    "column_count": (
        "A row of a table with more or fewer cells than its header.",
        "The writer did not quote a delimiter or a line end; export again with quotes.",
    ),
    "damaged_table": ("Rows of a Parquet, Arrow or SQLite file that cannot be read.", "Ask for the file again."),
    "unreadable": (
        "A file or archive member of which nothing can be read.",
        "See the detail: damaged, encrypted, or past a limit (--max-expand).",
    ),
    "not_unpacked": (
        "Base64 or gzip inside of a wrapper that does not decode.",
        "Ask for the export again; the wrapper is the evidence.",
    ),
    "format_failed": (
        "The format's own code could not take the record apart.",
        "Report it with the record: a format must not fail; --format NAME=GLOB forces another one.",
    ),
    "unrecognised_format": (
        "No format describes the source.",
        "--format NAME=GLOB forces one; --formats DIR adds your own: docs/writing-formats.md.",
    ),
}
"""Every reason of a reject, with what it means and what can be done about it."""


@dataclass(frozen=True)
class Column:
    """One column: its name, Polars dtype, meaning and unit (empty where the value has none)."""

    name: str
    dtype: pl.DataType | type[pl.DataType]
    meaning: str
    unit: str = ""


@dataclass(frozen=True)
class Table:
    """One table of a case: its columns in order, and the total sort key of its rows."""

    name: str
    meaning: str
    sort: tuple[str, ...]
    columns: tuple[Column, ...]

    @cached_property
    def schema(self) -> pl.Schema:
        """The columns with their Polars dtypes, in order."""
        return pl.Schema({column.name: column.dtype for column in self.columns})

    @cached_property
    def names(self) -> list[str]:
        """The names of the columns, in order."""
        return [column.name for column in self.columns]

    def empty(self) -> pl.DataFrame:
        """A frame with the columns of this table and no rows."""
        return self._nothing

    @cached_property
    def _nothing(self) -> pl.DataFrame:
        return pl.DataFrame(schema=self.schema)

    def conform(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return `frame` with exactly the columns of this table, in order.

        A column that is missing becomes null. A dtype that is not the declared one is cast, strictly.

        Raises:
            ValueError: if `frame` has a column that the table does not declare.
        """
        unknown = [name for name in frame.columns if name not in self.schema]
        if unknown:
            msg = f"table {self.name} has no column {', '.join(sorted(unknown))}"
            raise ValueError(msg)
        have = frame.schema
        if have == self.schema:
            return frame
        return frame.select(
            pl.col(name)
            if have.get(name) == dtype
            else (pl.col(name) if name in have else pl.lit(None)).cast(dtype).alias(name)
            for name, dtype in self.schema.items()
        )

    @property
    def arrow_schema(self) -> pa.Schema:
        """The Arrow schema of this table, as its Parquet file has it."""
        return self.empty().to_arrow(compat_level=pl.CompatLevel.oldest()).schema

    def to_arrow(self, frame: pl.DataFrame) -> pa.Table:
        """Return `frame` (conformed) as an Arrow table."""
        return self.conform(frame).to_arrow(compat_level=pl.CompatLevel.oldest())

    def to_markdown(self) -> str:
        """The documentation of this table: one row per column."""
        rows = [
            f"| `{c.name}` | `{_arrow_name(self.arrow_schema.field(c.name).type)}` | {c.unit or '–'} | {c.meaning} |"
            for c in self.columns
        ]
        order = ", ".join(f"`{name}`" for name in self.sort)
        head = ["| column | dtype | unit | meaning (null: not known, unless said) |", "| --- | --- | --- | --- |"]
        return "\n".join([f"## {self.name}", "", self.meaning, "", f"Order: {order}.", "", *head, *rows, ""])


def _arrow_name(kind: pa.DataType) -> str:
    import pyarrow as pa

    if pa.types.is_large_string(kind) or pa.types.is_string(kind):
        return "string"
    if pa.types.is_map(kind):
        return "map<string, string>"
    if pa.types.is_timestamp(kind):
        return "timestamp[ns, UTC]"
    if pa.types.is_large_list(kind) or pa.types.is_list(kind):
        return f"list<{_arrow_name(kind.value_type)}>"
    if pa.types.is_struct(kind):
        return "struct<" + ", ".join(field.name for field in kind) + ">"
    return str(kind)


def _text(name: str, meaning: str) -> Column:
    return Column(name, pl.String(), meaning)


def _whole(name: str, meaning: str, unit: str = "") -> Column:
    return Column(name, pl.Int64(), meaning, unit)


def _number(name: str, meaning: str, unit: str = "") -> Column:
    return Column(name, pl.Float64(), meaning, unit)


def _flag(name: str, meaning: str) -> Column:
    return Column(name, pl.Boolean(), meaning)


def _time(name: str, meaning: str) -> Column:
    return Column(name, TIME, meaning, "UTC ns")


@runtime_checkable
class Narrow(Protocol):
    """Tables that can give some columns, or some rows, of one without reading the others."""

    def narrow(self, name: str, columns: Sequence[str]) -> pl.DataFrame:
        """The table called `name`, with `columns` alone."""
        ...

    def only(self, name: str, wanted: pl.Expr, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """The rows of the table called `name` of which `wanted` holds, with all columns or with `columns`."""
        ...


def narrow(tables: Mapping[str, pl.DataFrame], name: str, columns: Sequence[str]) -> pl.DataFrame:
    """The table called `name`, with `columns` alone: all that is read of it, where `tables` lie in files."""
    return tables.narrow(name, columns) if isinstance(tables, Narrow) else tables[name].select(columns)


def only(
    tables: Mapping[str, pl.DataFrame], name: str, wanted: pl.Expr, columns: Sequence[str] | None = None
) -> pl.DataFrame:
    """The rows of the table called `name` of which `wanted` holds, in their order: these alone stay in memory."""
    if isinstance(tables, Narrow):
        return tables.only(name, wanted, columns)
    found = tables[name].filter(wanted)
    return found if columns is None else found.select(columns)


def utc(time: datetime, what: str) -> datetime:
    """`time` in UTC, as it is where it names no zone.

    Raises:
        InputError: if `TIME` cannot hold it (nanoseconds reach from 1677 to 2262); the message begins with `what`.
    """
    if not 1678 <= time.year <= 2261:
        raise InputError(f"{what}: no time that a log has: {time}", hint="years from 1678 to 2261")
    return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)


def address() -> pl.Expr:
    """The evidence address of a row, as text: ``source:line``, or ``source:row N`` in a table."""
    row = pl.format("row {}", "offset")
    return pl.concat_str("source", pl.lit(":"), pl.coalesce(pl.col("line").cast(pl.String), row))


IDENTITY = (
    _text(
        "event_id",
        "Hash of (digest of the decompressed stream, offset, item, index): the same for the same bytes.",
    ),
    _text("layer", "prompt, retrieval, model, policy, ui, change or other."),
    _text(
        "kind",
        "What happened, in dotted words: `prompt.received`, `model.call`, `policy.decision`, `log.other`, …",
    ),
    _text("name", "The emitter's own word for it (event name, span name, message)."),
    _text("service", "Which program wrote the record."),
    _text("outcome", "ok, error, timeout, blocked, cancelled or unknown; null where the event has none to report."),
    _text("error_type", "The emitter's class or code of the error."),
)

EVIDENCE = (
    _text("source", "Path of the input below the name that was given; `!` leads into an archive."),
    _text("address", "`bytes` (offset and length in the decompressed stream) or `row` (row of a table)."),
    _whole("line", "Physical line that the record begins on, from 1; null where the container has no lines."),
    _whole("offset", "First byte of the record in the decompressed stream, or its row number from 0.", "byte or row"),
    _whole("length", "Bytes of the record without its separator; 1 for a row.", "byte or row"),
    Column("parts", pl.List(PART), "Where the bytes lie if they are not in one piece; else null.", "byte"),
    _text("record_hash", "Hash of the record's text as read (BLAKE2b, 128 bits): equal for records that say the same."),
    _whole("item", "Element within the record, in document order; 0 where the record is one element."),
    _whole("index", "Which event of the format's list this is."),
    _text("format", "Name of the format that read the record."),
    _number(
        "format_confidence",
        "Share of the looked-at records that carry the format's marks (of an item: its container's); 1 where it was "
        "forced, null where none of them did.",
    ),
    _text("recovered", "Why a second reading was needed to save the record; null where none was."),
    Column(
        "envelope",
        MAP,
        "What the wrappers around the record knew (time, host, pod, container, stream, …), and their names from the "
        "outermost inwards (`envelope`); null where there was none.",
    ),
)

TIMES = (
    _text("time_raw", "The event time exactly as written."),
    _time("event_time", "When it happened, by the emitter's clock; null where the record states no time."),
    _time("end_time", "When it ended, by the emitter's clock."),
    _whole(
        "duration_ns",
        "How long it took, as the record says; where it was logged at its end, it began that before.",
        "ns",
    ),
    _time("observed_time", "When something else (a collector) received it, by that thing's clock."),
    _text(
        "time_kind",
        "Whether `event_time` is the start, the end, or the writing of what it describes; `envelope` where the record "
        "states none and the wrapper around it does; `relative` where a clock starts anew with each record: no time.",
    ),
    _text("time_precision", "Finest unit written: s, ms, us or ns."),
    _text("zone_basis", "Where the zone comes from: explicit (in the record), format, option, or assumed."),
    _text("clock", "The clock domain: events of one domain share one clock."),
    _time("corrected_time", "`event_time` less `clock_offset`; equal to it where the clock was not moved."),
    _whole("clock_offset", "What was taken from `event_time`; 0 where the clock was not moved.", "ns"),
)

IDS = (
    Column("ids", pl.List(ID), "Every id the event carries: kind, value, role (alias, span, group)."),
    Column("refs", pl.List(ID), "Ids of *other* records that it names: kind, value, and the relation as role."),
    _text("span_id", "Id of the span that the event is, or lies in."),
    _text("parent_id", "Id of the span above it."),
    _text("session", "Session as the emitter names it."),
    _text("user", "User as the emitter names it."),
    _text("tenant", "Tenant, team or organisation as the emitter names it."),
)

CONTENT = (
    _text("input_excerpt", "First 240 characters of what went in; null with `--excerpts none`."),
    _text("output_excerpt", "First 240 characters of what came out; null with `--excerpts none`."),
    _text("input_hash", "Hash of the input text after white space is folded: equal text, equal hash."),
    _text("output_hash", "Hash of the output text after white space is folded."),
    _whole("input_chars", "Length of the input text.", "characters"),
    _whole("output_chars", "Length of the output text.", "characters"),
    _text("content_state", "full, redacted, truncated, encrypted or absent; null where the layer carries no content."),
)

FACTS = (
    _text("template_name", "Prompt template."),
    _text("template_version", "Its version."),
    _text("template_hash", "Its hash, as the emitter computed it."),
    _text("index_name", "Index, collection or alias that was searched."),
    _text("index_version", "Its version."),
    _text("embedding_model", "Model that embedded the query."),
    Column(
        "documents",
        pl.List(DOCUMENT),
        "Documents returned or used, in rank order (rank from 1); empty where its list is.",
    ),
    _text("requested_model", "Model or alias that was asked for."),
    _text("served_model", "Model that answered."),
    _text("provider", "Who serves the model."),
    Column("parameters", MAP, "Parameters of the call, as text."),
    _text("response_id", "The provider's id of the response."),
    _text("finish_reason", "Why generation stopped."),
    _whole("input_tokens", "Tokens in.", "tokens"),
    _whole("output_tokens", "Tokens out.", "tokens"),
    _number("cost_usd", "Cost as the gateway computed it.", "USD"),
    _whole("attempt", "Attempt number, as the emitter counts."),
    _text("fallback", "What the call fell back to."),
    _text("cache", "hit, miss, or the cache's own word."),
    _flag("stream", "Whether the answer was streamed."),
    _whole("http_status", "HTTP status code."),
    _text("policy_name", "Policy, guardrail or rule."),
    _text("policy_version", "Version or revision of the policy in force."),
    _text("policy_stage", "input, output, retrieval or tool."),
    _text("policy_mode", "enforce, monitor, fail_open, fail_closed, or the filter's own word."),
    _text("verdict", "allow, flag, redact, block, challenge, error, not_evaluated or unknown."),
    _flag("enforced", "Whether the verdict was acted on."),
    _flag("delivered", "Whether the content reached the user, as the record says."),
    _number("score", "Score of the decision."),
    _number("threshold", "Threshold that it was compared with."),
    _text("shown", "How the page showed the answer (answer, blocked notice, error, partial)."),
    _whole("citations", "Citations shown."),
    _text("feedback", "What the user said of it: up, down, or the product's own word."),
    _text("client_version", "Version of the client."),
    _text("change_scope", "What a `change.*` event changed (service, index, policy)."),
    _text("change_key", "Which setting."),
    _text("change_old", "Value before."),
    _text("change_new", "Value after."),
)

ADDED = (
    _text("request", "The request that the event belongs to; null if none."),
    _text("call", "Event id of the model call, retrieval or other operation that the event is about; null if none."),
    _whole("seq", "Place in the request's order, from 0; null where `request` is null."),
    _text(
        "link_method",
        "How it was tied to the request: opening, id, span, resend, content or window; null where `request` is null.",
    ),
    _number(
        "link_confidence",
        "How likely it is of that request: 1 by ids; else the chance of the text or the time that it rests on.",
    ),
    _text("order_basis", "Why it stands after the event before it: first, causal, clock or tie."),
)

EVENTS = Table(
    "events",
    "One row for each thing that a record says happened. Evidence is never rewritten: `event_time` is what the "
    "record says, `corrected_time` stands beside it.",
    ("corrected_time", "source", "offset", "item", "index"),
    (
        *IDENTITY,
        *EVIDENCE,
        *TIMES,
        *IDS,
        *CONTENT,
        *FACTS,
        Column("attributes", MAP, "What is left and worth keeping, as text."),
        *ADDED,
    ),
)

REQUESTS = Table(
    "requests",
    "One row for each request: one user turn and everything the product did for it, or a job without a turn.",
    ("start_time", "request"),
    (
        _text("request", "Smallest event id among its opening events."),
        _text("kind", "turn (a user's), job (calls without a turn), or unrooted (neither: events that share an id)."),
        _time("start_time", "Earliest corrected time of its opening events; null where they state none."),
        _time("end_time", "Latest corrected time (end where known) of its events, by the clock of that opening event."),
        _text("session", "Session that its opening event names."),
        _text("user", "User that its opening event names."),
        _text("tenant", "Tenant that its opening event names."),
        _whole("events", "Events in it."),
        _whole("attempts", "Opening events in it that are no redelivery: 1, and one more for each resend."),
        _whole("calls", "Distinct model calls in it."),
        Column("layers_present", pl.List(pl.String), "Layers with an event tied to it."),
        Column("layers_absent", pl.List(pl.String), "Layers whose logs cover its time and hold nothing tied to it."),
        Column("layers_not_covered", pl.List(pl.String), "Layers with no log, or none that covers its time."),
        Column("layers_ambiguous", pl.List(pl.String), "Layers with candidates that were not taken."),
        Column("templates", pl.List(pl.String), "Prompt templates in force (`name@version`)."),
        Column("indexes", pl.List(pl.String), "Index versions in force."),
        Column("models", pl.List(pl.String), "Models that answered."),
        Column("policies", pl.List(pl.String), "Policy versions in force."),
        Column("verdicts", pl.List(pl.String), "Verdicts, as `stage:verdict`, in order."),
        Column("shown", pl.List(pl.String), "What was shown, in order."),
        Column("outcomes", pl.List(pl.String), "Outcomes other than ok."),
        _text("refers_to", "The request that this one regenerates or edits; null if none."),
    ),
)

LINKS = Table(
    "links",
    "Why each event stands where it does: membership (event to request) and relations (event to event).",
    ("from_event", "relation", "to_event", "to_request", "id_kind", "id_value", "method"),
    (
        _text(
            "relation",
            "member, attempt_of, child_of, evaluated, included, rendered, feedback_on, "
            "served_from_cache_of, regenerates, retries, redelivery_of, repeats, same_content.",
        ),
        _text("from_event", "The event that is tied."),
        _text("to_event", "The event it is tied to; for a membership, the one through which the request was reached."),
        _text("to_request", "The request; null for a relation."),
        _text("method", "opening, id, span, ref, resend, content or window."),
        _text("id_kind", "Kind of the id that ties the two, as the tied event names it."),
        _text("id_value", "Its value, as the tied event wrote it."),
        _text("content_hash", "The hash that ties the two."),
        _whole("delta_ns", "Time between the two (to less from), where time was the evidence.", "ns"),
        _text("scope", "Within what the time was judged (session, user, …)."),
        _number("confidence", "1 for an id; a posterior elsewhere."),
        _text("runner_up", "Next-best event that it could have been tied to."),
        _number("runner_up_confidence", "And how likely that was."),
        _flag("taken", "False for a candidate that was listed and not merged."),
        _text("from_address", "Evidence address of the tied event: `source:line`."),
        _text("to_address", "Evidence address of the other."),
    ),
)

CLOCKS = Table(
    "clocks",
    "One row per clock domain and time slice: what its events say of its offset.",
    ("clock", "slice"),
    (
        _text("clock", "The clock domain."),
        _whole("slice", "Time slice, from 0."),
        _time("start_time", "First event time in the slice, by this clock."),
        _time("end_time", "Last event time in the slice, by this clock."),
        _whole("events", "Events of the domain in the slice."),
        _whole("pairs", "Pairs of linked events that bound the offset."),
        _whole("lower_ns", "Lower bound of the offset from the reference clock.", "ns"),
        _whole("upper_ns", "Upper bound.", "ns"),
        _whole("offset_ns", "What was taken from the event times; 0 where nothing was moved.", "ns"),
        _text(
            "basis",
            "reference; asserted (`--clock`); bounds (linked events); pooled (bound on one side, taken to be as far "
            "off it as others are); scope-peak (where differences pile up); shared (like another log's); unmoved.",
        ),
        _text("reference", "The domain that the offset is relative to; null where none was measured."),
    ),
)

SOURCES = Table(
    "sources",
    "One row per input: what it is, and where every one of its bytes went.",
    ("source",),
    (
        _text("source", "Path below the name that was given."),
        _text("digest", "SHA-256 of the file (or archive member) as it lies there; null for a table of a database."),
        _whole("bytes", "Size of the file (or archive member) as it lies there.", "byte"),
        _text(
            "stream_digest",
            "SHA-256 of the decompressed stream; for a table of a database, of that digest and its name.",
        ),
        _whole("stream_bytes", "Size of the decompressed stream; 0 for an archive, whose members have theirs.", "byte"),
        _text("within", "The archive or database that it lies in; null for a file, whose `digest` is of the whole."),
        _text("compression", "gz, zst, bz2, xz, lz4, or several from the outermost inwards; null for none."),
        _text(
            "container",
            "What its records lie in: lines, array, documents, list, har, csv, sse, parquet, arrow, sqlite; tar or zip "
            "for an archive; `unreadable`.",
        ),
        _text("encoding", "Encoding of its text, where it is not UTF-8."),
        Column("envelopes", pl.List(pl.String), "Wrappers that were taken off its records, from the outermost."),
        _text("format", "Name of the format; null where none was recognised."),
        _number("format_confidence", "Share of the looked-at records that carry its marks."),
        _text("format_basis", "recognised, option, guessed, or none."),
        _text("runner_up", "Of the formats that were not taken, the one whose marks most looked-at records carry."),
        _number("runner_up_share", "The share of these records."),
        Column("formats", pl.List(pl.String), "Every format that made an event of its records, most events first."),
        Column(
            "lacks",
            pl.List(pl.String),
            "Kinds of id that its formats would read, `time` and `zone`, where no event of it states one.",
        ),
        _text("zone", "Zone of naive times; null where all times carry one."),
        _text("zone_basis", "explicit, format, option or assumed; null where the source states no time."),
        _whole("lines", "Physical lines."),
        _whole("records", "Records: with_events + rejected + skipped."),
        _whole("with_events", "Records that became events."),
        _whole("events", "Events."),
        _whole("rejected", "Records that became a reject."),
        _whole("skipped", "Records that were skipped: blank lines, header rows, control messages, all of a copy."),
        _whole("recovered", "Records that a second reading saved."),
        _whole("record_bytes", "Bytes in records; null for an archive, a database and a table of rows.", "byte"),
        _whole(
            "separator_bytes", "Bytes between them: line ends, commas, brackets, byte-order marks; else null.", "byte"
        ),
        _time("first_time", "Earliest event time."),
        _time("last_time", "Latest event time."),
        _text("copy_of", "Source with the same decompressed stream; its events are those of that source."),
    ),
)

REJECTS = Table(
    "rejects",
    "One row per record that could not become an event.",
    ("source", "offset", "length", "item"),
    (
        _text("source", "Path of the input."),
        _text("address", "bytes or row."),
        _whole("line", "Physical line, from 1."),
        _whole("offset", "First byte, or row.", "byte or row"),
        _whole("length", "Bytes, without the separator.", "byte or row"),
        Column("parts", pl.List(PART), "Where the bytes lie if they are not in one piece; else null.", "byte"),
        _whole("item", "Which of several records at that address it is, from 0."),
        _text("format", "The format that was tried."),
        _text("reason", "One of a fixed set: see Reasons of rejects, below."),
        _text("detail", "What exactly was met, and where."),
        _text("excerpt", "First bytes, with control characters escaped; null with `--excerpts none`."),
    ),
)

NOTES = Table(
    "notes",
    "One row for each guess, refusal, recovery or limit: what was done, on what basis.",
    ("room", "topic", "source", "line", "subject"),
    (
        _text("room", "read, parse or correlate."),
        _text("topic", "zone_assumed, recovered, repeated_key, hub_refused, id_reused, redelivery, …"),
        _text("source", "Input concerned; null where the note is about none in particular."),
        _whole("line", "First line concerned."),
        _text("subject", "The id value, field or format that it is about."),
        _whole("count", "How many records or events it concerns."),
        _text("detail", "The sentence."),
    ),
)


def _texts(name: str, meaning: str) -> Column:
    return Column(name, pl.List(pl.String), meaning)


FINDINGS = Table(
    "findings",
    "One row for each thing that a check found, for each check that found nothing, and for each that could not run.",
    ("place",),
    (
        _whole("place", "Reading order, from 0: what fired, by attention, users and requests; then the rest by check."),
        _text("finding", "Id of the finding: the check's, and `.n` behind it where the check found several things."),
        _text("check", "Id of the check (`F-03`)."),
        _text("name", "Its name."),
        _whole("version", "Version of its rule."),
        _text("result", "fired (X-09 also with a count of 0), clear (it ran and found nothing) or not_evaluable."),
        _text(
            "attention",
            "What it is read for, and in which order: RU (reached a user although a record holds a stop condition), SG "
            "(safeguard not evidenced), DV (differs), CC (condition known to widen outcomes), EG (evidence gap), CX "
            "(context).",
        ),
        _text("status", "OBS, DER or INF; UNK where it could not run."),
        _texts("layers", "Layers that it speaks of."),
        _text("subject", "What it found it of (a template, an alias, a document); null where that is the whole."),
        _text("statement", "The sentence; log text in it is as it was logged."),
        _whole("count", "Requests in which it holds; where it is about no request, the things that it holds of."),
        _whole("inferred", "Those of them whose records are joined by text or time and not by ids."),
        _whole("evaluable", "Requests in which it could have held, as their records say."),
        _whole("total", "Requests of the case."),
        _whole("users", "Distinct users of the requests in which it holds; those without one are not counted."),
        _whole("affected", "Requests in which it holds that are of the affected set; null without one."),
        _texts("requests", "Up to five of the requests, in order of start."),
        _texts("events", "Up to twelve events that show it: those of the first requests."),
        _texts("addresses", "Evidence addresses of these events, in the same order."),
        Column("parameters", MAP, "Thresholds and options that the rule used."),
        _text("reason", "Why it could not run; null where it did."),
        _texts("unlocks", "Fields that would let it run, as `layer.column`."),
        _texts("alternatives", "What else the records would look like this for."),
        _text("question", "What people who know this layer may be asked."),
    ),
)

HITS = Table(
    "hits",
    "One row for each request in which a check holds.",
    ("finding", "request"),
    (
        _text("finding", "Id of the finding."),
        _text("check", "Id of the check."),
        _text("request", "The request; null for events of none."),
        _text("status", "OBS or DER; INF where its records are joined by text or time."),
        _texts("events", "Events that show it."),
    ),
)

CHANGES = Table(
    "changes",
    "What was changed, or seen to change, in order of time: from records of changes, from values first seen in the "
    "logs, and from a feed of changes.",
    ("time", "scope", "key", "service", "new"),
    (
        _time("time", "When: the change record's corrected time, or that of the first record with the new value."),
        _whole(
            "doubt_ns", "How far `time` may be off by what is known of its clock; null where that is unknown.", "ns"
        ),
        _text("layer", "Layer whose setting it is."),
        _text("scope", "What kind of setting: template, index, model, policy, client, parameter, or the record's own."),
        _text("key", "Which one: the template, alias, policy, parameter."),
        _text("service", "Program that it was seen in, with its clock where it has several; null where none is named."),
        _text("old", "Value before; null where none was seen."),
        _text("new", "Value from then on."),
        _number(
            "share",
            "Share of the records with the new value, from then until it was last seen: below 1 where others were in "
            "use beside it; null for a record or feed.",
        ),
        _text(
            "basis",
            "record (a log says so), first_seen (a value that was not there before), last_seen (one that was not there "
            "afterwards), or feed.",
        ),
        _text("status", "OBS for a record or feed, DER for a value first or last seen."),
        _text("event", "Event that says or shows it; null for a feed."),
        _text("address", "Its evidence address; in a feed, file and line."),
        _text("reverts", "The `time`, as text, of the change that this one takes back; null if none."),
    ),
)

CONTRASTS = Table(
    "contrasts",
    "Values that requests of the affected set have more or less often than those they are compared with. Association "
    "in these logs: it does not show effect, and what is not logged cannot appear.",
    ("dimension", "value"),
    (
        _text("dimension", "What was compared: template, index, served model, policy, client, …"),
        _text("value", "Its value."),
        _whole("affected_with", "Affected requests with it."),
        _whole("affected_total", "Affected requests in which the dimension is known."),
        _whole("baseline_with", "Requests they are compared with that have it."),
        _whole("baseline_total", "Those of them in which the dimension is known."),
        _number("difference", "Share of affected less share of baseline.", "points of 100"),
        _number("ratio", "Ratio of the two shares, 0.5 added to each count."),
        _number("p", "Fisher's exact test, two-sided."),
        _number("q", "p by Benjamini and Hochberg over all values compared."),
        _flag("shown", "Whether it passes the rule: 5 or more affected, q below 0.05, and 15 points or 3 to 1."),
        _flag("separates", "Whether all affected and no baseline requests have it, or the reverse."),
        _flag("small", "Fewer than 10 affected requests: the comparison could have shown large differences alone."),
        _whole("group", "Values with the same number cannot be told apart in these requests."),
        _flag("flips", "Whether the difference has another sign within some route."),
        _text("first_seen", "When the value was first seen in the case (UTC)."),
    ),
)

MEASURES = Table(
    "measures",
    "Numbers of affected requests beside those of the requests they are compared with: tokens, characters, documents, "
    "times. Association in these logs: it does not show effect, and much of it is what became of a request.",
    ("measure",),
    (
        _text("measure", "A kind of event, and what its records state. A request has the largest of its numbers."),
        _text("unit", "What it is counted in."),
        _whole("affected_n", "Affected requests that have a number."),
        _number("affected_median", "Their median."),
        _number("affected_p95", "Their 95th percentile, one of the numbers."),
        _whole("baseline_n", "Requests they are compared with that have a number."),
        _number("baseline_median", "Their median."),
        _number("baseline_p95", "Their 95th percentile, one of the numbers."),
        _number("greater", "How often an affected request has the greater number, over all pairs; ties count half."),
        _number("p", "Test of Mann and Whitney, two-sided."),
        _number("q", "p by Benjamini and Hochberg over all measures."),
        _flag("shown", "Whether q is below 0.05, and `greater` at most 0.35 or at least 0.65."),
        _flag("small", "Fewer than 10 affected requests have a number."),
    ),
)

TABLES = (EVENTS, REQUESTS, LINKS, CLOCKS, SOURCES, REJECTS, NOTES)
"""The tables of a case, in the order in which documentation shows them: one Parquet file each."""

EXAMINED = (FINDINGS, HITS, CHANGES, CONTRASTS, MEASURES)
"""The tables that an examination of a case makes."""
