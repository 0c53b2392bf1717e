"""Rows of Parquet, Arrow IPC and SQLite as records: one JSON object per row, in column order.

What JSON has no word for is written so that nothing of it is lost, and a path reads it as it reads a log's own JSON:
times as ISO 8601 (with ``Z`` where they have a zone, without where they have none), decimals as text with all their
digits, durations as ISO 8601, binary as text where it is UTF-8 and else as ``0x`` and hex, maps as objects. NaN and
infinity are null: in a table they say that there is no number.
"""

from __future__ import annotations

import json
import math
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from strataline.read.delimited import distinct

TABLE_MAGIC: Mapping[bytes, str] = {
    b"PAR1": "parquet",
    b"ARROW1": "arrow",
    b"SQLite format 3\x00": "sqlite",
    b"\xff\xff\xff\xff": "arrow",  # a stream: a continuation mark, then the length of the schema
}
"""First bytes of a file → its kind."""

DAMAGED = "damaged_table"
"""The fault of rows that cannot be read: ``length`` is how many, as far as that is known, else 1."""

DESERIALIZED = 512 << 20
"""Bytes of the largest database that is read without a file of its own."""

_PART = 4 << 20
"""Bytes of rows that are turned to JSON at once, as far as they can be estimated."""

_ROWS = 2048
"""Rows that are turned to JSON at once."""

_TRIES = 64
"""Damaged places of a SQLite table that are passed."""

_READ_ERRORS = (
    pa.ArrowException,
    OSError,
    EOFError,
    MemoryError,
    OverflowError,
    RecursionError,
    KeyError,
    TypeError,
    ValueError,
    NotImplementedError,
)
"""What Arrow raises on damaged bytes: the file says what is to be read, and may say anything."""


@dataclass
class Table:
    """Rows of one table.

    Args:
        name: its name in the database; null for a file that is one table.
        frames: its rows: line (null), offset (row from 0), length (1), text, raw (false), fault and detail. To be
            taken before the next table is asked for.
        problem: why it, or the rest of it, could not be read. Known once `frames` are taken.
    """

    name: str | None
    frames: Iterator[pl.DataFrame]
    problem: str | None = None


def read_tables(kind: str, file: BinaryIO | Path, max_record: int) -> Iterator[Table]:
    """Yield the tables of a file, in order of name.

    Memory follows the size of a row group or record batch, not of the file. A path is opened read-only, and nothing
    is written beside it.

    Args:
        kind: parquet, arrow or sqlite (a value of `TABLE_MAGIC`).
        file: where it lies, or a seekable file object.
        max_record: bytes of the longest row, as JSON, that is kept: a longer one has text null.

    Raises:
        OSError: if the path cannot be opened.
    """
    if kind == "sqlite":
        yield from _database(file, max_record)
        return
    with ExitStack() as opened:
        stream = opened.enter_context(file.open("rb")) if isinstance(file, Path) else file
        table = Table(None, iter(()))
        rows = _parquet(stream, table) if kind == "parquet" else _arrow(stream, table)
        table.frames = _frames(_rendered(rows), max_record)
        yield table


# --- Rows to frames ---------------------------------------------------------------------------------------------

_Rows: TypeAlias = "pa.RecordBatch | tuple[int, str]"
"""Rows, or how many of them cannot be read, and why."""

_Texts: TypeAlias = pl.Series | tuple[int, str]


def _rendered(parts: Iterator[_Rows]) -> Iterator[_Texts]:
    """Turn rows to JSON. Small batches are put together first: each query has its price."""
    held: list[pa.RecordBatch] = []
    rows = size = 0
    with closing(_Renderer()) as renderer:
        for part in parts:
            batch = None if isinstance(part, tuple) else part
            full = batch is not None and (rows + batch.num_rows > _ROWS or size + batch.nbytes > _PART)
            if held and (batch is None or full or not held[0].schema.equals(batch.schema)):
                yield from renderer.render_all(held)
                held, rows, size = [], 0, 0
            if batch is None:
                yield part
            else:
                held.append(batch)
                rows, size = rows + batch.num_rows, size + batch.nbytes
        if held:
            yield from renderer.render_all(held)


