"""Tables to Parquet: byte for byte the same for the same rows, and what each column means beside it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import polars as pl

from strataline.errors import CaseError
from strataline.event import EVENTS, Table
from strataline.scratch import Scratch

# A case is opened through this module: reading a table needs neither Arrow nor DuckDB.
if TYPE_CHECKING:
    import pyarrow as pa

    from strataline.export.sql import Tables

ROWS = 131_072
"""Rows of a row group."""

_COLUMNS = b"strataline.columns"
_ROW = "row of the file"
# Columns of which each is read whole; rows between two that are read at once, and how often that is worth it.
_NARROW, _NEAR, _RUNS = 16, 8192, 8


def described(table: Table) -> pa.Schema:
    """The Arrow schema of `table`; meaning and unit of each column are in the metadata of its field.

    Who reads fields without their metadata has the same in that of the file: ``strataline.columns``, one JSON object.
    """
    import pyarrow as pa

    said = {one.name: {"meaning": one.meaning, **({"unit": one.unit} if one.unit else {})} for one in table.columns}
    fields = [field.with_metadata(said[field.name]) for field in table.arrow_schema]
    whole = {
        "strataline.table": table.name,
        "strataline.meaning": table.meaning,
        "strataline.order": json.dumps(table.sort),
        _COLUMNS.decode(): json.dumps(said, ensure_ascii=False),
    }
    return pa.schema(fields, metadata=whole)


def write(table: Table, frames: pl.DataFrame | Iterable[pl.DataFrame], path: Path) -> None:
    """Write the Parquet file of `table` (zstd, row groups of 128 Ki rows).

    Args:
        table: which.
        frames: its rows; or parts of them, in their order, of which one or two are in memory at a time.
        path: the file.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = described(table)
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for part in _groups(table, [frames] if isinstance(frames, pl.DataFrame) else frames):
            arrow = part.to_arrow(compat_level=pl.CompatLevel.oldest())
            writer.write_table(pa.Table.from_arrays(arrow.columns, schema=schema), row_group_size=ROWS)


