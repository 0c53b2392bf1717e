"""The benchmark beside rivals: its logs, its page, and the bounds that it guards."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path

import generate
import jobs
import page
import polars as pl
import pytest
import stages

import strataline

ROOT = Path(__file__).resolve().parent.parent
RIVALS = ROOT / "benchmarks" / "rivals"


def _made(folder: Path, records: int, *, damaged: bool = False) -> generate.Made:
    return generate.generate(folder, records, damaged=damaged)


def test_the_same_logs_are_made_again(tmp_path: Path) -> None:
    _made(tmp_path / "a", 400, damaged=True)
    _made(tmp_path / "b", 400, damaged=True)
    for file in generate.FILES.values():
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_no_truth_stays_beside_logs_that_are_other_ones(tmp_path: Path) -> None:
    _made(tmp_path, 40)
    assert (tmp_path / "truth.parquet").exists()
    _made(tmp_path, 40, damaged=True)
    assert not (tmp_path / "truth.parquet").exists()


def test_rivals_do_the_same_job(tmp_path: Path) -> None:
    made = _made(tmp_path, 400)
    columns = ["layer", "time", "id", "alias", "kind", "summary"]
    tables = {}
    for name, job in jobs.JOBS.items():
        job(tmp_path, tmp_path / name)
        table = pl.read_parquet(tmp_path / name)
        assert table.columns == columns
        assert table["id"].drop_nulls().is_sorted()
        tables[name] = table.with_columns(pl.col("time").dt.replace_time_zone(None)).sort(columns)
    assert tables["duckdb"].height == made.records
    # Prompts and retrievals have no alias, rerankings and ratings no text.
    assert tables["duckdb"].select("time", "alias", "summary").null_count().row(0) == (0, 160, 80)
    assert tables["duckdb"].equals(tables["polars"])
    assert tables["duckdb"].equals(tables["pandas"])


def test_logs_are_what_they_are_said_to_be(tmp_path: Path) -> None:
    made = _made(tmp_path, 20_000)
    lines = {layer: (tmp_path / file).read_bytes().splitlines() for layer, file in generate.FILES.items()}
    assert sum(map(len, lines.values())) == made.records == 20_000
    assert 600 < made.bytes / made.records < 670
    ids = {
        "prompt": lambda one: one["request_id"],
        "retrieval": lambda one: one["req"]["id"],
        "model": lambda one: one["metadata"]["correlation_id"],
        "policy": lambda one: one["context"]["turn"],
        "ui": lambda one: one["turnId"],
    }
    without = sum(ids[layer](json.loads(line)) is None for layer, some in lines.items() for line in some)
    assert 0.04 < without / made.records < 0.06


def test_every_block_goes_on_where_the_one_before_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generate, "BLOCK", 7)
    made = _made(tmp_path, 2000)
    truth = pl.read_parquet(tmp_path / "truth.parquet")
    assert truth.height == made.records == 2000
    assert truth.group_by("request").len()["len"].unique().to_list() == [10]
    assert (
        truth.group_by("file").agg((pl.col("line_no").sort() == pl.int_range(1, pl.len() + 1)).all())["line_no"].all()
    )


def test_damage_is_counted_as_it_is_rejected(tmp_path: Path) -> None:
    made = _made(tmp_path, 8000, damaged=True)
    files = [tmp_path / file for file in generate.FILES.values()]
    case = strataline.reconstruct(files, formats=RIVALS / "formats")
    identity = case.manifest["identity"]
    assert (identity["records"], identity["rejected"]) == (made.records, made.rejected)
    assert made.rejected > 20


def test_requests_are_whole_and_in_order_though_clocks_of_devices_are_open_on_one_side(tmp_path: Path) -> None:
    """Half of the devices show an answer before it was given, as far as their clocks tell: what is usual tells more."""
    _made(tmp_path, 4000)
    logs = [tmp_path / file for file in generate.FILES.values()]
    case = strataline.reconstruct(logs, formats=[RIVALS / "formats"])
    truth = pl.read_parquet(tmp_path / "truth.parquet")
    events = case.frames["events"].join(
        truth, left_on=["source", "line"], right_on=["file", "line_no"], suffix="_true", maintain_order="left"
    )
    told = events.sort("request", "seq").group_by("request", maintain_order=True).agg("rank", "request_true")
    assert told["request_true"].list.n_unique().unique().to_list() == [1]
    assert told["rank"].to_list() == [list(range(generate.RECORDS))] * 400


def test_the_page_is_what_the_kept_results_say() -> None:
    assert page.PAGE.read_text(encoding="utf-8") == page.rendered(RIVALS / "results")


@pytest.mark.slow
def test_small_jobs_cost_no_more_than_they_did() -> None:
    done = subprocess.run([sys.executable, RIVALS / "guard.py"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_stage_that_is_timed_is_a_way_through_the_program() -> None:
    for stage, module, name in stages.PLACES:
        found: object = importlib.import_module(f"strataline.{module}")
        for part in name.split("."):
            found = getattr(found, part)
        assert callable(found), stage
