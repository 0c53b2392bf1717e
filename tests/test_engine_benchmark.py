"""The benchmark of the engine: it scores what is known, leaves out what it is told to, and prints what it found."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from strataline import event as contract

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
sys.path.append(str(BENCHMARKS))
bench: Any = importlib.import_module("engine")
clock_error: Any = importlib.import_module("clock_error")

BEGIN = datetime(2026, 3, 2, tzinfo=UTC)
NS = 1_772_409_600 * 10**9
HOUR = 3600 * 10**9


def task(product: str = "clean", **more: object) -> Any:
    return replace(bench.Task("some", product, seed=1, requests=40), **more)


def test_a_product_whose_rows_all_carry_ids_is_put_together_rightly() -> None:
    row = bench.measure(task(unskewed=True))
    assert "failed" not in row, row
    whole = bench._cell(row, "all")
    assert (whole["precision"], whole["recall"]) == (1, 1)
    assert row["unskewed"]["domains"] > 4
    for words in ("| some", "### Clocks", "1.0000"):
        assert words in bench.report([row])


@pytest.mark.parametrize("step", [*bench.step_names(), "link_window_surely+link_window"])
def test_a_step_can_be_left_out(step: str) -> None:
    row = bench.measure(task("hostile", without=tuple(step.split("+"))))
    assert "failed" not in row, row
    assert row["task"]["without"] == step.split("+")
    assert bench._cell(row, "all")["in_request"] > 0


def test_leaving_a_step_out_makes_a_difference() -> None:
    whole = bench.measure(task("hostile", requests=150))
    less = bench.measure(task("hostile", requests=150, without=("refuse_hubs",)))
    assert bench._cell(less, "all")["precision"] < bench._cell(whole, "all")["precision"]
    assert "refuse_hubs" in bench.ablation_table([whole, less])


@pytest.mark.parametrize("name", ["stitch", "no_such_step"])
def test_what_cannot_be_left_out_is_told(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        bench.steps_without([name])


def test_an_engine_that_raises_is_a_result(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: object) -> None:
        raise RuntimeError("out of order")

    monkeypatch.setattr(bench.engine, "correlate", broken)
    row = bench.measure(task())
    assert "RuntimeError" in row["failed"]
    assert "out of order" in bench.report([row])
    assert "failed" in bench.ablation_table([row])


def owned(of: Mapping[str, str | None]) -> pl.DataFrame:
    """Truth of events by their ids."""
    return pl.DataFrame({"event_id": [*of], "true_request": [*of.values()], "reach": ["id"] * len(of)})


def test_an_owner_is_the_turn_s_opening_event_s() -> None:
    events = pl.DataFrame({"event_id": ["a", "b", "c", "d"], "request": ["a", "a", "a", "d"]})
    requests = pl.DataFrame({"request": ["a", "d"], "kind": ["turn", "job"]})
    found = bench.owners(events, requests, owned({"a": "A", "b": "B", "c": "B", "d": "D"}))
    assert dict(found.iter_rows()) == {"a": "A", "d": "D"}


def test_links_are_counted_by_what_they_state() -> None:
    rows = [("a", "r", 0.95, True), ("b", "r", 1.0, True), ("c", "r", 0.11, False), ("d", "r", 1.0, True)]
    links = pl.DataFrame(rows, schema=["from_event", "to_request", "confidence", "taken"], orient="row").with_columns(
        relation=pl.lit("member"), method=pl.Series(["window", "content", "window", "id"])
    )
    owner = pl.DataFrame({"request": ["r"], "owner": ["A"]})
    found = bench.calibration(links, owner, owned({"a": "A", "b": "B", "c": None, "d": "B"}))
    assert found["cells"] == [[1, 1, 0.11, 0], [9, 2, 1.95, 1]]
    assert (found["sure"], found["taken"]) == ([1, 1], [2, 1])


def test_jobs_among_themselves_are_in_no_turn() -> None:
    events = pl.DataFrame({"event_id": ["a", "b", "c", "d"], "request": ["a", "a", "c", "c"]})
    requests = pl.DataFrame({"request": ["a", "c"], "kind": ["job", "job"]})
    # With a row of a turn among them, the others were put in the wrong place.
    truth = owned({"a": None, "b": None, "c": "C", "d": None})
    assert bench._jobs_apart(events, requests, truth)["request"].to_list() == [None, None, "c", "c"]


def clock(name: str, *slices: tuple[int, int, int, int]) -> pl.DataFrame:
    """True slices: from, to (s after the beginning), offset (ns), drift (ppb)."""
    rows = [(name, NS + a * 10**9, NS + b * 10**9, offset, drift) for a, b, offset, drift in slices]
    return pl.DataFrame(rows, schema=clock_error.TRUE, orient="row")


def test_a_clock_drifts_within_its_slice() -> None:
    true = pl.concat([clock("a", (0, 100, 5000, 10), (100, 200, 7000, 0)), clock("b", (50, 60, 1, 0))])
    at = [("a", 50), ("a", 90), ("a", 150), ("a", 500), ("b", 0), ("c", 0)]
    rows = pl.DataFrame({"clock": [c for c, _ in at], "true_time_ns": [NS + s * 10**9 for _, s in at]})
    assert clock_error.ahead(rows, true).to_list() == [5000, 5400, 7000, 7000, 1, None]


def test_clocks_are_scored_on_the_difference_to_the_reference() -> None:
    ms = 10**6
    true = pl.concat([clock(n, (0, 100, v, 0)) for n, v in (("app", 700 * ms), ("gw", 1000 * ms), ("page", -300 * ms))])
    taken = {"app": 0, "gw": 310 * ms, "page": -700 * ms}
    rows = [(name, n) for name in taken for n in range(6)]
    events = contract.EVENTS.conform(
        pl.DataFrame(
            {
                "event_id": [f"{name}{n}" for name, n in rows],
                "layer": [{"page": "ui"}.get(name, "model") for name, _ in rows],
                "clock": [name for name, _ in rows],
                "event_time": [BEGIN + timedelta(seconds=n) for _, n in rows],
                "clock_offset": [taken[name] for name, _ in rows],
                "link_confidence": [1.0] * len(rows),
            }
        )
    )
    clocks = contract.CLOCKS.conform(
        pl.DataFrame(
            {
                "clock": ["app", "gw", "page"],
                "slice": [0, 0, 0],
                "start_time": [BEGIN] * 3,
                "events": [6, 6, 6],
                "pairs": [0, 300, 4],
                "lower_ns": [0, 305 * ms, None],
                "upper_ns": [0, 320 * ms, None],
                "offset_ns": [0, 310 * ms, -700 * ms],
                "basis": ["reference", "bounds", "pooled"],
            }
        )
    )
    truth = pl.DataFrame({"event_id": events["event_id"], "true_time_ns": [NS + n * 10**9 for _, n in rows]})
    found = clock_error.clock_score(events, clocks, truth, true)
    (gateway,) = found.services
    assert (found.reference, gateway.clock, gateway.error_ms, gateway.true_ms) == ("app", "gw", 10, 300)
    assert (gateway.held, len(found.bracketed), found.held, found.worst_ms) == (0, 1, 0, 10)
    # Off by 0.3 s; unmoved it would be off by 1 s.
    assert (found.browsers, found.near, found.still) == (1, 0, 0)
    assert (found.domains, found.moved) == (3, 2)


def test_numbers_may_be_ranges() -> None:
    assert bench._numbers("0-3,7") == [0, 1, 2, 3, 7]
    assert bench._numbers("") == []


def test_the_chart_is_a_picture() -> None:
    root = ET.fromstring(bench.chart({"capture": [(0, 200, 0.05, 0.04), (9, 50, 0.97, 0.98)]}))  # noqa: S314 - our own
    assert root.tag.endswith("svg")
    assert len(root.findall("{http://www.w3.org/2000/svg}circle")) == 3


def program(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(BENCHMARKS / "engine.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False)


@pytest.mark.slow
def test_the_program_prints_json_and_draws(tmp_path: Path) -> None:
    chart = tmp_path / "chart.svg"
    done = program("--seeds", "4", "--requests", "20", "--fast", "--json", "--chart", str(chart))
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)["products"]
    assert row["task"] == {"name": "drawn 4", "product": "drawn", "seed": 4, "without": []}
    assert chart.read_text(encoding="utf-8").startswith("<svg")


def test_the_program_names_the_steps_that_there_are() -> None:
    done = program("--without", "stitch")
    assert done.returncode == 2
    assert "refuse_hubs" in done.stderr
