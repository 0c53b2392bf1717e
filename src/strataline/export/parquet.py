"""Tables to Parquet: byte for byte the same for the same rows."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pyarrow.parquet as pq

from strataline.event import Table


def write(table: Table, frame: pl.DataFrame, path: Path) -> None:
    """Write `frame` as the Parquet file of `table` (zstd, one writer thread, row groups of 128 Ki rows)."""
    pq.write_table(table.to_arrow(frame), path, compression="zstd", row_group_size=131_072)


def read(table: Table, path: Path) -> pl.DataFrame:
    """Read the Parquet file of `table`.

    Raises:
        OSError, pyarrow.ArrowException: if it cannot be read.
        ValueError: if its columns are not those of the table.
    """
    frame = pl.from_arrow(pq.read_table(path))
    assert isinstance(frame, pl.DataFrame)  # noqa: S101 - a table never becomes a series
    return table.conform(frame)
