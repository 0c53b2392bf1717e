"""CPU time and peak memory of each export of a case that is made as large as asked for.

    python benchmarks/export.py CASE [--events 2000000] [--to FORMAT …]

The events of CASE are repeated, each time later and under other ids, into a case of at least so many events. Each
export is a process of its own, imports included. It writes to a file, then to nothing: what lies between the two is
the file system; as many zeros, written by `head`, say what that takes for itself. Machines are noisy: other work on
the same cores raises CPU time, and memory that the machine's host has yet to give raises that of writing.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import BinaryIO

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from strataline.event import EVENTS
from strataline.export import parquet
from strataline.folder import FORMATS

BOUNDS = {"jsonl": 150_000, "timesketch": 150_000, "parquet": 350_000}
"""Events per CPU second that an export of 2 million events is held to."""
MEMORY = 1024
"""MiB that it may take at its peak."""
TIMES = ("event_time", "end_time", "observed_time", "corrected_time")


def enlarge(case: Path, out: Path, least: int) -> int:
    """Write a case of at least `least` events to `out`; return how many they are."""
    for file in case.iterdir():
        if file.name != "events.parquet":
            shutil.copyfile(file, out / file.name)
    events = parquet.read(EVENTS, case / "events.parquet")
    times = sorted(events["corrected_time"].drop_nulls().to_physical().to_list())
    step = times[-1] - times[0] + 1 if times else 1
    copies = -(-least // events.height)
    schema = parquet.described(EVENTS)
    timed = pl.col("corrected_time").is_not_null()
    with pq.ParquetWriter(out / "events.parquet", schema, compression="zstd") as writer:
        # Events without a time come last in a case.
        for part in (events.filter(timed), events.filter(~timed)):
            for copy in range(copies):
                ids = [
                    pl.format(f"{copy:03x}{{}}", pl.col(one).str.slice(3)).alias(one)
                    for one in ("event_id", "request", "call")
                ]
                moved = [(pl.col(one).cast(pl.Int64) + copy * step).cast(EVENTS.schema[one]) for one in TIMES]
                made = EVENTS.to_arrow(part.with_columns(*ids, *moved))
                writer.write_table(pa.Table.from_arrays(made.columns, schema=schema), row_group_size=parquet.ROWS)
    return copies * events.height


def measure(case: Path, to: str, out: str) -> tuple[float, float]:
    """CPU seconds (user and system) and peak resident MiB of one export.

    Raises:
        SystemExit: if it does not succeed.
    """
    strataline = str(Path(sys.executable).with_name("strataline"))
    return run([strataline, "export", str(case), "--to", to, "-o", out])


def run(command: list[str], out: int | BinaryIO = subprocess.DEVNULL) -> tuple[float, float]:
    """CPU seconds and peak resident MiB of `command`, whose output goes to `out`.

    Raises:
        SystemExit: if it does not succeed.
    """
    with subprocess.Popen(command, stdout=out, stderr=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} exited with {process.returncode}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main() -> None:
    """Measure each export and print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", type=Path)
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--to", nargs="+", choices=FORMATS, default=list(BOUNDS))
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        case = Path(folder) / "case"
        case.mkdir()
        events = enlarge(chosen.case, case, chosen.events)
        print(f"{events:,} events; load {os.getloadavg()[0]:.1f}; bound of memory {MEMORY} MiB")
        heads = f"{'MB':>7}{'CPU s':>8}{'ev/CPU s':>11}{'to nothing':>12}{'zeros s':>9}{'bound':>10}{'peak MiB':>10}"
        print(f"{'':<16}{heads}")
        for to in chosen.to:
            out = Path(folder) / "out"
            seconds, peak = measure(case, to, str(out))
            size = out.stat().st_size
            out.unlink()
            with out.open("wb") as file:
                zeros, _ = run(["head", "-c", str(size), "/dev/zero"], file)
            out.unlink()
            bare, _ = measure(case, to, "-")
            bound = f"{BOUNDS[to]:,}" if to in BOUNDS else ""
            figures = f"{seconds:>8.1f}{events / seconds:>11,.0f}{events / bare:>12,.0f}{zeros:>9.1f}"
            print(f"{to:<16}{size / 1e6:>7,.0f}{figures}{bound:>10}{peak:>10,.0f}", flush=True)


if __name__ == "__main__":
    main()
