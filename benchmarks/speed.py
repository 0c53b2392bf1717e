"""CPU time and peak memory of one whole reconstruction, beside a rival on the same logs in the same run.

    python benchmarks/speed.py LOGS [--formats DIR] [FURTHER OPTIONS OF reconstruct]
    python benchmarks/speed.py --correlate 14000 [--preset clean]     of the correlation, step by step

The rival does far less: it decompresses the same files, decodes each line with the standard library's JSON decoder and
throws the result away. Machines are noisy: read the ratio, not the seconds.

With ``--correlate`` so many requests of a simulated product are correlated in this very process. CPU seconds are told
apart into those of the program and those that the system takes to give it memory. Peak memory is what correlation takes
beyond the events that go in; all columns of the events that come out are in it.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import polars as pl
import simulate

from strataline import correlate as engine
from strataline.correlate.work import Work

RIVAL = """
import gzip, json, os, sys
for folder, _, files in os.walk(sys.argv[1]):
    for name in sorted(files):
        path = os.path.join(folder, name)
        with open(path, "rb") as file:
            zipped = file.read(2) == b"\\x1f\\x8b"
        with (gzip.open if zipped else open)(path, "rb") as lines:
            for line in lines:
                try:
                    json.loads(line)
                except ValueError:
                    pass
"""


def measure(command: list[str]) -> tuple[float, float]:
    """CPU seconds (user and system) and peak resident MiB of `command`.

    Raises:
        SystemExit: if it does not exit with 0.
    """
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command[0]} exited with {process.returncode}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def memory(of: str) -> float:
    """Resident MiB of this process: ``VmRSS`` now, or ``VmHWM`` at most since `forget` was called last (Linux)."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{of}:")) / 1024


def forget() -> None:
    """Let the peak of resident memory begin anew."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def spent() -> tuple[float, float]:
    """CPU seconds of this process and of the system for it so far."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime, usage.ru_stime


def correlation(preset: str, requests: int) -> None:
    """Print CPU seconds of each step of the correlation, and of all of it, of one simulated product."""
    parts = simulate.simulate_parts(simulate.PRESETS[preset](), requests, seed=1)
    events = pl.concat([part.events for part in parts]).sort("source", "line")
    rows: list[tuple[str, float, float]] = []

    def timed(step: Callable[[Work], Work]) -> Callable[[Work], Work]:
        def run(work: Work) -> Work:
            user, system = spent()
            done = step(work)
            rows.append((step.__name__, spent()[0] - user, spent()[1] - system))
            return done

        return run

    del parts
    forget()
    before = memory("VmRSS")
    user, system = spent()
    steps, engine.STEPS = engine.STEPS, tuple(timed(step) for step in engine.STEPS)
    try:
        engine.correlate(events)
    finally:
        engine.STEPS = steps
    whole = ("all", spent()[0] - user, spent()[1] - system)
    own, lent = whole[1] - sum(row[1] for row in rows), whole[2] - sum(row[2] for row in rows)
    rows += [("before and after the steps", own, lent), whole]
    print(f"{'':<28}{'CPU s':>8}{'program':>9}{'system':>8}{'us/event':>10}")
    for name, own, lent in rows:
        print(f"{name:<28}{own + lent:>8.2f}{own:>9.2f}{lent:>8.2f}{(own + lent) / events.height * 1e6:>10.2f}")
    print(f"{events.height} events of {before:.0f} MiB; {memory('VmHWM') - before:.0f} MiB beyond them at most")


def main() -> None:
    """Measure both and print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("logs", type=Path, nargs="?", help="folder of logs")
    parser.add_argument("--correlate", type=int, metavar="REQUESTS", help="correlate a simulated product instead")
    parser.add_argument("--preset", choices=list(simulate.PRESETS), default="clean", help="which product")
    parser.add_argument("--formats", type=Path, help="folder of further formats")
    chosen, further = parser.parse_known_args()
    if chosen.correlate is not None:
        correlation(chosen.preset, chosen.correlate)
        return
    if chosen.logs is None:
        parser.error("name a folder of logs")
    strataline = str(Path(sys.executable).with_name("strataline"))
    formats = ["--formats", str(chosen.formats)] if chosen.formats else []
    with tempfile.TemporaryDirectory() as folder:
        case = str(Path(folder) / "case")
        ours = measure([strataline, "reconstruct", str(chosen.logs), *formats, "-o", case, *further])
    rival = measure([sys.executable, "-c", RIVAL, str(chosen.logs)])
    print(f"{'':<28}{'CPU s':>8}{'peak MiB':>10}")
    for name, (seconds, peak) in (("strataline reconstruct", ours), ("json.loads of every line", rival)):
        print(f"{name:<28}{seconds:>8.2f}{peak:>10.0f}")
    print(f"{'ratio':<28}{ours[0] / rival[0]:>8.1f}{ours[1] / rival[1]:>10.1f}")


if __name__ == "__main__":
    main()
