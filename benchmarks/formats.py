"""Events per CPU-second of every format, over its own sample repeated; beside the standard JSON decoder.

    python benchmarks/formats.py [--mib 1024] [--only NAME ...]

The size is shared out evenly over the catalogue. What is measured is parsing: recognition, fields, events; by one
thread, without reading and correlation. Of the samples those records are repeated that the format describes: a real log
does not hold a damaged line or a banner in ten.
The rival decodes each record with `json.loads` and throws the result away (for text: splits it at white space).
Machines are noisy: read the ratio to the rival first.

Targets: 150,000 events a second for formats that only name paths, on records under 700 bytes; 40,000 for those with a
`reshape`, or whose records are items of one that has.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path

import polars as pl

from strataline.conformance import parse, sample_logs
from strataline.format import Format
from strataline.parse import Kernel, Marks, Plan, catalogue, parse_source
from strataline.read import Input, Options, read

SAMPLES = Path(__file__).resolve().parent.parent / "sample_logs" / "formats"
BATCH = 8 << 20


def main() -> None:
    """Measure every format and print one table; exit with 1 if one is under its target."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mib", type=int, default=1024, help="of records in all")
    parser.add_argument("--only", nargs="*", help="names of formats")
    chosen = parser.parse_args()
    if os.environ.get("POLARS_MAX_THREADS") != "1":
        # Polars reads it while it is imported. Its idle threads look for work, and that is CPU time too.
        os.execve(sys.executable, sys.orig_argv, {**os.environ, "POLARS_MAX_THREADS": "1"})  # noqa: S606
    known = catalogue()
    marks = Marks(known)
    names = [name for name in known if (SAMPLES / name).is_dir() and (not chosen.only or name in chosen.only)]
    share = (chosen.mib << 20) // len(names)
    print(f"{'format':<34}{'way':<9}{'B/record':>9}{'events/CPU-s':>14}{'MB/CPU-s':>10}{'x json.loads':>14}  target")
    under = 0
    for name in names:
        found = measure(known, marks, name, share)
        if found is None:
            print(f"{name:<34}no sound record")
            continue
        way, size, rate, megabytes, ratio = found
        target = 40_000 if way == "reshape" else 150_000 if size < 700 else 0
        met = "" if not target else f"{target:>7,} {'met' if rate >= target else 'UNDER'}"
        under += bool(target) and rate < target
        print(f"{name:<34}{way:<9}{size:>9.0f}{rate:>14,.0f}{megabytes:>10.1f}{ratio:>14.1f}  {met}", flush=True)
    print(f"{len(names)} formats, {under} under their target")
    sys.exit(bool(under))


def measure(
    known: dict[str, Format], marks: Marks, name: str, size: int
) -> tuple[str, float, float, float, float] | None:
    """The way of a format, bytes per record, events and megabytes per CPU-second, and CPU time over the rival's."""
    records = sound(marks, name)
    if records is None:
        return None
    batches = list(repeated(records, size))
    texts = [text for batch in batches for text in batch["text"].to_list()]
    kernel, plan = Kernel(), Plan(marks, folder=name)
    parse_source(kernel, plan, [records]).result()
    start = time.process_time()
    parsed = parse_source(kernel, plan, batches).result()
    ours = time.process_time() - start
    start = time.process_time()
    for text in texts:
        if text.startswith(b"{"):
            json.loads(text)
        else:
            text.split()
    rival = time.process_time() - start
    total = sum(map(len, texts))
    main_format = known[parsed.recognised.format.name] if parsed.recognised else known[name]
    way = (
        "reshape" if main_format.reshape or main_format.items else "text" if main_format.container == "text" else "path"
    )
    return way, total / len(texts), parsed.events.height / ours, total / 1e6 / ours, ours / rival


def sound(marks: Marks, name: str) -> pl.DataFrame | None:
    """The records of a format's first sample that it describes, and that nothing had to be mended in."""
    log = sample_logs(SAMPLES / name)[0]
    parsed = parse(marks, log, name)
    told = pl.col("recovered").is_null() & (pl.col("kind") != "log.other")
    fit = parsed.events.filter(told)["offset"].unique().to_list()
    (source,) = read(Input(log.name, log), Options())
    records = pl.concat([batch.records for batch in source.batches])
    records = records.filter(pl.col("offset").is_in(fit) & pl.col("fault").is_null() & pl.col("text").is_not_null())
    return records if records.height else None


def repeated(records: pl.DataFrame, size: int) -> list[pl.DataFrame]:
    """Batches of the records again and again, each at an address of its own."""
    once = int(records["text"].bin.size().sum())
    per_batch = max(1, min(size, BATCH) // once)
    batch = pl.concat([records] * per_batch, rechunk=True).with_columns(
        line=pl.int_range(1, pl.len() + 1).cast(pl.Int64),
        offset=pl.col("text").bin.size().cast(pl.Int64).cum_sum(),
        inner=pl.lit(0, pl.Int64),
    )
    count = max(1, size // (once * per_batch))
    step = once * per_batch + batch.height
    return [
        batch.with_columns(offset=pl.col("offset") + n * step, line=pl.col("line") + n * batch.height)
        for n in range(count)
    ]


if __name__ == "__main__":
    main()
