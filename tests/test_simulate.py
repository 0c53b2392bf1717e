"""The simulator keeps its word: what it says of each row is what can be read from the rows themselves."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from types import ModuleType
from typing import Any

import polars as pl
import pytest
from hypothesis import Phase, given, settings, strategies as st
from polars.testing import assert_frame_equal

from strataline import event as contract

FOLDER = Path(__file__).parent.parent / "benchmarks" / "simulate"


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "simulate", FOLDER / "__init__.py", submodule_search_locations=[str(FOLDER)]
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its modules look the package up by name
    spec.loader.exec_module(module)
    return module


simulate: Any = _load()
strategies: Any = importlib.import_module("simulate.strategies")
FEW = settings(max_examples=10, phases=[Phase.generate])
presets = pytest.mark.parametrize("name", sorted(simulate.PRESETS))
REACHES = ("id", "session+time", "user+time", "time_only")
UNIT = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}


def together(run: Any) -> pl.DataFrame:
    """Events beside their truth."""
    frame: pl.DataFrame = run.events.hstack(run.truth.select(pl.exclude("event_id", "layer", "service")))
    return frame


def check_schema(run: Any) -> None:
    events, truth = run.events, run.truth
    assert events.schema == contract.EVENTS.schema
    assert truth.schema == simulate.TRUTH
    assert run.clocks.schema == simulate.CLOCKS
    assert events["event_id"].to_list() == truth["event_id"].to_list()
    assert events["event_id"].n_unique() == events.height
    for column in ("request", "seq", "call", "link_method", "link_confidence", "order_basis", "corrected_time"):
        assert events[column].null_count() == events.height
    assert set(events["layer"]) <= set(contract.LAYERS)
    assert set(events["time_kind"]) <= set(contract.TIME_KINDS)
    assert set(events["outcome"].drop_nulls()) <= set(contract.OUTCOMES)
    assert set(events["verdict"].drop_nulls()) <= set(contract.VERDICTS)
    named = events.select(pl.col("ids").explode().struct.unnest()).drop_nulls()
    assert set(named["role"]) <= {"alias", "span", "group"}
    assert events["event_time"].null_count() == 0


def check_places(run: Any) -> None:
    """Each source is written line after line, and its bytes do not overlap."""
    for (_,), rows in run.events.group_by("source"):
        assert rows["line"].to_list() == list(range(1, rows.height + 1))
        ends = (rows["offset"] + rows["length"]).to_list()
        assert rows["offset"].to_list()[1:] == [end + 1 for end in ends[:-1]]


def check_clocks(run: Any) -> None:
    """A row's time is its true time by its clock, as precisely as it is written."""
    slices = run.clocks.sort("from_ns")
    rows = together(run).select("clock", "time_precision", "true_time_ns", logged=pl.col("event_time").to_physical())
    rows = rows.sort("true_time_ns").join_asof(
        slices, left_on="true_time_ns", right_on="from_ns", by="clock", check_sortedness=False
    )
    assert rows["offset_ns"].null_count() == 0
    middle = (pl.col("from_ns") + pl.col("to_ns")) // 2
    drifted = (pl.col("true_time_ns") - middle) * pl.col("drift_ppb") * 1e-9
    over = rows.select(pl.col("true_time_ns") + pl.col("offset_ns") - pl.col("logged") + drifted).to_series().to_numpy()
    unit = rows.select(pl.col("time_precision").replace_strict(UNIT)).to_series().to_numpy()
    # Nanoseconds are rounded once for the slice and once for the row.
    assert over.min() >= -2
    assert (over - unit).max() <= 2


def plain(value: str) -> str:
    """An id without what only its writing adds."""
    return re.sub("-", "", value).lower() if re.fullmatch("[0-9A-Fa-f-]{32,36}", value) else value


def check_reach(run: Any, product: Any) -> None:
    """Join the rows by the ids that they carry, in the plainest way, and compare."""
    counters = {family.name for family in product.families if family.style == "counter"}
    names = (
        "event_id",
        "record_hash",
        "ids",
        "parent_id",
        "session",
        "user",
        "true_request",
        "true_job",
        "event_kind",
        "reach",
    )
    rows = together(run).select(names).rows(named=True)
    owners: dict[tuple[str, str], set[str]] = defaultdict(set)
    carried: list[set[tuple[str, str]]] = []
    for row in rows:
        values = {
            (one["kind"] if one["kind"] in counters else "", plain(one["value"]))
            for one in row["ids"]
            if one["role"] != "group"
        }
        values |= {("", row["parent_id"])} if row["parent_id"] else set()
        values |= {("record", row["record_hash"])}
        carried.append(values)
        for value in values:
            owners[value].add(row["true_request"] or row["true_job"] or row["record_hash"])
    leader: dict[Any, Any] = {}

    def find(item: Any) -> Any:
        while leader.setdefault(item, item) != item:
            leader[item] = item = leader[leader[item]]
        return item

    for number, values in enumerate(carried):
        for value in values:
            if len(owners[value]) == 1:
                leader[find(value)] = find(number)
    opening: dict[str, set[Any]] = defaultdict(set)
    for number, row in enumerate(rows):
        if row["event_kind"] == "prompt.received" and row["true_request"]:
            opening[row["true_request"]].add(find(number))
    known: dict[str, set[str]] = defaultdict(set)
    for number, row in enumerate(rows):
        if find(number) in opening.get(row["true_request"], ()):
            known[row["true_request"]] |= {name for name in ("session", "user") if row[name]}
    for number, row in enumerate(rows):
        request = row["true_request"]
        if request is None:
            assert row["reach"] == "none"
        elif request in opening:
            if find(number) in opening[request]:
                expected = "id"
            elif row["session"] and "session" in known[request]:
                expected = "session+time"
            elif row["user"] and "user" in known[request]:
                expected = "user+time"
            else:
                expected = "time_only"
            # Counters that read alike are told apart by when they were used, which this does not try.
            better = REACHES.index(row["reach"]) < REACHES.index(expected)
            assert row["reach"] == expected or (counters and better), (row, expected)
        else:
            assert row["reach"] != "none"


