"""Whether three small jobs still cost what they did, as ratios to a job that is none of ours, in the same run.

    python benchmarks/rivals/guard.py             exit status 1 where a job is over its bound
    python benchmarks/rivals/guard.py --update    measure, and keep the ratios as the new ones

The jobs are ``reconstruct`` of 40,000 records, then ``show`` and ``examine`` of its case; the yardstick decodes each
line with the standard library, hashes it, and does the same logs with DuckDB. CPU-seconds alone are compared, of the
best of several rounds: a machine that is busy makes a job dearer, never cheaper. Rounds end as soon as all are within
their bounds. What is kept are the ratios of one machine; the bounds are 20 % above them.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import polars as pl
from generate import FILES, LAYERS, generate
from measure import measure

HERE = Path(__file__).resolve().parent
KEPT = HERE / "guard.json"
SLACK = 1.2
RECORDS = 40_000
ROUNDS = 6
YARDSTICK = "yardstick"
_YARDSTICK = """
import hashlib, json, sys
from pathlib import Path
for _ in range(2):
    for file in sorted(Path(sys.argv[2]).glob("*.jsonl")):
        for line in file.open("rb"):
            json.loads(line)
            hashlib.sha256(line).hexdigest()
sys.path.insert(0, sys.argv[1])
from jobs import JOBS
JOBS["duckdb"](Path(sys.argv[2]), Path("out.parquet"))
"""


def ratios(rounds: int = ROUNDS, bounds: Mapping[str, float] | None = None) -> dict[str, float]:
    """CPU time of each job over the yardstick's, each of its best round.

    Args:
        rounds: at most.
        bounds: job → ratio; when all are within them no further round is run.
    """
    with tempfile.TemporaryDirectory(prefix="strataline-guard-") as scratch:
        data, case = Path(scratch) / "data", Path(scratch) / "case"
        generate(data, RECORDS)
        strataline = str(Path(sys.executable).with_name("strataline"))
        files = [str(data / FILES[layer]) for layer in LAYERS]
        made = [strataline, "reconstruct", *files, "--formats", str(HERE / "formats"), "-o", str(case), "--overwrite"]
        jobs = {
            YARDSTICK: [sys.executable, "-c", _YARDSTICK, str(HERE), str(data)],
            "reconstruct": made,
            "show": [strataline, "show", str(case)],
            "examine": [strataline, "examine", str(case)],
        }
        best: dict[str, float] = {}
        # As many threads on every machine: those that wait for work take time too.
        threads = {"POLARS_MAX_THREADS": "2", "HOME": scratch}
        found: dict[str, float] = {}
        for _ in range(rounds):
            for name, command in jobs.items():
                asked = [*command, _one(case)] if name == "show" else command
                cost = measure(asked, Path(scratch), threads)
                best[name] = min(cost.cpu_s, best.get(name, cost.cpu_s))
            found = {name: round(best[name] / best[YARDSTICK], 3) for name in jobs if name != YARDSTICK}
            if bounds is not None and not over(found, bounds):
                break
    return found


def _one(case: Path) -> str:
    """A request in the middle of the case."""
    requests = pl.read_parquet(case / "requests.parquet", columns=["request"])["request"]
    return str(requests[len(requests) // 2])


def bounds() -> dict[str, float]:
    """Job → the ratio that it may not exceed."""
    kept: dict[str, float] = json.loads(KEPT.read_bytes())
    return {name: ratio * SLACK for name, ratio in kept.items()}


def over(found: Mapping[str, float], most: Mapping[str, float]) -> list[str]:
    """What costs more than it may, as sentences."""
    return [
        f"{name} takes {ratio:.2f} times the yardstick's CPU, over {most[name]:.2f}"
        for name, ratio in found.items()
        if ratio > most[name]
    ]


def main() -> None:
    """Check or update."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--update", action="store_true", help="keep what is measured")
    if parser.parse_args().update:
        found = ratios(rounds=3)
        KEPT.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        print(found)
        return
    most = bounds()
    found = ratios(bounds=most)
    print(found)
    sys.exit("\n".join(over(found, most)) or 0)


if __name__ == "__main__":
    main()
