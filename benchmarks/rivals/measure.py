"""What a program costs: CPU-seconds, wall time and peak memory of it and of every process that it starts."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

EVERY_S = 0.02
"""How often the processes are looked at."""

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Cost:
    """What one run took.

    Args:
        cpu_s: user and system time, of all processes.
        wall_s: from beginning to end.
        peak_mib: the largest sum of resident memory over all processes at one look, at least the largest process's own
            peak. What processes share is counted once for each.
    """

    cpu_s: float
    wall_s: float
    peak_mib: float


def measure(command: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None) -> Cost:
    """Run `command` in `folder` and say what it took.

    CPU time is what the system counts for it and for those of its processes that it waited for; of one that nobody
    waited for, what was seen at the last look. Memory is looked at every 20 ms in ``/proc``; without that (macOS) it is
    the peak of the process itself.

    Raises:
        SystemExit: if it does not exit with 0.
    """
    begin = time.perf_counter()
    with (folder / "stderr").open("wb") as errors:
        process = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            env={**os.environ, **(environment or {})},
        )
        most, spent, own = 0.0, dict[int, float](), 0.0
        while True:
            done, status, usage = os.wait4(process.pid, os.WNOHANG)
            if done:
                break
            size = 0
            for pid, seconds, pages in _family(process.pid):
                spent[pid] = seconds
                size += pages * _PAGE
                own = max(own, _own_peak(pid))
            most = max(most, size / 2**20)
            time.sleep(EVERY_S)
        wall = time.perf_counter() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        said = (folder / "stderr").read_bytes()[-2000:].decode("utf-8", "replace")
        raise SystemExit(f"{command[0]} exited with {process.returncode}:\n{said}")
    if not most:
        own = usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    return Cost(max(usage.ru_utime + usage.ru_stime, sum(spent.values())), wall, max(most, own))


def _own_peak(pid: int) -> float:
    """MiB of the most memory that the process ever had; what the system says when it ends is that of its parent too."""
    with suppress(OSError):
        for line in Path("/proc", str(pid), "status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 2**10
    return 0.0


def _family(first: int) -> list[tuple[int, float, int]]:
    """Process, CPU-seconds of its own, and resident pages: of `first` and all that descend from it."""
    known: dict[int, tuple[int, float, int]] = {}
    with suppress(OSError):
        for name in [one.name for one in Path("/proc").iterdir()]:
            if name.isdigit():
                # One that ended meanwhile has no file any more.
                with suppress(OSError, IndexError, ValueError):
                    text = Path("/proc", name, "stat").read_text()
                    fields = text.rpartition(")")[2].split()
                    used = (int(fields[11]) + int(fields[12])) / _TICKS
                    known[int(name)] = (int(fields[1]), used, int(fields[21]))
    family = {first}
    while more := {pid for pid, (parent, *_) in known.items() if parent in family} - family:
        family |= more
    return [(pid, known[pid][1], known[pid][2]) for pid in sorted(family) if pid in known]
