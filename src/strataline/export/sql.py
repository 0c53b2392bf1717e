"""The tables of a case as views in DuckDB: over the files of a folder, or over frames in memory.

Exports and queries read a case through these, so that none of them has to hold it in memory. What a connection may
touch is settled before anything is asked of it: the files of the tables, and nothing else.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO

import duckdb
import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from strataline.event import TABLES

BATCH = 2048
"""Rows that are turned into text at a time: few enough to be in the cache still when the kernel takes them."""

_MEMORY = "768MiB"


@dataclass(frozen=True)
class Tables:
    """A case, ready to be asked.

    Args:
        database: has a view for each table of the case, and ``chosen``: the events to be exported, in the order of
            ``events``.
        files: table name → its Parquet file; empty where the tables are in memory.
        requests: the requests that were chosen; null for all events, tied to a request or not.
    """

    database: duckdb.DuckDBPyConnection
    files: Mapping[str, Path]
    requests: Sequence[str] | None = None

    def count(self, where: str = "true") -> int:
        """How many chosen events there are of which `where` holds."""
        return int(self.one(f"SELECT count(*) FROM chosen WHERE {where}"))

    def one(self, query: str) -> Any:
        """The one value that `query` gives."""
        return self.database.execute(query).fetchall()[0][0]


@contextmanager
def over(
    tables: Mapping[str, Path] | Mapping[str, pl.DataFrame], requests: Sequence[str] | None = None, threads: int = 2
) -> Iterator[Tables]:
    """Open a connection with a view for each of `tables`.

    Args:
        tables: table name → its Parquet file, or its frame.
        requests: requests whose events are ``chosen``; null for all events.
        threads: how many threads a query may use. One gives aggregates of an order of their own always the same.
    """
    files = {name: one for name, one in tables.items() if isinstance(one, Path)}
    declared = {table.name: table for table in TABLES}
    config: dict[str, str | bool | int | float | list[str]] = {
        "threads": threads,
        "memory_limit": _MEMORY,
        "arrow_large_buffer_size": True,
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "python_enable_replacements": False,
    }
    with TemporaryDirectory(prefix="strataline-") as spill, duckdb.connect(config=config) as database:
        database.execute(f"SET temp_directory = {literal(spill)}")
        database.execute("SET TimeZone = 'UTC'")
        for name, one in tables.items():
            if isinstance(one, Path):
                database.execute(f"CREATE VIEW {name} AS SELECT * FROM read_parquet({literal(_pattern(one))})")
            else:
                database.register(name, declared[name].to_arrow(one))
        if "events" in tables:
            _choose(database, requests)
        # The pattern is looked up before what it finds.
        both = [place for one in files.values() for place in (os.fspath(one.absolute()), _pattern(one))]
        allowed = ", ".join(map(literal, dict.fromkeys(both)))
        database.execute(f"SET allowed_paths = [{allowed}]")
        database.execute(f"SET allowed_directories = [{literal(spill)}]")
        database.execute("SET enable_external_access = false")
        database.execute("SET lock_configuration = true")
        yield Tables(database, files, requests)


def _choose(database: duckdb.DuckDBPyConnection, requests: Sequence[str] | None) -> None:
    if requests is None:
        database.execute("CREATE VIEW chosen AS SELECT * FROM events")
        return
    database.register("given", pa.table({"request": pa.array(dict.fromkeys(requests), pa.string())}))
    database.execute("CREATE TEMP TABLE wanted AS SELECT request FROM given")
    database.execute("CREATE TEMP VIEW chosen AS SELECT * FROM events WHERE request IN (SELECT request FROM wanted)")


def _pattern(file: Path) -> str:
    """The pattern of file names that `file` alone fits: DuckDB takes every name for one."""
    return re.sub(r"([*?\[])", r"[\1]", os.fspath(file.absolute()))


def literal(text: str) -> str:
    """`text` as a literal of SQL."""
    return "'" + text.replace("'", "''") + "'"


def iso(column: str) -> str:
    """A time as ``2026-01-31T23:59:59.999Z``, with as many digits as it takes; null stays null."""
    # Not strftime with %n: of a TIMESTAMP_NS, DuckDB 2.0 reserves nine digits, writes six, and shows what lay behind.
    return f"(replace({column}::TIMESTAMP_NS::VARCHAR, ' ', 'T') || 'Z')"


def epoch_ns(column: str) -> str:
    """A time as nanoseconds since the epoch; null stays null."""
    return f"epoch_ns({column}::TIMESTAMP_NS)"


@dataclass(frozen=True)
class Odd:
    """Which lines need a second look, one by one.

    Args:
        pattern: of such a line (RE2, which Arrow and DuckDB run).
        mend: what such a line becomes.
        plain: the pattern where a line is ASCII without a delete; null where such a line is never odd.
    """

    pattern: str
    mend: Callable[[str], str]
    plain: str | None

    def places(self, lines: pa.LargeStringArray, data: memoryview) -> npt.NDArray[np.int64]:
        """Where such lines stand in `lines`, in order; `data` are their bytes."""
        odd = np.zeros(len(lines), dtype=bool)
        if self.plain is not None:
            odd |= _matched(lines, self.plain)
        # Characters by the hundred make a pattern slow, and most lines are ASCII.
        if len(data) and np.frombuffer(data, dtype=np.uint8).max() >= _DELETE:
            ascii_ = pc.string_is_ascii(lines).to_numpy(zero_copy_only=False)
            strange = np.flatnonzero(~ascii_ | _matched(lines, chr(_DELETE)))
            odd[strange] |= _matched(lines.take(pa.array(strange)), self.pattern)
        return np.flatnonzero(odd)


_DELETE = 0x7F


def _matched(lines: pa.LargeStringArray, pattern: str) -> npt.NDArray[np.bool_]:
    found: npt.NDArray[np.bool_] = pc.match_substring_regex(lines, pattern).to_numpy(zero_copy_only=False)
    return found


def write_lines(tables: Tables, line: str, out: BinaryIO, odd: Odd, where: str = "true") -> int:
    """Write one line for each chosen event, in the order of ``events``; return how many.

    Args:
        tables: the case.
        line: the line in SQL, with its end.
        out: where to.
        odd: lines that SQL alone does not make safe.
        where: which of the chosen events.
    """
    return pour(tables.database.sql(f"SELECT {line} AS line FROM chosen WHERE {where}"), out, odd)


def pour(relation: duckdb.DuckDBPyRelation, out: BinaryIO, odd: Odd) -> int:
    """Write the texts of column ``line``, those that are `odd` mended; return how many."""
    rows = 0
    for batch in relation.to_arrow_reader(BATCH):
        lines = batch.column("line")
        rows += len(lines)
        data = _bytes(lines)
        places = odd.places(lines, data)
        if len(places):
            texts = lines.to_pylist()
            for place in places:
                texts[place] = odd.mend(texts[place][:-1]) + "\n"
            out.write("".join(texts).encode())
        else:
            out.write(data)
    return rows


def _bytes(lines: pa.LargeStringArray) -> memoryview:
    """The texts of an array that holds no null, one after the other, as they lie in memory."""
    _, offsets, data = lines.buffers()
    if data is None:
        return memoryview(b"")
    places = np.frombuffer(offsets, dtype=np.int64)[lines.offset : lines.offset + len(lines) + 1]
    return memoryview(data)[int(places[0]) : int(places[-1])]
