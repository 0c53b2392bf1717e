"""What reading gives: records with their addresses, and what was learned of an input on the way."""

from __future__ import annotations

import builtins
from dataclasses import dataclass, field

import polars as pl
import pyarrow as pa

from strataline.event import FRAME, PART

__all__ = ["CHUNK", "FRAME", "HEAD", "KNOWN", "MAX_RECORD", "RECORDS", "Batch", "Reading", "conform", "framed"]

MAX_RECORD = 16 << 20
"""Bytes of the longest record that is kept."""

CHUNK = 16 << 20
"""Bytes of the stream that are taken at once."""

HEAD = 1 << 20
"""Bytes of the stream that encoding, container and envelopes are told from, whatever the chunk."""

KNOWN = pl.List(pl.Struct({"key": pl.String, "value": pl.String}))

RECORDS = pl.Schema(
    {
        "line": pl.Int64(),
        "offset": pl.Int64(),
        "length": pl.Int64(),
        "parts": pl.List(PART),
        "inner": pl.Int64(),
        "text": pl.Binary(),
        "raw": pl.Boolean(),
        "fault": pl.String(),
        "detail": pl.String(),
        "envelope": KNOWN,
    }
)
"""The columns of a batch.

``line`` is the physical line that the record begins on, from 1 (null in a table); ``offset`` its first byte in the
decompressed stream, or its row from 0; ``length`` its bytes (of all parts together), or 1 for a row; ``parts`` where
they lie if not in one piece; ``inner`` which of several records at that address it is, from 0; ``text`` what it says,
UTF-8 where the encoding is known (null: over the cap; of a fault, what is kept of it); ``raw`` whether that is the very
bytes at the address; ``fault`` the reason of the reject that it is already known to be, or `FRAME`; ``detail`` what
exactly was met;
``envelope`` what the wrappers around it knew.
"""


@dataclass(frozen=True)
class Batch:
    """Records that lie one after another, in order of offset where no parts were put together: as `RECORDS`."""

    records: pl.DataFrame


@dataclass
class Reading:
    """What is known of an input once all of its batches were taken.

    Args:
        compression: gz, zst, bz2, xz, lz4, or several from the outermost inwards (``gz+xz``); null for none.
        container: lines, array, documents, list, csv, sse, parquet, arrow, sqlite, tar, zip, …
        digest: SHA-256 of the file (or archive member) as it lies there.
        bytes: its size.
        stream_digest: SHA-256 of the decompressed stream; of a table in a database, of that and the table's name.
        stream_bytes: its size.
        lines: physical lines.
        record_bytes: bytes that belong to records.
        separator_bytes: bytes between them.
        encoding: if it is not UTF-8.
        envelopes: wrappers that were taken off, from the outermost inwards.
        wrapped: records that lay in the outermost of them.
        cut: why the stream ended early; null where it did not.
        problem: why nothing of it could be read; null where it could.
        notes: topic, detail and count of what else was met.
        not_ascii: records that hold more than ASCII, where no encoding was told.
        not_utf8: those of them that are not UTF-8.
        doubtful: some of the latter.
    """

    compression: str | None = None
    container: str = "lines"
    digest: str = ""
    bytes: int = 0
    stream_digest: str = ""
    stream_bytes: int = 0
    lines: int = 0
    record_bytes: int = 0
    separator_bytes: int = 0
    encoding: str | None = None
    envelopes: tuple[str, ...] = ()
    wrapped: int = 0
    cut: str | None = None
    problem: str | None = None
    notes: list[tuple[str, str, int]] = field(default_factory=list)
    not_ascii: int = 0
    not_utf8: int = 0
    doubtful: list[builtins.bytes] = field(default_factory=list)


def framed(line: object, offset: object, length: object, text: pa.Array) -> pl.DataFrame:
    """A frame of records: ``line``, ``offset`` and ``length`` (whole numbers), and ``text`` (Arrow binary)."""
    schema = {name: RECORDS[name] for name in ("line", "offset", "length")}
    column = pl.from_arrow(text)
    assert isinstance(column, pl.Series)  # noqa: S101 - an array is a series
    frame = pl.DataFrame({"line": line, "offset": offset, "length": length}, schema=schema)
    return frame.with_columns(column.cast(pl.Binary).alias("text"))


def conform(frame: pl.DataFrame) -> pl.DataFrame:
    """Return `frame` with exactly the columns of `RECORDS`; one that is missing is as for a plain record."""
    plain = {"inner": 0, "raw": True}
    return frame.select(
        (pl.col(name) if name in frame.columns else pl.lit(plain.get(name))).cast(kind).alias(name)
        for name, kind in RECORDS.items()
    )
