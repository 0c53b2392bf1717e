"""How fast a plain JSONL file becomes records with addresses and its SHA-256, beside `wc -l` and `sha256sum`.

    python benchmarks/read.py [--mib 2048] [--rounds 5] [FILE]

Without FILE a file of records of 100 to 2,000 bytes is made. The rivals run one after the other on the same file, in
the same round, and do less: they give one number and one digest. Machines are noisy: read the ratio, not the seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

OURS = """
import sys
from pathlib import Path
from strataline.read import Input, read
for source in read(Input(Path(sys.argv[1]).name, Path(sys.argv[1]))):
    records = sum(batch.records.height for batch in source.batches)
    reading = source.reading
    assert reading.record_bytes + reading.separator_bytes == reading.bytes
    print(records, reading.digest)
"""


def make(path: Path, mib: int) -> None:
    """Write about `mib` MiB of JSON lines as gateways write them."""
    draw = random.Random(7)  # noqa: S311 - no secret
    words = ["answer", "document", "policy", "tokens", "retrieved", "user", "refund", "größer", "“quoted”"]
    block = bytearray()
    while len(block) < 8 << 20:
        text = " ".join(draw.choices(words, k=draw.randint(5, 250)))
        record = {"request_id": f"req_{draw.getrandbits(80):020x}", "time": draw.random() * 1e9, "prompt": text}
        block += json.dumps(record, ensure_ascii=False).encode() + b"\n"
    with path.open("wb") as file:
        for _ in range(max(1, (mib << 20) // len(block))):
            file.write(block)


def measure(*command: str) -> tuple[float, float, str]:
    """Seconds, peak resident MiB and standard output of `command`.

    Raises:
        SystemExit: if it does not exit with 0.
    """
    begin = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    said = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command[0]} exited with {process.returncode}")
    return time.perf_counter() - begin, usage.ru_maxrss / 1024, said


def main() -> None:
    """Measure and print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, nargs="?", help="a file of lines; by default one is made")
    parser.add_argument("--mib", type=int, default=2048, help="size of the file that is made")
    parser.add_argument("--rounds", type=int, default=5, help="rounds, of which the median counts")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = chosen.file or Path(folder) / "records.jsonl"
        if chosen.file is None:
            make(path, chosen.mib)
        size = path.stat().st_size / 1e6
        ours, rivals, ratios, peaks, said = [], [], [], [], ""
        for _ in range(chosen.rounds):
            seconds, peak, said = measure(sys.executable, "-c", OURS, str(path))
            count, digest = measure("wc", "-l", str(path)), measure("sha256sum", str(path))
            if digest[2].split()[0] != said.split()[1]:
                raise SystemExit("the digests differ")
            ours.append(seconds)
            rivals.append(count[0] + digest[0])
            ratios.append(rivals[-1] / seconds)
            peaks.append(peak)
    print(f"{size:,.0f} MB, {said.split()[0]} records, medians of {chosen.rounds} rounds")
    print(f"{'':<42}{'s':>8}{'MB/s':>8}{'peak MiB':>10}")
    for name, seconds, most in (
        ("strataline: records, addresses, SHA-256", statistics.median(ours), f"{max(peaks):.0f}"),
        ("wc -l, then sha256sum", statistics.median(rivals), ""),
    ):
        print(f"{name:<42}{seconds:>8.2f}{size / seconds:>8.0f}{most:>10}")
    print(f"{'ratio of MB/s':<42}{statistics.median(ratios):>8.2f}")


if __name__ == "__main__":
    main()
