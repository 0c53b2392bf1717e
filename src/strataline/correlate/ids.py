"""Step 1, normalise ids: one key for each spelling of the same value, and none for values that name nothing.

Two events join where they hold equal keys. A value with enough entropy (a UUID, 64 bits of hex, a declared prefix
with 16 characters behind it) joins whatever the kind; any other joins within its kind only: user 42 is not
decision 42. Sources of the forms: W3C Trace Context, the X-Ray, Cloud Trace and B3 header pages, protobuf's JSON
mapping (base64 bytes), RFC 9562.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import replace

import polars as pl

from strataline.correlate.work import Work

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
    """Add ``key`` to ids and refs; leave out values that name nothing, and say so.

    ``span_id`` and ``parent_id`` of the events become keys as well; ``parent_raw`` keeps the latter as written.
    """
    spans = [
        work.events.select(kind=pl.lit("span_id"), value=name).drop_nulls().unique()
        for name in ("span_id", "parent_id")
    ]
    every = pl.concat([work.ids.select("kind", "value"), work.refs.select("kind", "value"), *spans])
    table = key_table(every.unique().sort("kind", "value"))
    stopped = table.filter(pl.col("key").is_null())
    # Numbers in the order of the keys: every later step compares them, and numbers are quick to compare.
    table = table.with_columns(key=pl.col("key").rank("dense").cast(pl.Int64))
    events = work.events.with_columns(parent_raw="parent_id")
    for name in ("span_id", "parent_id"):
        keys = table.filter(pl.col("kind") == "span_id").select(pl.col("value").alias(name), "key")
        events = events.join(keys, on=name, how="left", maintain_order="left").drop(name).rename({"key": name})
    work = replace(work, events=events, ids=_with_keys(work.ids, table), refs=_with_keys(work.refs, table))
    changed = table.filter(pl.col("form").is_not_null()).group_by("kind", "form").len().sort("kind", "form")
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


def key_table(distinct: pl.DataFrame) -> pl.DataFrame:
    """Keys of id values.

    Args:
        distinct: kind, value.

    Returns:
        kind, value, ``form`` (which other spelling was read; null where the value is used as written) and
        ``key`` (null for a value that names nothing).
    """
    lower = pl.col("value").str.strip_chars().str.to_lowercase()
    table = distinct.with_columns(_lower=lower)
    form, core = pl.lit(None, pl.String), pl.lit(None, pl.String)
    for name, pattern in reversed(_FORMS):
        found = pl.col("_lower").str.extract(pattern, 1)
        form = pl.when(found.is_not_null()).then(pl.lit(name)).otherwise(form)
        core = pl.when(found.is_not_null()).then(found.str.replace_all("-", "", literal=True)).otherwise(core)
    # A 64-bit id in a 128-bit field is the same id, as B3 and Jaeger write it.
    core = pl.when(core.str.contains("^0{16}[0-9a-f]{16}$")).then(core.str.slice(16)).otherwise(core)
    table = table.with_columns(form=form, core=core)
    table = _base64(table)
    # Sixteen decimal digits are a number (a time in microseconds) before they are 64 bits of hex.
    hexes = pl.col("core").is_not_null() & (
        pl.col("core").str.contains("[a-f]") | (pl.col("core").str.len_bytes() >= 32)
    )
    prefixed = pl.col("value").str.contains(_PREFIXED)
    nothing = (
        pl.col("_lower").is_in(STOP)
        | pl.col("_lower").str.contains(r"^[0\-:.]*$")
        | (pl.col("core").is_not_null() & pl.col("core").str.contains(r"^(?:0+|f+)$"))
    )
    key = (
        pl.when(nothing)
        .then(None)
        .when(hexes)
        .then(pl.col("core"))
        .when(prefixed)
        .then(pl.col("value").str.strip_chars())
        .otherwise(pl.concat_str("kind", pl.lit("\x1f"), pl.col("value").str.strip_chars()))
    )
    same = pl.col("core") == pl.col("value")
    return table.select("kind", "value", form=pl.when(hexes & ~same).then("form"), key=key)


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


def _with_keys(ids: pl.DataFrame, table: pl.DataFrame) -> pl.DataFrame:
    return ids.join(
        table.select("kind", "value", "key"), on=["kind", "value"], how="left", maintain_order="left"
    ).filter(pl.col("key").is_not_null())
