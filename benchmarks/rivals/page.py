"""Results to tables, and `docs/performance.md` of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "performance.md"
OURS, RIVAL = "strataline", "duckdb"
WHAT = {
    OURS: "`strataline reconstruct`: all steps, the case written",
    RIVAL: "DuckDB: typed SQL, ordered by id and time, one Parquet file",
    "polars": "Polars: lazy, the same",
    "pandas": "pandas: the same",
    "lnav": "lnav: SQL over its tables, the same order, JSON lines",
    "plaso": "Plaso: log2timeline and psort, ordered by time alone, JSON lines",
}

HEAD = """# Performance

Made by `python benchmarks/rivals --keep`; nothing here is typed by hand. `make bench` measures again, on 200,000
records, in minutes; `benchmarks/rivals/generate.py` says what is in the logs: five layers, five formats that name
paths, an id under five names, one record in twenty without it, browsers' clocks seconds off.

CPU-seconds are those of all processes of a job, from start to end, imports included; memory is the peak of the sum over
its processes. All jobs of a table ran in turns on the same logs; medians of the rounds, of which Plaso ran in one.
Machines differ, and other work may have run beside: read the ratios. The rivals' jobs are smaller: they keep no address
of a record, lose a file to one damaged line, know one id and no clock. *Whole* is the share of requests that hold
exactly their ten records, *in order* that of those which hold them in the order in which they happened; of the rivals
only kinds were compared, which is the most that it can be.
"""


def tables(result: dict[str, Any]) -> str:
    """One result as Markdown: costs, checks, stages."""
    records = result["records"]
    mib = result["bytes"] / 2**20
    costs = {name: _medians(found) for name, found in result["costs"].items()}
    rival = costs.get(RIVAL)
    lines = [
        f"## {records:,} records, {mib:,.0f} MiB{', one line in a hundred damaged' if result['damaged'] else ''}",
        "",
        "| job | CPU-s | records per CPU-s | wall s | peak MiB | CPU : DuckDB | wall : DuckDB | whole | in order |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, (cpu, wall, peak) in costs.items():
        times = [f"{cpu / rival[0]:.2f}", f"{wall / rival[1]:.2f}"] if rival else ["–", "–"]
        share = result["orders"].get(name)
        cells = [
            WHAT.get(name, name),
            f"{cpu:.2f}",
            f"{records / cpu:,.0f}",
            f"{wall:.2f}",
            f"{peak:,.0f}",
            *times,
            *(["–", "–"] if share is None else [f"{one:.1%}" for one in share]),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    lines += [
        "",
        f"Checked on the case that was timed, {result['rounds']} round{'s' if result['rounds'] > 1 else ''}:",
        "",
    ]
    lines += [f"- {one}" for one in result["checks"]]
    whole = sum(result["stages"].values())
    lines += ["", "Where our CPU time goes (one more run, in one thread):", ""]
    lines += ["| stage | CPU-s | share | us per record |", "| --- | --- | --- | --- |"]
    lines += [
        f"| {stage} | {spent:.2f} | {spent / whole:.1%} | {spent / records * 1e6:.2f} |"
        for stage, spent in result["stages"].items()
    ]
    machine, versions = result["machine"], result["versions"]
    lines += [
        "",
        f"{machine['processor']}; {machine['memory']}; {machine['system']}; load {machine['load']} when done.",
    ]
    lines += [", ".join(f"{name} {one}" for name, one in versions.items()) + ".", ""]
    return "\n".join(lines)


def _medians(found: Sequence[dict[str, float]]) -> tuple[float, float, float]:
    cpu, wall, peak = (median(one[name] for one in found) for name in ("cpu_s", "wall_s", "peak_mib"))
    return cpu, wall, peak


def rendered(results: Path) -> str:
    """The page, from the results that lie in `results`."""
    found = [json.loads(file.read_bytes()) for file in sorted(results.glob("*.json"))]
    found.sort(key=lambda one: (one["damaged"], one["records"]))
    return "\n".join([HEAD, *(tables(one) for one in found)]).rstrip() + "\n"


def write(results: Path) -> None:
    """Write the page."""
    PAGE.write_text(rendered(results), encoding="utf-8")
