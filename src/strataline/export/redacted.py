"""Tables without personal data and secrets: a copy of a case to export from.

What leads back to the evidence stays: ids of events and requests, sources, addresses, hashes and times. Every other
text is given to the redactor, with the name of the column or key that it stands at.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq

from strataline.event import MAP, TABLES, Table
from strataline.export.parquet import ROWS, described

Redact = Callable[[str, str], str]
"""(name of the column or key, text) → the text without what nobody is to see."""

VERBATIM = frozenset(
    {
        *("event_id", "request", "call", "refers_to", "from_event", "to_event", "to_request", "runner_up"),
        *("source", "within", "copy_of", "address", "from_address", "to_address", "format", "formats"),
        *("record_hash", "input_hash", "output_hash", "template_hash", "content_hash"),
        *("digest", "stream_digest"),
        *("layer", "kind", "relation", "method", "link_method", "order_basis", "id_kind", "reason", "topic"),
        *("time_raw", "time_kind", "time_precision", "zone", "zone_basis", "basis", "content_state"),
    }
)
"""Columns by which a record is found again, or whose values are words of this project. Keys of a log are none."""
_MEMBERS = frozenset({"kind", "role", "hash"})
"""Such members of ids, refs and documents."""

_CACHED = 1 << 16


def copy(folder: Path, into: Path, redact: Redact, requests: Sequence[str] | None = None) -> None:
    """Write the tables of the case in `folder` to the folder `into`, redacted; the rest of the case is not copied.

    Args:
        folder: a case.
        into: an empty folder.
        redact: what redacts a text.
        requests: ids of requests: the events of others are left out, but for those that links lead to.
    """
    redact = lru_cache(_CACHED)(redact)
    for table in TABLES:
        file = folder / f"{table.name}.parquet"
        kept = None if table.name != "events" or requests is None else _near(folder, requests)
        schema = described(table)
        with pq.ParquetFile(file) as stored, pq.ParquetWriter(into / file.name, schema, compression="zstd") as writer:
            for batch in stored.iter_batches(ROWS):
                frame = pl.DataFrame(pl.from_arrow(batch))
                if kept is not None:
                    frame = frame.join(kept, on="event_id", how="semi", maintain_order="left")
                made = table.to_arrow(redacted(table, frame, redact))
                writer.write_table(made.cast(schema), row_group_size=ROWS)


def _near(folder: Path, requests: Sequence[str]) -> pl.DataFrame:
    """The ``event_id`` of each event of `requests`, and of each that a link ties to one of these."""
    of = pl.scan_parquet(os.fspath(folder / "events.parquet")).filter(pl.col("request").is_in(list(requests)))
    own = of.select("event_id").collect(engine="streaming")
    links = pl.scan_parquet(os.fspath(folder / "links.parquet")).select("from_event", "to_event").drop_nulls()
    ends = ("from_event", "to_event")
    beside = [
        links.join(own.lazy(), left_on=one, right_on="event_id", how="semi").select(event_id=other).collect()
        for one, other in (ends, ends[::-1])
    ]
    return pl.concat([own, *beside]).unique()


def redacted(table: Table, frame: pl.DataFrame, redact: Redact) -> pl.DataFrame:
    """`frame`, rows of `table`, with its texts redacted."""
    changed = []
    for column in table.columns:
        name = column.name
        if name in VERBATIM or "String" not in str(column.dtype):
            continue
        series = frame[name]
        if column.dtype == pl.String():
            known = series.drop_nulls().unique(maintain_order=True)
            new = pl.Series([redact(name, text) for text in known], dtype=pl.String)
            changed.append(series.replace_strict(known, new, default=None).alias(name))
        else:
            map_ = column.dtype == MAP
            values = [_nested(name, value, redact, map_=map_) for value in series.to_list()]
            changed.append(pl.Series(name, values, dtype=column.dtype, strict=False))
    return frame.with_columns(changed)


def _nested(name: str, value: Any, redact: Redact, *, map_: bool) -> Any:
    """`value`, at the key `name`, with its texts redacted: what a map holds by its key, an id by its kind."""
    if isinstance(value, str):
        return redact(name, value)
    if isinstance(value, list):
        return [_nested(name, one, redact, map_=map_) for one in value]
    if not isinstance(value, dict):
        return value
    if map_:
        return {key: None if one is None else redact(key, one) for key, one in value.items()}
    return {
        key: one if key in _MEMBERS else _nested(value.get("kind") or key, one, redact, map_=False)
        for key, one in value.items()
    }
