"""What an examination costs: all checks, changes and contrasts over a case, copied until it is large.

    python benchmarks/examine.py CASE [--events 2000000] [--affected SELECTOR]

Each copy has events, requests, users and sessions of its own, and lies behind the one before in time. CPU-seconds are
those of the examination itself, after the tables are in memory; the peak of memory before and after it is printed.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from datetime import timedelta
from pathlib import Path

import polars as pl

from strataline import Case
from strataline.examine import CHECKS, Facts, examine, run

OWN = ("event_id", "request", "call", "session", "user", "from_event", "to_event", "to_request", "runner_up", "clock")
"""Columns whose values are of one copy."""


def copied(frames: dict[str, pl.DataFrame], copies: int) -> dict[str, pl.DataFrame]:
    """The tables of a case, `copies` times."""
    made = {}
    events = frames["events"]
    first, last = (getattr(events["corrected_time"], end)() for end in ("min", "max"))
    span = timedelta(minutes=1) + (last - first if first is not None and last is not None else timedelta())
    for name, frame in frames.items():
        if name in ("sources", "rejects", "notes"):
            made[name] = frame
            continue
        parts = []
        for copy in range(copies):
            own = [(pl.col(c) + f":{copy}").alias(c) for c in OWN if c in frame.columns]
            times = [
                (pl.col(c) + span * copy).alias(c)
                for c, kind in frame.schema.items()
                if kind == pl.Datetime("ns", "UTC")
            ]
            parts.append(frame.with_columns(*own, *times))
        made[name] = pl.concat(parts, rechunk=False)
    return made


def peak_mib() -> float:
    """Peak of this process's memory so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Measure once, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", type=Path)
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--affected", default="check:F-03")
    parser.add_argument("--each", action="store_true", help="Time each check alone.")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    case = Case.open(chosen.case)
    copies = max(1, round(chosen.events / case.frames["events"].height))
    whole = Case(copied(case.frames, copies), case.manifest, {})
    loaded = peak_mib()
    events = whole.frames["events"].height
    start = time.process_time()
    affected = whole.affected(chosen.affected)
    selecting = time.process_time() - start
    start = time.process_time()
    found = examine(Facts(whole.frames, affected))
    cpu = time.process_time() - start
    result: dict[str, object] = {
        "events": events,
        "requests": found.total,
        "affected": affected.requests.n_unique(),
        "selecting_cpu_s": round(selecting, 2),
        "examine_cpu_s": round(cpu, 2),
        "tables_mib": round(loaded),
        "peak_mib": round(peak_mib()),
        "fired": found.findings.filter(pl.col("result") == "fired").height,
    }
    if chosen.each:
        facts = Facts(whole.frames, affected)
        run(facts, CHECKS)
        costs = {}
        for check in CHECKS:
            start = time.process_time()
            run(facts, [check])
            costs[check.id] = round(time.process_time() - start, 2)
        result["each"] = dict(sorted(costs.items(), key=lambda one: -one[1]))
    print(json.dumps(result) if chosen.json else "\n".join(f"{name:<16} {value}" for name, value in result.items()))


if __name__ == "__main__":
    main()