def check_order(run: Any) -> None:
    """What must come before something does, in causal_seq; and causal_seq says no more than true time does."""
    rows = together(run).filter(pl.col("true_request").is_not_null(), pl.col("duplicate_of").is_null())
    assert (rows["true_start_ns"] <= rows["true_end_ns"]).all()
    place = {
        kind: rows.filter(pl.col("event_kind") == kind).select(
            "true_request", "true_try", "causal_seq", "true_start_ns"
        )
        for kind in rows["event_kind"].unique()
    }
    for first, second in BEFORE:
        if first in place and second in place:
            both = place[first].join(place[second], on=["true_request", "true_try"], suffix="_later")
            assert (both["causal_seq"] <= both["causal_seq_later"]).all(), (first, second)
            assert (both["true_start_ns"] <= both["true_start_ns_later"]).all(), (first, second)
    parents = rows.filter(pl.col("span_id").is_not_null(), pl.col("event_kind").is_in(SPANS))
    nested = rows.filter(pl.col("event_kind").is_in(SPANS)).join(
        parents, left_on="parent_id", right_on="span_id", suffix="_above"
    )
    assert (nested["true_request"] == nested["true_request_above"]).all()
    assert (nested["true_start_ns"] >= nested["true_start_ns_above"]).all()
    assert (nested["true_end_ns"] <= nested["true_end_ns_above"]).all()
    assert (rows["causal_seq"] <= rows["time_seq"]).all()


SPANS = ["retrieval.request", "retrieval.query", "retrieval.embed", "retrieval.rerank", "model.call", "model.attempt"]
BEFORE = [
    ("ui.message_sent", "prompt.received"),
    ("prompt.received", "policy.input"),
    ("prompt.received", "retrieval.query"),
    ("prompt.received", "prompt.rendered"),
    ("prompt.received", "model.call"),
    ("prompt.received", "prompt.responded"),
    ("prompt.received", "ui.rendered"),
    ("policy.input", "prompt.responded"),
    ("retrieval.query", "prompt.responded"),
    ("model.call", "prompt.responded"),
    ("prompt.answered", "prompt.responded"),
    ("prompt.blocked", "prompt.responded"),
    ("prompt.responded", "prompt.access"),
    ("prompt.responded", "ui.feedback"),
    ("ui.rendered", "ui.feedback"),
]


def check_copies(run: Any) -> None:
    """A redelivery says what the row that it repeats says."""
    rows = together(run)
    again = rows.filter(pl.col("duplicate_of").is_not_null())
    pairs = again.join(rows, left_on="duplicate_of", right_on="event_id", suffix="_first")
    assert pairs.height == again.height
    for column in ("record_hash", "event_time", "session", "span_id", "true_request", "kind", "reach", "causal_seq"):
        assert pairs[column].to_list() == pairs[f"{column}_first"].to_list()
    assert (pairs["line"] > pairs["line_first"]).all()
    assert rows["record_hash"].n_unique() == rows.height - again.height


def check(product: Any, requests: int, seed: int) -> Any:
    run = simulate.simulate(product, requests, seed)
    check_schema(run)
    if run.events.is_empty():
        return run
    check_places(run)
    check_clocks(run)
    check_reach(run, product)
    check_order(run)
    check_copies(run)
    return run


@presets
def test_a_preset_keeps_its_word(name: str) -> None:
    run = check(simulate.PRESETS[name](), 120, 5)
    assert run.truth["true_request"].drop_nulls().n_unique() == 120


@pytest.mark.parametrize("seed", range(10))
def test_a_drawn_product_keeps_its_word(seed: int) -> None:
    check(simulate.draw_product(seed), 60, seed)


@FEW
@given(strategies.products(), st.integers(0, 1000))
def test_a_small_product_keeps_its_word(product: Any, seed: int) -> None:
    check(product, 25, seed)


@FEW
@given(strategies.drawn_products())
def test_any_drawn_product_keeps_its_word(product: Any) -> None:
    check(product, 25, 1)


