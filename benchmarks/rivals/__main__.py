"""What reconstruction costs beside what one would do by hand, on the same logs, in the same run.

    python benchmarks/rivals                       200,000 records, in minutes
    python benchmarks/rivals --records 2000000     or 20000000
    python benchmarks/rivals --damaged             one line in a hundred
    python benchmarks/rivals --page                docs/performance.md, from the results that are kept

`generate.py` makes the logs, `jobs.py` holds the rivals, `measure.py` says what is counted, `stages.py` takes our own
way apart. All jobs run once in each round, one after the other, and medians count. What was timed is checked: every
record accounted for, every damaged line a reject and nothing else, two runs equal byte for byte.

lnav takes part where it is on the PATH, Plaso where ``.rivals/`` holds it: ``make bench-rivals`` installs both.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import page
import polars as pl
from generate import FILES, LAYERS, RECORDS, Made, generate
from jobs import JOBS, KINDS
from measure import Cost, measure

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
OURS = "strataline"
IN_ORDER = [0, 1, 2, 3, 4, 5, 5, 7, 8, 9]
"""The ranks of a request's records, by kind."""

PLASO = HERE.parent.parent / ".rivals" / "bin" / "python"
ONCE = ("plaso",)
"""Rivals of the first round alone: they take minutes."""

PARTS = (("with_events", "with events"), ("rejected", "rejected"), ("skipped", "skipped"))
PLASO_MOST = 200_000
"""Records up to which Plaso takes part: 2 million would take it a quarter of an hour of CPU time in each round."""