def _groups(table: Table, frames: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """The rows of `frames`, `ROWS` at a time; of no rows one empty frame."""
    rest, given = table.empty(), 0
    for frame in frames:
        whole = pl.concat([rest, table.conform(frame)]) if rest.height else table.conform(frame)
        full = whole.height - whole.height % ROWS
        for first in range(0, full, ROWS):
            yield whole.slice(first, ROWS)
        rest, given = whole.slice(full), given + full
    if rest.height or not given:
        yield rest


def export(tables: Tables, out: BinaryIO) -> int:
    """Write the chosen events as one file, in their order; return how many."""
    import pyarrow as pa
    import pyarrow.parquet as pq

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


def parts(table: Table, file: Path) -> Iterator[pl.DataFrame]:
    """The rows of the Parquet file of `table`, in their order, a row group's worth at a time.

    Raises:
        As `read`.
    """
    lazy = scan(table, file)
    for first in range(0, lazy.select(pl.len()).collect().item(), ROWS):
        yield lazy.slice(first, ROWS).collect()


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
    return frame.with_columns(_mended(table, known, names)).select(names)


def scan(table: Table, file: Path) -> pl.LazyFrame:
    """As `read`, lazily: of a column that is asked for nothing but what is wanted is read.

    Raises:
        OSError, polars.exceptions.PolarsError: if its schema cannot be read.
        ValueError: if its columns are not those of the table.
    """
    known = pl.read_parquet_schema(file)
    table.conform(pl.DataFrame(schema=known))
    lazy = pl.scan_parquet(file, glob=False, hive_partitioning=False)
    return lazy.with_columns(_mended(table, known, table.names)).select(table.names)


def _mended(table: Table, known: Mapping[str, pl.DataType], names: Iterable[str]) -> list[pl.Expr]:
    """Those of the columns that a case of another version lacks, or has with another dtype."""
    return [
        pl.lit(None, dtype=table.schema[name]).alias(name) if name not in known else pl.col(name).cast(dtype)
        for name in names
        if known.get(name) != (dtype := table.schema[name])
    ]


class Stored(Mapping[str, pl.DataFrame]):
    """Tables that lie in files: each is read when it is first asked for, and some columns of it without the others.

    Args:
        folder: where they lie, one file each.
        tables: which.
        scratch: what the folder goes with, where it does not stay; these tables hold on to it, whoever else has let go.
            Nobody minds then that a file has a second name.

    Raises:
        CaseError: if a file cannot be read, or its columns are not those of its table; at once for what its end says
            (no such file, no Parquet, other columns), and when a table is read for the rest.
    """

    def __init__(self, folder: Path, tables: Iterable[Table], scratch: Scratch | None = None) -> None:
        self._scratch = scratch
        self._files = {table.name: (table, folder / f"{table.name}.parquet") for table in tables}
        self._read: dict[str, pl.DataFrame] = {}
        self._schemas = {}
        self._stamps: dict[str, tuple[int, int, int]] = {}
        for table, file in self._files.values():
            with _readable(file):
                self._stamps[table.name] = _stamp(file)
                self._schemas[table.name] = _schema(table, file)

    def __getitem__(self, name: str) -> pl.DataFrame:
        """The whole table called `name`, which stays in memory from then on."""
        if name not in self._read:
            table, file = self._here(name)
            with _readable(file):
                self._read[name] = _read(table, file, self._schemas[name], None)
        return self._read[name]

    def __iter__(self) -> Iterator[str]:
        """The names of the tables."""
        return iter(self._files)

    def __len__(self) -> int:
        """How many tables there are."""
        return len(self._files)

    def write(self, table: Table, path: Path) -> None:
        """Write the Parquet file of `table`; the one that it lies in, where that is as it would be written."""
        _, file = self._here(table.name)
        if self._schemas[table.name] != table.schema:
            write(table, self[table.name], path)
            return
        try:
            if self._scratch is not None:
                path.hardlink_to(file)
                return
        except OSError:  # it is on another file system, or on one without links
            pass
        shutil.copyfile(file, path)

    def _here(self, name: str) -> tuple[Table, Path]:
        """The table called `name` and its file, which is the one that there was."""
        table, file = self._files[name]
        with _readable(file):
            if _stamp(file) != self._stamps[name]:
                raise ValueError("it was written anew since the case was opened")
        return table, file

    def narrow(self, name: str, columns: Sequence[str]) -> pl.DataFrame:
        """The table called `name`, with `columns` alone; they are read each time, unless the whole table was."""
        if name in self._read:
            return self._read[name].select(columns)
        table, file = self._here(name)
        with _readable(file):
            return _read(table, file, self._schemas[name], columns)

    def only(self, name: str, wanted: pl.Expr, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """The rows of the table called `name` of which `wanted` holds; the others do not stay in memory."""
        if name in self._read:
            found = self._read[name].filter(wanted)
            return found if columns is None else found.select(columns)
        table, file = self._here(name)
        with _readable(file):
            return _only(scan(table, file), wanted, table.names if columns is None else columns)


def _stamp(file: Path) -> tuple[int, int, int]:
    """Another for another file, or one that was written to."""
    state = file.stat()
    return state.st_ino, state.st_mtime_ns, state.st_size


def _only(table: pl.LazyFrame, wanted: pl.Expr, columns: Sequence[str]) -> pl.DataFrame:
    """The rows of which `wanted` holds, which mostly lie near each other, such as those of a request.

    A filter reads every column of every row group: 15 times as long as to look for the rows first, and then to read
    where they lie.
    """
    if len(columns) <= _NARROW:
        return table.filter(wanted).select(columns).collect(engine="streaming")
    here = table.with_row_index(_ROW).filter(wanted).select(_ROW).collect(engine="streaming")[_ROW].cast(pl.Int64)
    places = here.to_frame().group_by((here.diff().fill_null(0) > _NEAR).cum_sum().alias("run"), maintain_order=True)
    runs = places.agg(pl.col(_ROW).min().alias("first"), pl.col(_ROW)).drop("run")
    if runs.height > _RUNS:
        return table.filter(wanted).select(columns).collect(engine="streaming")
    found = [
        table.slice(first, rows[-1] - first + 1).select(columns).collect()[[row - first for row in rows]]
        for first, rows in runs.iter_rows()
    ]
    return pl.concat(found) if found else table.clear().select(columns).collect()


@contextmanager
def _readable(file: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, pl.exceptions.PolarsError) as problem:
        raise CaseError(f"cannot read the table: {problem}", path=str(file)) from problem
