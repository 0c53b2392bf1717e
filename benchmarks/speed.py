"""CPU time and peak memory of one whole reconstruction, beside a rival on the same logs in the same run.

    python benchmarks/speed.py LOGS [--formats DIR] [FURTHER OPTIONS OF reconstruct]

The rival does far less: it decompresses the same files, decodes each line with the standard library's JSON decoder and
throws the result away. Machines are noisy: read the ratio, not the seconds.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

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


def main() -> None:
    """Measure both and print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("logs", type=Path, help="folder of logs")
    parser.add_argument("--formats", type=Path, help="folder of further formats")
    chosen, further = parser.parse_known_args()
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
