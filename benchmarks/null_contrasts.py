"""How often chance alone prints a contrast: split requests among which nothing differs at random, and count.

    python benchmarks/null_contrasts.py CASE [--before TIME] [--runs 200] [--seed 1]

The turns that started before TIME are split at random into an affected set and a baseline; half of the runs split
them in two halves, half take an affected set of 5 to 200 requests. Printed: runs with any row that is shown, and the
dimensions and measures that they were of. The rules of `strataline.examine.contrast` and `measures` together are held
to at most 7 % of runs.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl

from strataline.event import TABLES
from strataline.examine import Facts
from strataline.examine.contrast import compare
from strataline.examine.dimensions import dimensions, routes
from strataline.examine.measures import measured, measures

MOST = 200
FEWEST = 5


def null(facts: Facts, before: datetime | None, runs: int, seed: int) -> list[list[str]]:
    """The dimensions and measures of the rows that each of `runs` random splits shows."""
    turns = facts.tables["requests"].filter(pl.col("kind") == "turn")
    if before is not None:
        turns = turns.filter(pl.col("start_time") < before)
    requests = turns["request"].sort()
    # As `dimensions` and `measured` have them.
    wanted = requests.cast(pl.Categorical).to_frame()
    values = dimensions(facts).join(wanted, on="request", how="semi")
    numbers = measured(facts).join(wanted, on="request", how="semi")
    ways = routes(values)
    draw = np.random.default_rng(seed)
    found = []
    for run in range(runs):
        order = requests.gather(draw.permutation(len(requests)))
        size = len(order) // 2 if run % 2 else int(draw.integers(FEWEST, min(MOST, len(order) // 2) + 1))
        table = compare(values, order[:size], order[size:], routes=ways)
        counted = measures(numbers, order[:size], order[size:])
        found.append([*table.filter("shown")["dimension"], *counted.filter("shown")["measure"]])
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Print what random splits show; return 0, or 1 if more than 7 % of them show anything."""
    parser = argparse.ArgumentParser(prog="null_contrasts.py", description="Count contrasts of random splits.")
    parser.add_argument("case", type=Path, metavar="CASE")
    parser.add_argument("--before", help="ISO time; requests that started before it, by corrected time")
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args(argv)
    before = None if args.before is None else datetime.fromisoformat(args.before)
    if before is not None and before.tzinfo is None:
        before = before.replace(tzinfo=UTC)
    facts = Facts({table.name: pl.read_parquet(args.case / f"{table.name}.parquet") for table in TABLES})
    found = null(facts, before, args.runs, args.seed)
    shown = sum(map(bool, found))
    print(f"{shown} of {args.runs} random splits show a contrast or a measure ({shown / args.runs:.1%})")
    for name, times in sorted(Counter(name for names in found for name in names).items()):
        print(f"  {name}: {times} rows")
    return int(shown > 0.07 * args.runs)


if __name__ == "__main__":
    sys.exit(main())
