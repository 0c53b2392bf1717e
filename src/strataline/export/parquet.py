"""Tables to Parquet: byte for byte the same for the same rows, and what each column means beside it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from strataline.errors import CaseError
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


def read(table: Table, file: Path, columns: Sequence[str] | None = None) -> pl.DataFrame:
    """Read the Parquet file of `table`, or `columns` of it alone.

    Raises:
        OSError, polars.exceptions.PolarsError: if it cannot be read.
        ValueError: if its columns are not those of the table.
    """
    return _read(table, file, _schema(table, file), columns)


def _schema(table: Table, file: Path) -> pl.Schema:
    """The columns of `file`, which are those of `table`."""
    known = pl.Schema(pl.read_parquet_schema(file))
    table.conform(pl.DataFrame(schema=known))
    return known


def _read(table: Table, file: Path, known: pl.Schema, columns: Sequence[str] | None) -> pl.DataFrame:
    names = table.names if columns is None else columns
    there = [name for name in names if name in known]
    # Of a table without any of them, its rows count all the same.
    frame = pl.read_parquet(file, columns=there or list(known)[:1], glob=False, hive_partitioning=False)
    return _whole(table, known, frame).select(names)


def _whole(table: Table, known: pl.Schema, frame: pl.DataFrame) -> pl.DataFrame:
    """`frame` with the columns and dtypes of `table`: a case of another version may lack some, or have others."""
    lacking = (pl.lit(None, dtype=table.schema[name]).alias(name) for name in table.names if name not in known)
    other = (
        pl.col(n).cast(table.schema[n]) for n in frame.columns if n in table.schema and known[n] != table.schema[n]
    )
    return frame.with_columns(*lacking, *other)


class Stored(MutableMapping[str, pl.DataFrame]):
    """Tables that lie in files: each is read when it is first asked for, and some columns of it without the others.

    Args:
        folder: where they lie, one file each.
        tables: which.

    Raises:
        CaseError: if a file cannot be read, or its columns are not those of its table; at once for what its end says
            (no such file, no Parquet, other columns), and when a table is read for the rest.
    """

    def __init__(self, folder: Path, tables: Iterable[Table]) -> None:
        self._files = {table.name: (table, folder / f"{table.name}.parquet") for table in tables}
        self._read: dict[str, pl.DataFrame] = {}
        self._schemas = {}
        for table, file in self._files.values():
            with _readable(file):
                self._schemas[table.name] = _schema(table, file)

    def __getitem__(self, name: str) -> pl.DataFrame:
        """The whole table called `name`, which stays in memory from then on."""
        if name not in self._read:
            table, file = self._files[name]
            with _readable(file):
                self._read[name] = _read(table, file, self._schemas[name], None)
        return self._read[name]

    def __setitem__(self, name: str, frame: pl.DataFrame) -> None:
        """Take `frame` for the table called `name`, whatever its file says."""
        self._read[name] = frame

    def __delitem__(self, name: str) -> None:
        """Forget the table called `name`."""
        del self._files[name]
        self._read.pop(name, None)

    def __iter__(self) -> Iterator[str]:
        """The names of the tables."""
        return iter(self._files)

    def __len__(self) -> int:
        """How many tables there are."""
        return len(self._files)

    def narrow(self, name: str, columns: Sequence[str]) -> pl.DataFrame:
        """The table called `name`, with `columns` alone; they are read each time, unless the whole table was."""
        if name in self._read:
            return self._read[name].select(columns)
        table, file = self._files[name]
        with _readable(file):
            return _read(table, file, self._schemas[name], columns)

    def among(self, name: str, column: str, values: pl.Series) -> pl.DataFrame:
        """The rows of the table called `name` whose `column` is one of `values`, in its order, and no others."""
        wanted = pl.col(column).is_in(values.implode())
        if name in self._read:
            return self._read[name].filter(wanted)
        table, file = self._files[name]
        known = self._schemas[name]
        with _readable(file):
            return _whole(
                table, known, pl.scan_parquet(file, glob=False, hive_partitioning=False).filter(wanted).collect()
            )


@contextmanager
def _readable(file: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, pl.exceptions.PolarsError) as problem:
        raise CaseError(f"cannot read the table: {problem}", path=str(file)) from problem
