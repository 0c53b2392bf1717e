"""What an examination costs: all checks, changes and contrasts over a case, copied until it is large.

    python benchmarks/examine.py CASE [--events 2000000] [--affected SELECTOR] [--keep FOLDER] [--each]

Each copy has events, requests, users and sessions of its own, and lies behind the one before in time. The large case is
written as a folder, as any other, and a process of its own opens and examines it: its CPU-seconds (user and system, by
step) and the peak of its memory are printed. ``--keep`` writes the large case where it stays, and takes it from there
the next time. ``--each`` times each check alone, with what they share made before.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

import polars as pl
import pyarrow.parquet as pq

from strataline import Case
from strataline.event import TABLES
from strataline.examine import CHECKS, run

T = TypeVar("T")

OWN = ("event_id", "request", "call", "session", "user", "from_event", "to_event", "to_request", "runner_up", "clock")
"""Columns whose values are of one copy."""


def copied(case: Path, folder: Path, events: int) -> None:
    """Write the case in `case` to `folder`, as often as it takes to have about `events` events."""
    folder.mkdir(parents=True)
    table = {one.name: pl.read_parquet(case / f"{one.name}.parquet") for one in TABLES}
    times = table["events"]["corrected_time"]
    first, last = times.min(), times.max()
    span = timedelta(minutes=1)
    if isinstance(first, datetime) and isinstance(last, datetime):
        span += last - first
    copies = max(1, round(events / times.len()))
    for one in TABLES:
        frame = table[one.name]
        with pq.ParquetWriter(folder / f"{one.name}.parquet", one.arrow_schema, compression="zstd") as file:
            if one.name in ("sources", "rejects", "notes", "findings"):
                file.write_table(one.to_arrow(frame))
                continue
            # Events without a time come last, whichever copy they are of.
            parts = [frame]
            if one.name == "events":
                timed = pl.col("corrected_time").is_not_null()
                parts = [frame.filter(timed), frame.filter(~timed)]
            for part in parts:
                for copy in range(copies):
                    file.write_table(one.to_arrow(_copy(part, copy, span)), row_group_size=131_072)
    for name in ("manifest.json", "inputs.local.json"):
        (folder / name).write_bytes((case / name).read_bytes())


def _copy(frame: pl.DataFrame, copy: int, span: timedelta) -> pl.DataFrame:
    later = pl.lit(span * copy, dtype=pl.Duration("ns"))
    times = [name for name, kind in frame.schema.items() if kind == pl.Datetime("ns", "UTC")]
    return frame.with_columns(
        *((pl.col(name) + f":{copy}").alias(name) for name in OWN if name in frame.columns),
        *(pl.col(name) + later for name in times),
    )


def peak_mib() -> float:
    """Peak of this process's memory so far; ``ru_maxrss`` would hold that of the process that started it, too."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def measured(folder: Path, chosen: str, *, each: bool) -> dict[str, object]:
    """Open and examine the case in `folder`, once."""
    result: dict[str, object] = {"before_mib": round(peak_mib())}

    def step(name: str, do: Callable[[], T]) -> T:
        start = resource.getrusage(resource.RUSAGE_SELF)
        made = do()
        end = resource.getrusage(resource.RUSAGE_SELF)
        result[f"{name}_user_s"] = round(end.ru_utime - start.ru_utime, 2)
        result[f"{name}_system_s"] = round(end.ru_stime - start.ru_stime, 2)
        result[f"{name}_peak_mib"] = round(peak_mib())
        return made

    begin = time.process_time()
    case = step("open", lambda: Case.open(folder))
    affected = step("affected", lambda: case.affected(chosen))
    found = step("examine", lambda: case.examine(affected))
    result["cpu_s"] = round(time.process_time() - begin, 2)
    result["peak_mib"] = round(peak_mib())
    result["requests"] = found.total
    result["affected"] = affected.requests.n_unique()
    result["fired"] = found.findings.filter(pl.col("result") == "fired").height
    if each:
        costs = {}
        for check in CHECKS:
            start = time.process_time()
            run(case.facts(affected), [check])
            costs[check.id] = round(time.process_time() - start, 2)
        result["each"] = dict(sorted(costs.items(), key=lambda one: -one[1]))
    return result


def main() -> None:
    """Measure once, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", type=Path)
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--affected", default="check:F-03")
    parser.add_argument("--each", action="store_true", help="Time each check alone.")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="Where the large case is, or is to stay.")
    parser.add_argument("--as-it-is", action="store_true", help="Examine CASE itself, in this process.")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    if chosen.as_it_is:
        result = measured(chosen.case, chosen.affected, each=chosen.each)
        print(json.dumps(result) if chosen.json else "\n".join(f"{key:<20} {value}" for key, value in result.items()))
        return
    with tempfile.TemporaryDirectory() as beside:
        large = chosen.keep or Path(beside) / "case"
        if not large.exists():
            copied(chosen.case, large, chosen.events)
        # What made the large case has held all of it: its peak is none of the examination's.
        more = [f"--affected={chosen.affected}", "--as-it-is"]
        more += ["--each"] * chosen.each + ["--json"] * chosen.json
        subprocess.run([sys.executable, __file__, str(large), *more], check=True)


if __name__ == "__main__":
    main()