def main() -> None:
    """Generate, measure, check, print, and keep the results if that was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=200_000, help="default 200000")
    parser.add_argument("--rounds", type=int, default=3, help="of which the median counts; default 3")
    parser.add_argument("--damaged", action="store_true", help="damage one line in a hundred; then we run alone")
    parser.add_argument("--only", nargs="*", metavar="JOB", help="of the rivals, only these")
    parser.add_argument("--data", type=Path, help="folder where the logs are made, and kept")
    parser.add_argument("--keep", action="store_true", help="keep the results, and make the page of them")
    parser.add_argument("--page", action="store_true", help="make the page, measure nothing")
    chosen = parser.parse_args()
    if chosen.records < 1 or chosen.rounds < 1:
        parser.error("at least one record and one round")
    if unknown := set(chosen.only or ()) - set(_rivals()):
        parser.error(f"not here: {', '.join(sorted(unknown))}; there are {', '.join(_rivals())}")
    if chosen.page:
        page.write(RESULTS)
        return
    with tempfile.TemporaryDirectory(prefix="strataline-bench-") as scratch:
        result = _run(chosen, Path(scratch))
    print(page.tables(result))
    if chosen.keep:
        name = f"{chosen.records}{'-damaged' if chosen.damaged else ''}.json"
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / name).write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        page.write(RESULTS)


def _run(chosen: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    data = (chosen.data or scratch / "data").resolve()
    made = generate(data, chosen.records, damaged=chosen.damaged)
    rivals = [name for name in _rivals() if chosen.only is None or name in chosen.only]
    # One that loses the file with the line has nothing to be compared with.
    able = [name for name in rivals if not chosen.damaged and (name != "plaso" or chosen.records <= PLASO_MOST)]
    names = [OURS, *able]
    costs: dict[str, list[Cost]] = {name: [] for name in names}
    case = scratch / f"{OURS}-out" / "case"
    before = b""
    for number in range(chosen.rounds):
        for name in names if not number else [name for name in names if name not in ONCE]:
            out = scratch / f"{name}-out"
            shutil.rmtree(out, ignore_errors=True)
            out.mkdir()
            cost = measure(_command(name, data, out), out, {"HOME": str(scratch)})
            costs[name].append(cost)
            _say(
                f"round {number + 1}: {name:<12}{cost.cpu_s:>8.2f} CPU-s{cost.wall_s:>8.2f} s{cost.peak_mib:>7.0f} MiB"
            )
        # It holds the digests of all that a case is.
        manifest = (case / "manifest.json").read_bytes()
        if before not in (b"", manifest):
            raise SystemExit("two runs on the same logs are not equal byte for byte")
        before = manifest
    result: dict[str, Any] = {
        "records": made.records,
        "bytes": made.bytes,
        "damaged": chosen.damaged,
        "rounds": chosen.rounds,
        "machine": _machine(),
        "versions": {name: version(name) for name in ("strataline", "duckdb", "polars", "pyarrow", "pandas")},
        "costs": {name: [asdict(one) for one in found] for name, found in costs.items()},
        "checks": _checked(case, made, chosen.rounds),
        "orders": {} if chosen.damaged else _orders(scratch, data, names),
    }
    if "lnav" in names:
        result["versions"]["lnav"] = _said("lnav", "-V").split()[-1]
    if "plaso" in names:
        result["versions"]["plaso"] = _said(str(PLASO), "-c", "import plaso; print(plaso.__version__)")
    _say("where our time goes")
    stages = _said(sys.executable, str(HERE / "stages.py"), *_files(data), "--formats", str(HERE / "formats"))
    return result | {"stages": json.loads(stages)}


def _files(data: Path) -> list[str]:
    return [str(data / FILES[layer]) for layer in LAYERS]


def _rivals() -> list[str]:
    """Those that can run here."""
    return [*JOBS, *(["lnav"] if shutil.which("lnav") else []), *(["plaso"] if PLASO.exists() else [])]


def _command(name: str, data: Path, out: Path) -> list[str]:
    """What does the job, and writes into the folder `out`."""
    if name == OURS:
        ours = str(Path(sys.executable).with_name("strataline"))
        return [ours, "reconstruct", *_files(data), "--formats", str(HERE / "formats"), "-o", str(out / "case")]
    if name == "lnav":
        query = " ".join((HERE / "lnav" / "timeline.sql").read_text(encoding="utf-8").split())
        asked = ["lnav", "-n", "-I", str(HERE / "lnav"), "-c", f";{query}"]
        return [*asked, "-c", f":write-jsonlines-to {out / 'out.jsonl'}", *_files(data)]
    if name == "plaso":
        return [str(PLASO), str(HERE / "plaso_job.py"), str(data), str(out)]
    return [sys.executable, str(HERE / "jobs.py"), name, str(data), str(out / "out.parquet")]


def _said(*command: str) -> str:
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


def _checked(case: Path, made: Made, rounds: int) -> list[str]:
    """What holds of the case that was timed, as sentences.

    Raises:
        SystemExit: if something does not.
    """
    told = json.loads((case / "manifest.json").read_bytes())
    identity = told["identity"]
    read = sum(one["bytes"] for one in told["inputs"])
    wrong = []
    if identity["records"] != made.records or read != made.bytes:
        wrong.append(f"{identity['records']} records of {read} bytes where {made.records} of {made.bytes} were written")
    if identity["records"] != identity["with_events"] + identity["rejected"] + identity["skipped"]:
        wrong.append("records are not with_events + rejected + skipped")
    rejects = pl.scan_parquet(case / "rejects.parquet").select(pl.len()).collect().item()
    if not identity["rejected"] == rejects == made.rejected:
        wrong.append(f"{identity['rejected']} rejected, {rejects} in the table, {made.rejected} were damaged")
    if wrong:
        raise SystemExit("\n".join(wrong))
    parts = [f"{identity[name]:,} {word}" for name, word in PARTS]
    sentences = [
        f"{identity['records']:,} records of {read:,} bytes = {' + '.join(parts)}, as many as were written",
        f"{rejects:,} rejects, as many as lines were damaged so that they can be nothing else",
    ]
    return [*sentences, *([f"{rounds} runs equal byte for byte"] if rounds > 1 else [])]


def _orders(scratch: Path, data: Path, names: Sequence[str]) -> dict[str, list[float]]:
    """Job → share of requests that hold exactly their ten records, and of those that hold them in causal order."""
    truth = pl.read_parquet(data / "truth.parquet")
    case = scratch / f"{OURS}-out" / "case"
    events = pl.read_parquet(case / "events.parquet", columns=["source", "line", "request", "seq"])
    told = events.join(truth, left_on=["source", "line"], right_on=["file", "line_no"], suffix="_true")
    grouped = told.filter(pl.col("request").is_not_null()).sort("seq").group_by("request", maintain_order=True)
    alike = grouped.agg("rank", one=pl.col("request_true").n_unique() == 1)
    whole = alike.filter("one", pl.col("rank").list.len() == RECORDS)
    requests = truth["request"].n_unique()
    orders = {OURS: [whole.height, whole.filter(pl.col("rank") == list(range(RECORDS))).height]}
    # Kinds alone are compared, as these have no address: what is told of them is the most that it can be.
    ranks = pl.DataFrame(
        [(layer, kind, rank) for layer, kinds in KINDS.items() for kind, rank in kinds.items()],
        schema={"layer": pl.String, "kind": pl.String, "rank": pl.Int64},
        orient="row",
    )
    for name in names:
        out = scratch / f"{name}-out" / "out.parquet"
        if not out.exists():
            continue
        rows = pl.read_parquet(out, columns=["layer", "id", "kind"]).filter(pl.col("id").is_not_null())
        lists = rows.join(ranks, on=["layer", "kind"], how="left", maintain_order="left")
        held = lists.group_by("id", maintain_order=True).agg("rank")
        whole = held.filter(pl.col("rank").list.sort() == IN_ORDER)
        orders[name] = [whole.height, whole.filter(pl.col("rank") == IN_ORDER).height]
    return {name: [round(one / requests, 5) for one in counts] for name, counts in orders.items()}


def _machine() -> dict[str, str]:
    """What the machine is; not which one."""
    model = platform.processor() or platform.machine()
    cpus = Path("/proc/cpuinfo")
    if cpus.exists():
        lines = [line.partition(":") for line in cpus.read_text(encoding="utf-8").splitlines()]
        model = next((value.strip() for key, _, value in lines if key.strip() == "model name"), model)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "processor": f"{model}, {os.cpu_count()} cores",
        "memory": f"{memory:.0f} GiB",
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "load": f"{os.getloadavg()[0]:.1f}",
    }


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")


if __name__ == "__main__":
    main()
