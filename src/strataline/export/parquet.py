"""Tables to Parquet: byte for byte the same for the same rows, and what each column means beside it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import BinaryIO

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from strataline.event import EVENTS, Table
from strataline.export.sql import Tables

ROWS = 131_072
"""Rows of a row group."""

_COLUMNS = b"strataline.columns"


def described(table: Table) -> pa.Schema:
    """The Arrow schema of `table`; meaning and unit of each column are in the metadata of its field.

    Who reads fields without their metadata has the same in that of the file: ``strataline.columns``, one JSON object.
    """
    said = {one.name: {"meaning": one.meaning, **({"unit": one.unit} if one.unit else {})} for one in table.columns}
    fields = [field.with_metadata(said[field.name]) for field in table.arrow_schema]
    whole = {
        "strataline.table": table.name,
        "strataline.meaning": table.meaning,
        "strataline.order": json.dumps(table.sort),
        _COLUMNS.decode(): json.dumps(said, ensure_ascii=False),
    }
    return pa.schema(fields, metadata=whole)


def write(table: Table, frame: pl.DataFrame, path: Path) -> None:
    """Write `frame` as the Parquet file of `table` (zstd, one writer thread, row groups of 128 Ki rows)."""
    arrow = pa.Table.from_arrays(table.to_arrow(frame).columns, schema=described(table))
    pq.write_table(arrow, path, compression="zstd", row_group_size=ROWS)


def export(tables: Tables, out: BinaryIO) -> int:
    """Write the chosen events as one file, in their order; return how many."""
    schema, file = described(EVENTS), tables.files.get("events")
    if tables.requests is None and file is not None:
        # The file of a case is what is asked for, unless it was written before columns were described.
        known = pq.read_schema(file)
        if known.equals(schema) and (known.metadata or {}).get(_COLUMNS) == schema.metadata[_COLUMNS]:
            with file.open("rb") as whole:
                shutil.copyfileobj(whole, out, 1 << 20)
            return tables.count()
    rows = 0
    names = ", ".join(f'"{name}"' for name in EVENTS.names)
    chosen = tables.database.sql(f"SELECT {names} FROM chosen")
    with pq.ParquetWriter(out, schema, compression="zstd") as writer:
        for batch in chosen.to_arrow_reader(ROWS):
            writer.write_table(pa.Table.from_batches([batch]).cast(schema), row_group_size=ROWS)
            rows += batch.num_rows
    return rows


def read(table: Table, path: Path) -> pl.DataFrame:
    """Read the Parquet file of `table`.

    Raises:
        OSError, pyarrow.ArrowException: if it cannot be read.
        ValueError: if its columns are not those of the table.
    """
    frame = pl.from_arrow(pq.read_table(path))
    assert isinstance(frame, pl.DataFrame)  # noqa: S101 - a table never becomes a series
    return table.conform(frame)