def _frames(parts: Iterator[_Texts], max_record: int) -> Iterator[pl.DataFrame]:
    """Number the rows, and put small parts together."""
    row, held, size = 0, list[pl.DataFrame](), 0
    for part in parts:
        if isinstance(part, tuple):
            frame = pl.DataFrame({"text": [b""], "length": [part[0]], "fault": [DAMAGED], "detail": [part[1]]})
        else:
            frame = pl.DataFrame({"text": part, "length": 1, "fault": None, "detail": None})
        frame = frame.select(
            line=pl.lit(None, pl.Int64),
            offset=row + pl.col("length").cum_sum() - pl.col("length"),
            length=pl.col("length").cast(pl.Int64),
            text=pl.when(pl.col("text").bin.size() <= max_record).then("text"),
            raw=pl.lit(value=False),
            fault=pl.col("fault").cast(pl.String),
            detail=pl.col("detail").cast(pl.String),
        )
        row += int(frame["length"].sum())
        held.append(frame.with_columns(pl.col("offset").cast(pl.Int64)))
        size += int(frame["text"].bin.size().sum() or 0) + 64 * frame.height
        if size >= _PART:
            yield pl.concat(held)
            held, size = [], 0
    if held:
        yield pl.concat(held)


# --- Arrow rows to JSON -----------------------------------------------------------------------------------------


class _Renderer:
    """Turns Arrow rows to JSON: leaves to what JSON has words for, then all of it in one DuckDB query."""

    def __init__(self) -> None:
        # One thread: rows keep their order, and workers are elsewhere.
        self._connection = duckdb.connect(
            config={"enable_external_access": False, "autoinstall_known_extensions": False, "threads": 1}
        )

    def close(self) -> None:
        self._connection.close()

    def render_all(self, batches: list[pa.RecordBatch]) -> Iterator[_Texts]:
        """Give the rows of `batches`, in one query if that can be."""
        try:
            yield self.render(batches[0] if len(batches) == 1 else pa.concat_batches(batches))
        except _READ_ERRORS:
            for batch in batches if len(batches) > 1 else ():
                yield from self.render_all([batch])
            if len(batches) == 1:
                rows = batches[0].num_rows
                yield rows, f"{rows} rows hold values that are not of their type"

    def render(self, batch: pa.RecordBatch) -> pl.Series:
        """One JSON object per row."""
        names = distinct(batch.schema.names)
        columns = [_plain(column) for column in batch.columns]
        if not columns:
            return pl.Series([b"{}"] * batch.num_rows, dtype=pl.Binary)
        if all(_is_simple(column.type) for column in columns):
            try:
                return self._by_columns(names, columns)
            except duckdb.Error:
                pass  # a map with the same key twice
        return _by_rows(names, columns)

    def _by_columns(self, names: Sequence[str], columns: list[pa.Array]) -> pl.Series:
        # Names go into the text alone: DuckDB holds `A` and `a` for one.
        keys = [json.dumps(name, ensure_ascii=False).replace("'", "''") for name in names]
        cells = ", ".join(
            f"'{',' if at else ''}{key}:', coalesce(CAST(to_json(c{at}) AS VARCHAR), 'null')"
            for at, key in enumerate(keys)
        )
        rows = pa.table(dict(zip((f"c{at}" for at in range(len(columns))), columns, strict=True)))
        self._connection.register("rows", rows)
        try:
            made = self._connection.sql(f"SELECT encode(concat('{{', {cells}, '}}')) AS text FROM rows")
            text = pl.from_arrow(made.to_arrow_table())
        finally:
            self._connection.unregister("rows")
        assert isinstance(text, pl.DataFrame)  # noqa: S101 - a table never becomes a series
        return text["text"].cast(pl.Binary)


def _by_rows(names: Sequence[str], columns: list[pa.Array]) -> pl.Series:
    """The same row by row, for what DuckDB has no type for."""
    values = [[_value(one, column.type) for one in column.to_pylist()] for column in columns]
    dumps = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=str).encode
    texts = [dumps(dict(zip(names, row, strict=True))).encode(errors="replace") for row in zip(*values, strict=True)]
    return pl.Series(texts, dtype=pl.Binary)


