"""What a draft costs: the affected set, the examination and the report of a case, copied until it is large.

    python benchmarks/report.py CASE [--events 2000000] [--affected 3000] [--keep FOLDER] [--as-it-is]

The affected requests are the first ones in which a check holds, named by their ids. The large case is made as
`benchmarks/examine.py` makes it, and a process of its own opens it and drafts: CPU-seconds (user and system, by step)
and the peak of its memory are printed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from examine import copied, peak_mib

from strataline import Case


def drafted(folder: Path, selector: str, wanted: int) -> dict[str, object]:
    """Choose, examine and draft, once; the requests are chosen beforehand, by a case of its own."""
    ids = Case.open(folder).affected(selector).requests.head(wanted).to_list()
    result: dict[str, object] = {"affected": len(ids), "choosing_peak_mib": round(peak_mib())}
    begin = last = time.process_time()
    case = Case.open(folder)

    def step(name: str) -> None:
        nonlocal last
        now = time.process_time()
        result[f"{name}_s"], result[f"{name}_peak_mib"], last = round(now - last, 2), round(peak_mib()), now

    chosen = case.affected(ids)
    step("affected")
    found = case.examine(chosen)
    step("examine")
    draft = case.report(found)
    step("report")
    result["cpu_s"] = round(last - begin, 2)
    result["characters"] = len(draft.text)
    return result


def main() -> None:
    """Measure once, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", type=Path)
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--affected", type=int, default=3000, help="How many requests are affected.")
    parser.add_argument("--check", default="check:F-03", help="The check that they are of.")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="Where the large case is, or is to stay.")
    parser.add_argument("--as-it-is", action="store_true", help="Draft of CASE itself, in this process.")
    asked = parser.parse_args()
    if asked.as_it_is:
        result = drafted(asked.case, asked.check, asked.affected)
        print("\n".join(f"{key:<20} {value}" for key, value in result.items()))
        return
    with tempfile.TemporaryDirectory() as beside:
        large = asked.keep or Path(beside) / "case"
        if not large.exists():
            copied(asked.case, large, asked.events)
        more = ["--affected", str(asked.affected), "--check", asked.check, "--as-it-is"]
        subprocess.run([sys.executable, __file__, str(large), *more], check=True)


if __name__ == "__main__":
    main()
