"""Step 1, normalise ids: one key for each spelling of the same value, and none for values that name nothing.

Two events join where they hold equal keys. A value with enough entropy (a UUID, 64 bits of hex, a declared prefix
with 16 characters behind it) joins whatever the kind; any other joins within its kind only: user 42 is not
decision 42. Sources of the forms: W3C Trace Context, the X-Ray, Cloud Trace and B3 header pages, protobuf's JSON
mapping (base64 bytes), RFC 9562.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import polars as pl

from strataline.correlate.work import Work, as_words, met, once

STOP = (
    "-",
    "--",
    "null",
    "none",
    "nil",
    "nan",
    "undefined",
    "unknown",
    "n/a",
    "na",
    "(null)",
    "false",
    "true",
    "anonymous",
    "default",
    "test",
    "redacted",
    "[redacted]",
    "string",
    "id",
)
"""Values that writers put where there is no id."""

_FORMS = (
    ("hex", r"^(?:0x)?([0-9a-f]{16,})$"),
    ("traceparent", r"^[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}$"),
    ("cloud_trace", r"^(?:projects/[^/]+/traces/)?([0-9a-f]{32})(?:/\d+(?:;o=\d+)?)?$"),
    ("uuid", r"^(?:urn:uuid:)?\{?([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})\}?$"),
    ("x_ray", r"^(?:root=)?1-([0-9a-f]{8}-[0-9a-f]{24})(?:;.*)?$"),
)
_BASE64 = r"^(?:[A-Za-z0-9+/]{22}==|[A-Za-z0-9+/]{11}=)$"
_PREFIXED = r"^[A-Za-z][A-Za-z0-9]{0,15}(?:[-_][A-Za-z0-9]{1,8})?[-_:][A-Za-z0-9_-]{16,}$"


def normalise_ids(work: Work) -> Work:
    """Add ``id`` and ``key`` to ids and refs; leave out values that name nothing, and say so.

    ``span_id`` and ``parent_id`` of the events become keys as well; ``parent_raw`` is the number of the latter's value.
    """
    work, table = with_keys(work, key_table)
    changed = table.filter(pl.col("form").is_not_null()).group_by("kind", "form").len().sort("kind", "form")
    stopped = table.filter(pl.col("key").is_null()).sort("kind", "value")
    work = work.note_rows(
        "id_normalised",
        changed.select(
            subject="kind", count=pl.col("len").cast(pl.Int64), detail=pl.format("values read as {}", "form")
        ),
    )
    return work.note_rows(
        "id_stopped",
        stopped.select(
            subject="kind",
            count=pl.lit(1, pl.Int64),
            detail=pl.format("value {} names nothing and joins nothing", "value"),
        ),
    )


def with_keys(work: Work, keys_of: Callable[[pl.DataFrame], pl.DataFrame]) -> tuple[Work, pl.DataFrame]:
    """`work` with numbers for the ids and their keys; and the keys as text.

    Args:
        work: as it begins.
        keys_of: distinct values (kind, value) → the same rows with ``key`` as text, null where it names nothing.
    """
    span = pl.lit("span_id").cast(work.ids.schema["kind"])
    spans = [
        work.events.select("n", kind=span, value=name).filter(pl.col("value").is_not_null())
        for name in ("span_id", "parent_id")
    ]
    parts = [work.ids, work.refs, *spans]
    number, values = _numbered(pl.concat([part.select("kind", "value") for part in parts]))
    values = values.select(pl.col("kind").cast(pl.String), work.values["value"].gather(values["value"]))
    table = keys_of(values)
    values = values.with_row_index("id").with_columns(pl.col("id").cast(pl.Int64))
    # Numbers for the keys: every later step compares them, and numbers are quick to compare.
    codes = pl.DataFrame([values["id"], as_words(values["kind"], "span_id"), met(table["key"])])
    at, made = 0, []
    for part in parts:
        rows = codes[number[at : at + part.height]]
        at += part.height
        rows = rows.with_columns(part[name] for name in ("n", "role") if name in part.columns)
        made.append(rows.filter(pl.col("key").is_not_null()))
    events = work.events.drop("span_id", "parent_id")
    for name, rows in zip(("span_id", "parent_id"), made[2:], strict=True):
        wanted = {name: "key", "parent_raw": "id"} if name == "parent_id" else {name: "key"}
        events = events.join(rows.select("n", **wanted), on="n", how="left", maintain_order="left")
    ids, refs = (once(rows, "id", "role") for rows in made[:2])
    return replace(work, events=events, ids=ids, refs=refs, values=values), table


def _numbered(every: pl.DataFrame) -> tuple[np.ndarray, pl.DataFrame]:
    """The number of each (kind, value), and the distinct ones in the order of these numbers.

    Most values are of one kind: they come first, in the order in which they are met; then what is of a further kind.
    """
    kind, number = met(every["kind"]).to_numpy(), met(every["value"]).to_numpy().copy()
    first = np.full(int(number.max(initial=-1)) + 1, len(number))
    first[number[::-1]] = np.arange(len(number))[::-1]
    other = np.flatnonzero(kind != kind[first][number])
    if len(other):
        pairs = pl.DataFrame({"at": other, "kind": kind[other], "value": number[other]})
        seen = pairs.unique(["kind", "value"], keep="first", maintain_order=True)
        numbered = seen.drop("at").with_row_index("number", offset=len(first))
        more = pairs.join(numbered, on=["kind", "value"], how="left", maintain_order="left")
        number[other] = more["number"].to_numpy()
        first = np.concatenate([first, seen["at"].to_numpy()])
    return number, every[first]


def key_table(distinct: pl.DataFrame) -> pl.DataFrame:
    """Keys of id values.

    Args:
        distinct: kind, value.

    Returns:
        kind, value, ``form`` (which other spelling was read; null where the value is used as written) and
        ``key`` (null for a value that names nothing).
    """
    table = distinct.with_columns(_value=pl.col("value").str.strip_chars())
    table = table.with_columns(_lower=pl.col("_value").str.to_lowercase())
    size = pl.col("_lower").str.len_bytes()
    may = {
        "hex": size >= 16,
        "traceparent": size == 55,
        "cloud_trace": (size > 32) & pl.col("_lower").str.contains("/", literal=True),
        "uuid": size.is_between(36, 47),
        "x_ray": (size >= 35) & pl.col("_lower").str.contains("1-", literal=True),
    }
    # Most values are of no such form, which their length tells at once.
    rest = table.select("_lower", row=pl.int_range(pl.len()))
    read = [pl.DataFrame(schema={"row": pl.Int64, "form": pl.String, "core": pl.String})]
    for name, pattern in _FORMS:
        some = rest.filter(may[name]).select("row", form=pl.lit(name), core=pl.col("_lower").str.extract(pattern, 1))
        found = some.filter(pl.col("core").is_not_null())
        read.append(found)
        rest = rest.join(found, on="row", how="anti", maintain_order="left") if found.height else rest
    table = table.with_row_index("row").with_columns(pl.col("row").cast(pl.Int64))
    table = table.join(pl.concat(read), on="row", how="left", maintain_order="left").drop("row")
    core = pl.col("core")
    dashed = core.str.contains("-", literal=True)
    core = pl.when(dashed).then(core.str.replace_all("-", "", literal=True)).otherwise(core)
    # A 64-bit id in a 128-bit field is the same id, as B3 and Jaeger write it.
    core = pl.when(core.str.contains("^0{16}[0-9a-f]{16}$")).then(core.str.slice(16)).otherwise(core)
    table = table.with_columns(core=core)
    table = _whole_traces(_base64(table))
    # Sixteen decimal digits are a number (a time in microseconds) before they are 64 bits of hex.
    hexes = pl.col("core").is_not_null() & (
        pl.col("core").str.contains("[a-f]") | (pl.col("core").str.len_bytes() >= 32)
    )
    prefixed = pl.when(~hexes).then("value").str.contains(_PREFIXED)
    empty = pl.when(pl.col("_lower").str.slice(0, 1).is_in(["", "0", "-", ":", "."])).then("_lower")
    filled = pl.when(pl.col("core").str.slice(0, 2).is_in(["00", "ff"])).then("core")
    nothing = (
        pl.col("_lower").is_in(STOP)
        | empty.str.contains(r"^[0\-:.]*$").fill_null(value=False)
        | filled.str.contains(r"^(?:0+|f+)$").fill_null(value=False)
    )
    key = (
        pl.when(nothing)
        .then(None)
        .when(hexes)
        .then(pl.col("core"))
        .when(prefixed)
        .then("_value")
        .otherwise(pl.concat_str("kind", pl.lit("\x1f"), "_value"))
    )
    same = pl.col("core") == pl.col("value")
    return table.select("kind", "value", form=pl.when(hexes & ~same).then("form"), key=key)


def _whole_traces(table: pl.DataFrame) -> pl.DataFrame:
    """Read the lower 64 bits of a trace id, all that some SDKs log of it, as the one trace id that ends in them."""
    size = pl.col("core").str.len_bytes()
    trace = pl.col("kind") == "trace_id"
    short = table.filter(trace & (size == 16))["core"].unique()
    if short.is_empty():
        return table
    # Lower bits are drawn at random: those that two traces share are no such half.
    whole = table.filter(trace & (size == 32)).select(whole="core", core=pl.col("core").str.slice(16))
    whole = whole.unique().filter(pl.col("core").is_in(short.implode()) & (pl.len().over("core") == 1))
    table = table.join(
        whole.with_columns(kind=pl.lit("trace_id")), on=["kind", "core"], how="left", maintain_order="left"
    )
    return table.with_columns(
        form=pl.when(pl.col("whole").is_not_null()).then(pl.lit("lower_64_bits")).otherwise("form"),
        core=pl.coalesce("whole", "core"),
    ).drop("whole")


def _base64(table: pl.DataFrame) -> pl.DataFrame:
    """Read 16 or 8 bytes in base64, as protobuf's JSON mapping writes trace and span ids."""
    spans = pl.col("kind").is_in(["trace_id", "span_id"]) & pl.col("core").is_null()
    values = table.filter(spans & pl.col("value").str.contains(_BASE64))["value"].unique().to_list()
    read = {}
    for value in values:
        try:
            read[value] = base64.b64decode(value, validate=True).hex()
        except binascii.Error:
            continue
    if not read:
        return table
    core = pl.when(spans).then(pl.col("value").replace_strict(read, default=None, return_dtype=pl.String))
    return table.with_columns(
        form=pl.when(core.is_not_null()).then(pl.lit("base64")).otherwise("form"), core=pl.coalesce(core, "core")
    )
