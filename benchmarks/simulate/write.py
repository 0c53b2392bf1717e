"""Write a run to a folder."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import polars as pl

from .draw import draw_product
from .presets import PRESETS, no_skew
from .product import Product
from .run import simulate_parts


def write(product: Product, requests: int, seed: int, folder: Path) -> tuple[int, int]:
    """Write events.parquet, truth.parquet, clocks.parquet and product.json; gives the number of events and of parts.

    Of several parts each is a file of its own in a folder of the table's name (``events.parquet/000.parquet``, …),
    which Polars, DuckDB and PyArrow read as one table.
    """
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"seed": seed, "requests": requests, "product": product.to_dict()}, indent=1)
    (folder / "product.json").write_text(text + "\n", encoding="utf-8")
    count = parts = 0
    for part in simulate_parts(product, requests, seed):
        tables: dict[str, pl.DataFrame] = {"events": part.events, "truth": part.truth, "clocks": part.clocks}
        for name, table in tables.items():
            path = folder / f"{name}.parquet" / f"{parts:03}.parquet"
            path.parent.mkdir(exist_ok=True)
            table.write_parquet(path)
        count += part.events.height
        parts += 1
    if parts == 1:
        for name in ("events", "truth", "clocks"):
            whole = folder / f"{name}.parquet"
            only = (whole / "000.parquet").rename(folder / f"{name}.part")
            whole.rmdir()
            only.rename(whole)
    return count, parts


def main() -> None:
    """Read the command line and write."""
    parser = argparse.ArgumentParser(
        prog="simulate", description="Simulate an AI product: its events, the truth about them, and its true clocks."
    )
    parser.add_argument("--seed", type=int, default=1, help="of the run, and of the product if it is drawn")
    parser.add_argument("--requests", type=int, default=1000, help="requests to simulate")
    parser.add_argument("--preset", choices=sorted(PRESETS), help="a named product; without it, one is drawn")
    parser.add_argument("--no-skew", action="store_true", help="the same product with true clocks")
    parser.add_argument("-o", "--output", type=Path, default=Path("simulated"), help="folder to write to")
    chosen = parser.parse_args()
    product = PRESETS[chosen.preset]() if chosen.preset else draw_product(chosen.seed)
    if chosen.no_skew:
        product = no_skew(product)
    if chosen.output.exists() and any(chosen.output.iterdir()):
        parser.error(f"{chosen.output} is not empty")
    events, parts = write(product, chosen.requests, chosen.seed, chosen.output)
    print(f"{product.name}: {chosen.requests:,} requests, {events:,} events, {parts} part(s) in {chosen.output}")