def _value(value: Any, kind: pa.DataType) -> Any:
    """`value` of an Arrow type as what `json` writes: maps as objects, no name twice."""
    if value is None:
        return None
    if pa.types.is_map(kind):
        keys = distinct([str(key) for key, _ in value])
        return {key: _value(item, kind.item_type) for key, (_, item) in zip(keys, value, strict=True)}
    if pa.types.is_struct(kind):
        return {name: _value(item, kind.field(name).type) for name, item in value.items()}
    if hasattr(kind, "value_type"):
        return [_value(item, kind.value_type) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _is_simple(kind: pa.DataType) -> bool:
    """Whether DuckDB writes values of this type as they are."""
    if pa.types.is_struct(kind):
        names = [kind.field(at).name.lower() for at in range(kind.num_fields)]
        sound = bool(names) and all(names) and len(set(names)) == len(names)
        return sound and all(_is_simple(kind.field(at).type) for at in range(kind.num_fields))
    if pa.types.is_map(kind):
        return _is_simple(kind.item_type)
    if pa.types.is_large_list(kind):
        return _is_simple(kind.value_type)
    return bool(pa.types.is_large_string(kind) or pa.types.is_integer(kind) or kind in (pa.bool_(), pa.float64()))


def _plain(array: pa.Array) -> pa.Array:
    """`array` in types of JSON: large_string, integers, float64, bool, large_list, struct and map of these."""
    kind = array.type
    types = pa.types
    if isinstance(kind, pa.BaseExtensionType):
        return _uuids(array.storage) if str(kind) == "extension<arrow.uuid>" else _plain(array.storage)
    if types.is_dictionary(kind):
        return _plain(array.cast(kind.value_type))
    if types.is_run_end_encoded(kind):
        return _plain(pc.run_end_decode(array))
    if types.is_integer(kind) or types.is_boolean(kind) or types.is_large_string(kind):
        return array
    if types.is_floating(kind):
        # By way of text: 0.1 stays 0.1 when it gets wider.
        wide = array if types.is_float64(kind) else array.cast(pa.string()).cast(pa.float64())
        return pc.if_else(pc.is_finite(wide), wide, pa.scalar(None, pa.float64()))
    if types.is_timestamp(kind):
        return _timestamps(array)
    if types.is_duration(kind):
        return _durations(array)
    if types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind):
        return _texts(array)
    if str(kind) == "binary_view":
        return _texts(array.cast(pa.large_binary()))
    if types.is_struct(kind):
        return _struct(array)
    if types.is_map(kind):
        return _map(array)
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return _list(array.cast(pa.large_list(kind.value_type)))
    if types.is_null(kind) or types.is_string(kind) or types.is_date(kind) or types.is_time(kind):
        return array.cast(pa.large_string())
    if types.is_decimal(kind) or str(kind) == "string_view":
        return array.cast(pa.large_string())
    if types.is_list_view(kind) or types.is_large_list_view(kind):
        # Through Python: Arrow 26 loses values when it casts a view that does not begin at its first value.
        return _plain(pa.array(array.to_pylist(), pa.large_list(kind.value_type)))
    # Intervals, unions: as Python writes them.
    return pa.array([None if one is None else str(one) for one in array.to_pylist()], pa.large_string())


def _struct(array: pa.StructArray) -> pa.Array:
    kind = array.type
    names = distinct([kind.field(at).name for at in range(kind.num_fields)])
    if not names:
        return array
    return pa.StructArray.from_arrays([_plain(one) for one in array.flatten()], names=list(names), mask=array.is_null())


def _list(array: pa.LargeListArray) -> pa.Array:
    if _plain_type(array.type.value_type):
        return array
    # `offsets` knows of a slice, `values` does not: the offsets point into all of them.
    offsets = pa.array(array.offsets.to_numpy(zero_copy_only=False), pa.int64())
    return pa.LargeListArray.from_arrays(offsets, _plain(array.values), mask=array.is_null())