def test_the_same_seed_gives_the_same_run() -> None:
    product = simulate.draw_product(4)
    assert product == simulate.draw_product(4)
    first, second, other = (simulate.simulate(product, 80, seed) for seed in (9, 9, 10))
    for name in ("events", "truth", "clocks"):
        assert_frame_equal(getattr(first, name), getattr(second, name))
    assert not first.events.equals(other.events)
    assert product != simulate.draw_product(5)


def test_parts_go_on_where_the_last_one_ended() -> None:
    product = simulate.PRESETS["hostile"]()
    parts = list(simulate.simulate_parts(product, 300, 3, shard_size=60))
    assert len(parts) == 5
    run = simulate.Simulated(
        *(pl.concat([getattr(part, name) for part in parts]) for name in ("events", "truth", "clocks"))
    )
    check_schema(run)
    check_places(run)
    check_clocks(run)
    check_copies(run)
    assert run.truth["true_request"].drop_nulls().n_unique() == 300


def test_a_clean_product_is_tied_by_ids_and_has_no_skew() -> None:
    run = simulate.simulate(simulate.PRESETS["clean"](), 100, 1)
    assert set(run.truth["reach"]) == {"id", "none"}
    assert run.clocks["offset_ns"].to_list() == [0] * run.clocks.height
    assert set(run.truth.filter(pl.col("reach") == "none")["event_kind"]) == {"ui.pageview"}


def test_no_skew_takes_the_skew_and_nothing_else() -> None:
    product = simulate.PRESETS["browser_heavy"]()
    skewed, true = (simulate.simulate(one, 60, 2) for one in (product, simulate.no_skew(product)))
    assert (skewed.clocks["offset_ns"].abs() > 10**9).any()
    assert (true.clocks["offset_ns"] == 0).all()
    late = (true.truth["true_time_ns"] - true.events["event_time"].to_physical()).to_list()
    assert 0 <= min(late) <= max(late) < 10**6


def test_an_adversary_sends_one_id_for_many_requests() -> None:
    rows = together(simulate.simulate(simulate.PRESETS["hostile"](), 400, 1))
    named = rows.select("true_request", "ids").explode("ids")
    named = named.unnest("ids").filter(pl.col("kind") == "request_id")
    most = named.group_by("value").agg(pl.col("true_request").n_unique()).sort("true_request").tail(1)
    assert most["true_request"].item() > 15
    hit = named.join(most.select("value"), on="value", how="semi")["true_request"].unique()
    reach = rows.filter(pl.col("true_request").is_in(hit.implode()))["reach"]
    assert reach.value_counts().filter(pl.col("reach") != "id")["count"].sum() > 0


def test_a_counter_that_restarts_is_told() -> None:
    base = simulate.PRESETS["clean"]()
    product = simulate.Product(
        "counters",
        base.services,
        families=(simulate.Family("request_id", "counter", restart_h=1.0),),
        traffic=simulate.Traffic(rate_per_s=0.01),
        flow=simulate.Flow(client_ids=True),
    )
    rows = together(simulate.simulate(product, 100, 1))
    named = rows.filter(pl.col("event_kind") == "prompt.received").select("true_request", "ids").explode("ids")
    uses = named.unnest("ids").filter(pl.col("kind") == "request_id").group_by("value").agg(pl.col("true_request"))
    assert (uses["true_request"].list.n_unique() > 1).any()
    assert rows["id_reused"].any()


def test_a_cache_hit_names_an_earlier_response() -> None:
    base = simulate.PRESETS["clean"]()
    flow = simulate.Flow(cache=0.8)
    traffic = simulate.Traffic(common=1.0, pool=3)
    product = simulate.Product("cache", base.services, traffic=traffic, flow=flow)
    rows = together(simulate.simulate(product, 100, 1)).filter(pl.col("kind") == "model.call")
    hits = rows.filter(pl.col("cache") == "hit").explode("refs").with_columns(of=pl.col("refs").struct.field("value"))
    assert hits["of"].null_count() < hits.height
    origin = hits.join(rows, left_on="of", right_on="response_id", suffix="_origin")
    assert origin.height == hits["of"].drop_nulls().len()
    assert (origin["true_start_ns"] >= origin["true_start_ns_origin"]).all()
    assert (origin["input_hash"] == origin["input_hash_origin"]).all()
    assert (origin["output_hash"] == origin["output_hash_origin"]).all()


@pytest.mark.slow
def test_the_command_writes_a_run(tmp_path: Path) -> None:
    command = [sys.executable, str(FOLDER), "--seed", "3", "--requests", "40", "-o", str(tmp_path / "run")]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert "40 requests" in said
    events = pl.read_parquet(tmp_path / "run" / "events.parquet")
    truth = pl.read_parquet(tmp_path / "run" / "truth.parquet")
    run = simulate.simulate(simulate.draw_product(3), 40, 3)
    assert_frame_equal(events, run.events)
    assert_frame_equal(truth, run.truth)
    assert json.loads((tmp_path / "run" / "product.json").read_text())["product"]["name"] == "drawn 3"
    assert subprocess.run(command, check=False, capture_output=True).returncode == 2