def _plain_type(kind: pa.DataType) -> bool:
    return bool(pa.types.is_large_string(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind))


def _map(array: pa.MapArray) -> pa.Array:
    # An offset that is null makes its map null.
    offsets = array.offsets.to_numpy(zero_copy_only=False)
    nulls = np.append(array.is_null().to_numpy(zero_copy_only=False), False)
    keys = _plain(array.keys)
    if not pa.types.is_large_string(keys.type):
        keys = _plain(keys.cast(pa.string()))
    return pa.MapArray.from_arrays(
        pa.array(offsets, pa.int32(), mask=nulls), keys.cast(pa.string()), _plain(array.items)
    )


def _timestamps(array: pa.Array) -> pa.Array:
    """ISO 8601; a point in time ends in ``Z``. What has no year of four digits stays a number."""
    unit, zone = array.type.unit, array.type.tz
    ticks = array.cast(pa.int64())
    per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    first, last = (max(-(2**63), min(edge * per_second, 2**63 - 1)) for edge in (-62135596800, 253402300799))
    sound = pc.and_(pc.greater_equal(ticks, first), pc.less_equal(ticks, last))
    text = pc.strftime(pc.if_else(sound, ticks, 0).cast(pa.timestamp(unit)), format="%Y-%m-%dT%H:%M:%S")
    if zone is not None:
        text = pc.binary_join_element_wise(text, "Z", "")
    return pc.if_else(sound, text, ticks.cast(pa.string())).cast(pa.large_string())


def _durations(array: pa.Array) -> pa.Array:
    """ISO 8601, in seconds: ``PT90.5S``."""
    per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[array.type.unit]
    made: list[str | None] = []
    for ticks in array.cast(pa.int64()).to_pylist():
        if ticks is None:
            made.append(None)
            continue
        seconds, rest = divmod(abs(ticks), per_second)
        part = f".{rest:0{len(str(per_second)) - 1}d}".rstrip("0") if rest else ""
        made.append(f"{'-' if ticks < 0 else ''}PT{seconds}{part}S")
    return pa.array(made, pa.large_string())


def _texts(array: pa.Array) -> pa.Array:
    """Binary as text where it is UTF-8, else as hex."""
    try:
        return array.cast(pa.large_binary()).cast(pa.large_string())
    except pa.ArrowInvalid:
        return pa.array([None if one is None else _text(one) for one in array.to_pylist()], pa.large_string())


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return "0x" + value.hex()


def _uuids(array: pa.Array) -> pa.Array:
    made = []
    for one in array.to_pylist():
        h = None if one is None else one.hex()
        made.append(None if h is None else f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}")
    return pa.array(made, pa.large_string())


# --- Parquet ----------------------------------------------------------------------------------------------------


def _parquet(file: BinaryIO, table: Table) -> Iterator[_Rows]:
    try:
        size = file.seek(0, 2)
        file.seek(max(0, size - 4))
        end = file.read(4)
        file.seek(0)
        if size < 12 or end not in (b"PAR1", b"PARE"):
            table.problem = "the Parquet file has no footer at its end: it is cut, or was not finished"
            return
        if end == b"PARE":
            table.problem = "the Parquet file is encrypted"
            return
        parquet = pq.ParquetFile(file, pre_buffer=False, buffer_size=1 << 18, page_checksum_verification=True)
        groups = parquet.metadata.num_row_groups
    except _READ_ERRORS:
        table.problem = "the footer of the Parquet file cannot be read: it is damaged, or of an unknown kind"
        return
    for run in _runs(parquet.metadata):
        if len(run) > 1:
            try:
                batches = list(parquet.iter_batches(_ROWS, row_groups=run, use_threads=False))
            except _READ_ERRORS:
                pass  # one by one, to tell which
            else:
                for batch in batches:
                    yield from _sound(batch, table, f"row groups {run[0] + 1} to {run[-1] + 1} of {groups}")
                continue
        for group in run:
            yield from _row_group(parquet, group, table)


def _runs(about: Any) -> Iterator[list[int]]:
    """Row groups that are read together: many small ones would each have their price."""
    run: list[int] = []
    rows = size = 0
    for group in range(about.num_row_groups):
        one = about.row_group(group)
        if run and (rows + one.num_rows > _ROWS or size + one.total_byte_size > _PART):
            yield run
            run, rows, size = [], 0, 0
        run.append(group)
        rows, size = rows + one.num_rows, size + one.total_byte_size
    if run:
        yield run


def _row_group(parquet: pq.ParquetFile, group: int, table: Table) -> Iterator[_Rows]:
    """One row group: what of it cannot be read is one record."""
    about = parquet.metadata.row_group(group)
    where = f"row group {group + 1} of {parquet.metadata.num_row_groups}"
    rows = max(1, min(_ROWS, _PART * about.num_rows // max(1, about.total_byte_size)))
    given = 0
    try:
        for batch in parquet.iter_batches(rows, row_groups=[group], use_threads=False):
            yield from _sound(batch, table, where)
            given += batch.num_rows
    except _READ_ERRORS:
        lost = about.num_rows - given
        if lost > 0:
            yield lost, f"{lost} rows of {where} cannot be read"


def _sound(batch: pa.RecordBatch, table: Table, where: str) -> Iterator[_Rows]:
    """Give `batch` in parts of limited size, if its values keep what its types promise."""
    if not batch.num_rows:
        return
    try:
        # Invalid UTF-8 and offsets that point elsewhere would end the process, or a query.
        batch.validate(full=True)
    except pa.ArrowException:
        good = _mended(batch)
        if good is None:
            table.problem = table.problem or f"rows of {where} hold values that are not of their type"
            yield batch.num_rows, f"{batch.num_rows} rows of {where} hold values that are not of their type"
            return
        batch = good
    step = max(1, min(_ROWS, _PART * batch.num_rows // max(1, batch.nbytes)))
    for start in range(0, batch.num_rows, step):
        yield batch.slice(start, step)


def _mended(batch: pa.RecordBatch) -> pa.RecordBatch | None:
    """`batch` with text as binary where some is not UTF-8; None if something else is wrong."""
    columns = []
    for column in batch.columns:
        try:
            column.validate(full=True)
        except pa.ArrowException:
            try:
                # Only a view: a cast would follow offsets that may point anywhere.
                column = column.view(_as_binary(column.type))
                column.validate(full=True)
            except pa.ArrowException:
                return None
        columns.append(column)
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def _as_binary(kind: pa.DataType) -> pa.DataType:
    """`kind` with binary for text."""
    types = pa.types
    if types.is_string(kind):
        return pa.binary()
    if types.is_large_string(kind):
        return pa.large_binary()
    if types.is_struct(kind):
        fields = [kind.field(at) for at in range(kind.num_fields)]
        return pa.struct([one.with_type(_as_binary(one.type)) for one in fields])
    if types.is_map(kind):
        return pa.map_(_as_binary(kind.key_type), _as_binary(kind.item_type))
    if types.is_list(kind):
        return pa.list_(_as_binary(kind.value_type))
    if types.is_large_list(kind):
        return pa.large_list(_as_binary(kind.value_type))
    if types.is_dictionary(kind):
        return _as_binary(kind.value_type)
    return kind


# --- Arrow IPC --------------------------------------------------------------------------------------------------


def _arrow(file: BinaryIO, table: Table) -> Iterator[_Rows]:
    try:
        begun = file.read(6) == b"ARROW1"
        file.seek(0)
        if begun:
            try:
                whole = pa.ipc.open_file(file)
            except _READ_ERRORS:
                # No footer. What stands before it is a stream, eight bytes in.
                file.seek(8)
            else:
                yield from _arrow_file(file, whole, table)
                return
        stream = pa.ipc.open_stream(file)
    except _READ_ERRORS:
        table.problem = "the schema of the Arrow file cannot be read: it is cut or damaged"
        return
    if begun:
        table.problem = (
            "the Arrow file has no footer at its end: it is cut, or was not finished; its sound batches are read"
        )
    given = 0
    while True:
        try:
            batch = stream.read_next_batch()
        except StopIteration:
            return
        except _READ_ERRORS:
            table.problem = f"the Arrow stream ends in the middle, or is damaged, after {given} rows"
            return
        yield from _sound(batch, table, "a record batch")
        given += batch.num_rows


def _arrow_file(file: BinaryIO, whole: pa.RecordBatchFileReader, table: Table) -> Iterator[_Rows]:
    count = whole.num_record_batches
    for at in range(count):
        where = f"record batch {at + 1} of {count}"
        try:
            batch = whole.get_batch(at)
        except _READ_ERRORS:
            rows = _rows_of(file, at, len(whole.schema))
            table.problem = table.problem or f"{where} cannot be read"
            yield rows, f"{where} cannot be read"
            continue
        yield from _sound(batch, table, where)


def _rows_of(file: BinaryIO, at: int, columns: int) -> int:
    """Rows of a batch that cannot be read, by a column of it that can; 1 if there is none."""
    for column in range(columns):
        try:
            file.seek(0)
            options = pa.ipc.IpcReadOptions(included_fields=[column])
            return int(pa.ipc.open_file(file, options=options).get_batch(at).num_rows) or 1
        except _READ_ERRORS:
            continue
    return 1


# --- SQLite -----------------------------------------------------------------------------------------------------


def _database(file: BinaryIO | Path, max_record: int) -> Iterator[Table]:
    with ExitStack() as opened:
        try:
            connection = _connected(file, opened)
            if connection is None:
                size = DESERIALIZED >> 20
                yield Table(None, iter(()), f"the database is larger than {size} MiB: unpack it, and name it as a file")
                return
            connection.text_factory = bytes
            connection.execute("PRAGMA query_only=ON")
            connection.execute("PRAGMA trusted_schema=OFF")
            found = connection.execute("PRAGMA main.table_list").fetchall()
        except sqlite3.Error as problem:
            yield Table(None, iter(()), _complaint(problem, 0))
            return
        # A shadow table is how a virtual table keeps the rows that are read from that one.
        listed = sorted((_text(name), bool(without)) for _, name, kind, _, without, *_ in found if kind != b"shadow")
        listed = [one for one in listed if not one[0].lower().startswith("sqlite_")]
        for name, without_rowid in listed:
            kinds = {_text(row[1]): row[2] for row in found}
            if kinds[name] == b"view":
                continue  # its rows are those of tables
            table = Table(name, iter(()))
            table.frames = _frames(_selected(connection, table, kinds[name] == b"virtual", without_rowid), max_record)
            yield table


def _connected(file: BinaryIO | Path, opened: ExitStack) -> sqlite3.Connection | None:
    """Open a database; None if it is too large to be read without a file."""
    if isinstance(file, Path):
        beside = [file.with_name(file.name + end) for end in ("-wal", "-journal")]
        beside = [one for one in beside if one.is_file() and one.stat().st_size]
        if not beside:
            uri = f"{file.absolute().as_uri()}?mode=ro&immutable=1"
            return opened.enter_context(closing(sqlite3.connect(uri, uri=True, check_same_thread=False)))
        # Rows may still be in the log, or have to be taken back by the journal: both write to the folder.
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory()))
        for one in (file, *beside):
            shutil.copyfile(one, folder / ("db" + one.name.removeprefix(file.name)))
        return opened.enter_context(closing(sqlite3.connect(folder / "db", check_same_thread=False)))
    content = bytearray(file.read(DESERIALIZED + 1))
    if len(content) > DESERIALIZED:
        return None
    if content[18:20] == b"\x02\x02":
        content[18:20] = b"\x01\x01"  # a database with a log: memory has no place for one
    connection = opened.enter_context(closing(sqlite3.connect(":memory:", check_same_thread=False)))
    if content:
        connection.deserialize(bytes(content))
    return connection


def _selected(connection: sqlite3.Connection, table: Table, virtual: bool, without_rowid: bool) -> Iterator[_Texts]:
    """Rows of a table as JSON, in order of row id, else of primary key.

    Where a page is damaged, the rows before it and behind it are given, with one record in between: by row id, rows
    are found from either end.
    """
    name = f"main.{_quoted(table.name or '')}"
    rowid, order, where = None, "", ""
    given, last = 0, -(2**63)
    try:
        about = connection.execute(f"PRAGMA main.table_xinfo({_quoted(table.name or '')})").fetchall()
    except sqlite3.Error as problem:
        table.problem = _complaint(problem, given)
        return
    if without_rowid:
        keys = [_quoted(_text(row[1])) for row in sorted(about, key=lambda row: row[5]) if row[5]]
        order = f" ORDER BY {', '.join(keys)}" if keys else ""
    elif not virtual:
        taken = {_text(row[1]).lower() for row in about}
        rowid = next((one for one in ("rowid", "_rowid_", "oid") if one not in taken), None)
        order = "" if rowid is None else f" ORDER BY {rowid}"
    for _ in range(_TRIES):
        try:
            for part, row in _told(connection.execute(f"SELECT {rowid or 0}, * FROM {name}{where}{order}")):
                given, last = given + len(part), row
                yield part
        except sqlite3.Error as problem:
            damaged = "malformed" in str(problem)
            if damaged and rowid is not None:
                # Python's cursor is one row ahead, and loses the last sound one with the error.
                one = f"SELECT {rowid}, * FROM {name} WHERE {rowid} > {last}{order} LIMIT 1"
                with suppress(sqlite3.Error):
                    for part, row in _told(connection.execute(one)):
                        given, last = given + len(part), row
                        yield part
            complaint = _complaint(problem, given)
            table.problem = table.problem or complaint
            if given or damaged:
                yield 1, complaint
            behind = _behind(connection, name, rowid, last) if damaged and rowid is not None else None
            if behind is None:
                return
            where, last = f" WHERE {rowid} >= {behind}", behind - 1
        else:
            return


def _told(cursor: sqlite3.Cursor) -> Iterator[tuple[pl.Series, int]]:
    """Rows as JSON, some at a time, and the row id of the last. The first column is the row id, and left out."""
    names = distinct([column[0] for column in cursor.description[1:]])
    dumps = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=_sql_value).encode
    texts, size, last = list[bytes](), 0, 0
    ended = False
    while not ended:
        broken: sqlite3.Error | None = None
        try:
            row = next(cursor, None)
        except sqlite3.Error as problem:
            row, broken = None, problem
        if row is not None:
            last = row[0]
            texts.append(dumps(dict(zip(names, map(_finite, row[1:]), strict=True))).encode())
            size += len(texts[-1])
        ended = row is None
        if texts and (ended or size >= _PART or len(texts) >= _ROWS):
            yield pl.Series(texts, dtype=pl.Binary), last
            texts, size = [], 0
        if broken is not None:
            raise broken


def _behind(connection: sqlite3.Connection, name: str, rowid: str, last: int) -> int | None:
    """The first row id behind the damage that follows row id `last`; None if there is none."""
    found: int | None = None
    try:
        after = connection.execute(f"SELECT {rowid} FROM {name} WHERE {rowid} > {last} ORDER BY {rowid} LIMIT 2")
        ids = after.fetchall()
        # The tree is sound: it is that row itself, whose long text lies elsewhere.
        found = ids[1][0] if len(ids) == 2 else None
    except sqlite3.Error:
        back = f"SELECT {rowid} FROM {name} WHERE {rowid} > {last} ORDER BY {rowid} DESC"
        with suppress(sqlite3.Error):
            for row in connection.execute(back):
                found = row[0]
    return found if found is not None and found > last + 1 else None


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _sql_value(value: Any) -> Any:
    return _text(value) if isinstance(value, bytes) else str(value)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _complaint(problem: sqlite3.Error, given: int) -> str:
    """What is the matter with a database, in our words: SQLite's name none of its files, but change."""
    said = str(problem)
    if "not a database" in said:
        return "the file is no SQLite database: it is damaged or encrypted"
    if "malformed" in said or "disk I/O" in said:
        return f"the SQLite database is damaged: rows after the first {given} that can be read are lost"
    if "no such module" in said:
        return "the table needs an extension of SQLite that is not there"
    return f"the SQLite database cannot be read after {given} rows: {said}"
