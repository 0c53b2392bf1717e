"""Clocks, scopes, texts and windows on logs of which everything is known: a made-up product, one fault at a time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from strataline.correlate import MOST_SURE, Correlated, Options, correlate, window
from strataline.event import EVENTS, ID

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
S = 1_000_000_000
MS = 1_000_000
Row = dict[str, Any]


def turns(count: int, seed: int = 7, gap_s: float = 2.0, sessions: int = 10) -> list[Row]:
    """The events of `count` turns by one true clock (``t``, seconds), each with a request id."""
    dice = np.random.default_rng(seed)
    rows: list[Row] = []
    at = 0.0
    for number in range(count):
        at += float(dice.exponential(gap_s)) + 0.05
        wait = 0.2 + float(dice.exponential(0.3))
        steps = (
            ("prompt.received", "app", 0.0),
            ("policy.decision", "filter", 0.004 + float(dice.exponential(0.004))),
            ("prompt.rendered", "app", 0.012 + float(dice.exponential(0.004)) + 0.01),
            ("model.call", "gateway", 0.04 + float(dice.exponential(0.01))),
            ("prompt.answered", "app", 0.06 + wait),
            ("prompt.responded", "app", 0.061 + wait),
            ("ui.rendered", f"browser:{number % sessions}", 0.075 + wait + float(dice.exponential(0.02))),
        )
        for kind, clock, after in steps:
            row: Row = {"kind": kind, "clock": clock, "t": at + after, "request_id": f"req_{number:024x}"}
            row |= {"session": f"session-{number % sessions:04}", "turn": number}
            if kind == "model.call":
                row["end"] = at + 0.05 + wait
            rows.append(row)
    return rows


def frame(rows: list[Row]) -> pl.DataFrame:
    """`rows` as ``events``, in order of their times in each log."""
    made = []
    for number, row in enumerate(sorted(rows, key=lambda one: (one["clock"], one["t"]))):
        kind, clock = row["kind"], row["clock"]
        aliases = [
            {"kind": name, "value": row[name], "role": "alias"} for name in ("request_id", "trace_id") if name in row
        ]
        time = NOON + timedelta(seconds=row["t"])
        made.append(
            {
                "event_id": f"{number:032x}",
                "layer": {"prompt": "prompt", "model": "model", "policy": "policy", "ui": "ui"}[kind.partition(".")[0]],
                "kind": kind,
                "policy_stage": "input" if kind == "policy.decision" else None,
                "clock": clock,
                "service": clock,
                "format": clock.partition(":")[0],
                "source": f"{clock.partition(':')[0]}.log",
                "line": number + 1,
                "offset": 100 * number,
                "length": 99,
                "item": 0,
                "index": 0,
                "event_time": time,
                "time_raw": time.isoformat(),
                "time_kind": "start" if kind == "model.call" else "write",
                "time_precision": row.get("precision", "us"),
                "end_time": NOON + timedelta(seconds=row["end"]) if "end" in row else None,
                "session": row.get("session"),
                "input_hash": row.get("text"),
                "ids": aliases,
                "refs": [],
            }
        )
    found = pl.DataFrame(made, infer_schema_length=None)
    return EVENTS.conform(found.with_columns(pl.col("ids", "refs").cast(pl.List(ID))))


def ahead(rows: list[Row], clock: str, by: Callable[[float], float] | float) -> list[Row]:
    """`rows` with the times of one clock moved ahead."""
    shift = by if callable(by) else lambda _: by
    return [
        row | {"t": row["t"] + shift(row["t"])} | ({"end": row["end"] + shift(row["t"])} if "end" in row else {})
        if row["clock"] == clock
        else row
        for row in rows
    ]


def clock(done: Correlated, name: str) -> list[Row]:
    return done.clocks.filter(pl.col("clock") == name).sort("slice").to_dicts()


def test_nothing_is_moved_where_clocks_agree() -> None:
    done = correlate(frame(turns(80)))
    assert set(done.clocks["basis"]) <= {"reference", "unmoved"}
    assert done.events["corrected_time"].equals(done.events["event_time"])


@pytest.mark.parametrize("offset", [-7.5, 0.35, 3600.2])
def test_a_clock_that_is_ahead_is_bracketed_and_moved(offset: float) -> None:
    done = correlate(frame(ahead(turns(80), "gateway", offset)), Options(reference_clock="app"))
    (found,) = clock(done, "gateway")
    assert found["basis"] == "bounds"
    assert found["lower_ns"] <= offset * S <= found["upper_ns"]
    assert abs(found["offset_ns"] - offset * S) < 60 * MS
    moved = done.events.filter(pl.col("clock") == "gateway")
    assert set(moved["clock_offset"]) == {found["offset_ns"]}
    assert ((moved["event_time"] - moved["corrected_time"]).dt.total_nanoseconds() == found["offset_ns"]).all()
    zones = done.notes.filter(pl.col("topic") == "clock_zone")
    assert zones.height == (abs(offset) > 900)


def test_a_few_liars_do_not_move_a_clock() -> None:
    rows = ahead(turns(300), "filter", 2.0)
    liars = [row for row in rows if row["clock"] == "filter"][::150]
    for row in liars:
        row["t"] -= 30
    (found,) = clock(correlate(frame(rows), Options(reference_clock="app")), "filter")
    assert abs(found["offset_ns"] - 2 * S) < 20 * MS


def test_a_clock_that_was_set_has_two_slices() -> None:
    rows = ahead(turns(600), "filter", lambda t: 1.0 if t < 500 else -3.0)
    found = clock(correlate(frame(rows), Options(reference_clock="app")), "filter")
    assert abs(found[0]["offset_ns"] - S) < 30 * MS
    assert abs(found[-1]["offset_ns"] + 3 * S) < 30 * MS


def test_an_asserted_clock_is_believed_and_a_contradiction_noted() -> None:
    rows = ahead(turns(80), "gateway", 2.0)
    options = Options(reference_clock="app", clock_offsets={"gateway": 10 * S})
    done = correlate(frame(rows), options)
    (found,) = clock(done, "gateway")
    assert (found["basis"], found["offset_ns"]) == ("asserted", 10 * S)
    assert done.notes.filter(pl.col("topic") == "clock_contradicted")["subject"].to_list() == ["gateway"]
    honest = correlate(frame(rows), Options(reference_clock="app", clock_offsets={"gateway": 2 * S}))
    assert honest.notes.filter(pl.col("topic") == "clock_contradicted").is_empty()


def test_a_browser_is_moved_by_what_bounds_it_and_left_where_that_may_be_a_delay() -> None:
    rows = turns(80)
    for number in range(10):
        rows = ahead(rows, f"browser:{number}", (-1) ** number * (5.5 + number))
    done = correlate(frame(rows), Options(reference_clock="app"))
    for number in range(10):
        (found,) = clock(done, f"browser:{number}")
        # They have upper bounds alone: the answer comes before it is shown, who knows how long.
        expected = 0 if number % 2 == 0 else -(5.5 + number)
        assert found["offset_ns"] / S == pytest.approx(expected, abs=0.25)


def unnamed(rows: list[Row], kind: str, share: float, seed: int = 3) -> list[Row]:
    """`rows` in which a share of the events of one kind has lost its ids."""
    dice = np.random.default_rng(seed)
    return [
        {name: value for name, value in row.items() if name != "request_id"}
        if row["kind"] == kind and dice.random() < share
        else row
        for row in rows
    ]


def whose(done: Correlated, rows: list[Row]) -> pl.DataFrame:
    """Events with the turn that they are of (``turn``), and the turn of the request that they were put in (``put``)."""
    ordered = sorted(rows, key=lambda one: (one["clock"], one["t"]))
    truth = pl.DataFrame({"event_id": [f"{n:032x}" for n in range(len(ordered))], "turn": [r["turn"] for r in ordered]})
    opened = truth.select(request="event_id", put="turn")
    return done.events.join(truth, on="event_id").join(opened, on="request", how="left")


@pytest.mark.parametrize("kind", ["policy.decision", "model.call", "ui.rendered"])
def test_events_without_an_id_are_placed_by_session_and_time(kind: str) -> None:
    rows = unnamed(ahead(turns(200), "filter", 5.0), kind, 0.5)
    done = correlate(frame(rows))
    found = whose(done, rows).filter((pl.col("kind") == kind) & (pl.col("link_confidence").fill_null(0) < 1))
    assert found.height > 70
    put = found.filter(pl.col("put").is_not_null())
    assert put.height >= 0.95 * found.height
    assert (put["put"] == put["turn"]).mean() == 1.0
    assert set(put["link_method"]) == {"window"}


def test_a_turn_may_have_several_of_what_no_id_ties() -> None:
    dice = np.random.default_rng(11)
    rows = [
        row | {"t": row["t"] + 0.002 * again}
        for row in turns(300)
        for again in range(int(dice.integers(1, 4)) if row["kind"] == "policy.decision" else 1)
    ]
    rows = [
        {name: value for name, value in row.items() if name not in ("request_id", "session")}
        if row["kind"] == "policy.decision"
        else row
        for row in rows
    ]
    found = whose(correlate(frame(rows)), rows).filter(pl.col("kind") == "policy.decision")
    put = found.filter(pl.col("put").is_not_null())
    assert put.height > 0.9 * found.height
    assert (put["put"] != put["turn"]).sum() < 0.02 * put.height


def judged(places: list[int], sole: list[int], scope: list[int], rate: float = 1e-3 / S) -> np.ndarray:
    """The chances of one candidate for each of the first events, all alike, of as many as have a scope."""
    rows = np.arange(len(places))
    edges = {"event": rows, "place": np.array(places), "when": rows * S, "sole": np.array(sole)}
    edges["log"] = np.full(len(places), np.log(1 / MS))
    return window._judge(edges, np.full(len(scope), rate), np.array(scope), 0.5)


def test_events_compete_for_a_step_that_has_one_and_not_for_one_that_has_several() -> None:
    chance = judged([0, 0, 1, 1], [1, 1, 0, 0], [2] * 4)
    assert chance[:2] == pytest.approx([0.5, 0.5], abs=0.01)
    assert (chance[2:] > 0.99).all()


def test_where_no_id_tells_how_many_a_step_has_the_events_do() -> None:
    one_each = judged([*range(40), 0], [-1] * 41, [2] * 41)
    assert one_each[[0, 40]] == pytest.approx([0.5, 0.5], abs=0.01)
    two_each = judged([*range(20), *range(20)], [-1] * 40, [2] * 40)
    assert (two_each > 0.99).all()


def test_the_share_that_belongs_is_that_of_the_events_of_one_scope() -> None:
    # All of 200 that name their session lie near a step, and 20 of 200 that name nobody, at a likely distance as well.
    chance = judged(list(range(220)), [1] * 220, [0] * 200 + [2] * 200, rate=1 / MS)
    assert chance[:200].min() > 0.99
    assert 1 - chance[200:].max() > 10 * (1 - chance[:200].min())


def test_whole_seconds_that_coincide_are_no_delay_of_their_own() -> None:
    rows = []
    for row in turns(600, gap_s=5.0):
        if row["kind"] == "model.call":
            row = {name: value for name, value in row.items() if name != "end"} | {"t": row["t"] + 0.5}
        if row["kind"] == "policy.decision":
            row = {name: value for name, value in row.items() if name not in ("request_id", "session")}
        if row["kind"] in ("model.call", "policy.decision"):
            row |= {"t": float(int(row["t"])), "precision": "s"}
        rows.append(row)
    done = correlate(frame(rows))
    found = whose(done, rows).filter((pl.col("kind") == "policy.decision") & pl.col("put").is_not_null())
    assert found.height > 300
    assert (found["put"] != found["turn"]).sum() < 0.03 * found.height


def test_what_could_be_of_two_turns_is_listed_and_not_taken() -> None:
    rows = turns(200)
    # Two turns of one session at the same time, whose decisions lost their ids.
    twin = [
        row | {"request_id": "req_" + "f" * 24, "turn": -1, "t": row["t"] + 0.0001} for row in rows if row["turn"] == 50
    ]
    rows += twin
    rows = [
        {name: value for name, value in row.items() if name != "request_id"}
        if row["kind"] == "policy.decision" and row["turn"] in (50, -1)
        else row
        for row in rows
    ]
    done = correlate(frame(rows))
    lost = whose(done, rows).filter((pl.col("kind") == "policy.decision") & pl.col("turn").is_in([50, -1]))
    assert lost["request"].null_count() == 2
    listed = done.links.filter(~pl.col("taken") & pl.col("from_event").is_in(lost["event_id"].implode()))
    assert listed.group_by("from_event").len()["len"].to_list() == [2, 2]
    assert listed["confidence"].is_between(0.3, 0.7).all()
    assert listed["runner_up"].null_count() == 2
    ambiguous = done.requests.filter(pl.col("layers_ambiguous").list.contains("policy"))
    assert ambiguous.height == 2


def test_nothing_but_an_id_is_stated_to_be_all_but_sure() -> None:
    done = correlate(frame(unnamed(turns(100, gap_s=60.0), "model.call", 0.5)))
    stated = done.links.filter((pl.col("method") == "window") & pl.col("taken"))["confidence"]
    assert stated.len() > 30
    assert stated.max() == MOST_SURE
    tied = done.events.filter(pl.col("link_method") == "window")
    assert tied["link_confidence"].max() == MOST_SURE
    assert done.links["runner_up_confidence"].drop_nulls().is_between(0, MOST_SURE).all()


@pytest.mark.parametrize("least", [1, 0.995])
def test_with_ids_alone_nothing_is_linked_by_time_or_text(least: float) -> None:
    done = correlate(frame(unnamed(turns(100), "model.call", 0.5)), Options(min_confidence=least))
    assert set(done.events["link_method"].drop_nulls()) <= {"opening", "id", "span"}
    assert set(done.events["link_confidence"].drop_nulls()) == {1.0}


def test_background_work_stays_out_of_turns() -> None:
    rows = turns(150)
    dice = np.random.default_rng(5)
    night = [
        {"kind": "model.call", "clock": "gateway", "t": float(t), "turn": -2}
        for t in np.sort(dice.uniform(0, rows[-1]["t"], 60))
    ]
    done = correlate(frame(rows + night))
    found = whose(done, rows + night).filter(pl.col("turn") == -2)
    assert found.height == 60
    assert found["request"].null_count() + (found["request"] == found["event_id"]).sum() == 60


def test_a_text_that_one_turn_holds_places_what_has_nothing_else() -> None:
    rows = [
        row | ({"text": f"question {row['turn']}"} if row["kind"] in ("prompt.rendered", "model.call") else {})
        for row in turns(120)
    ]
    rows = [{k: v for k, v in row.items() if k != "session"} for row in unnamed(rows, "model.call", 0.4)]
    done = correlate(frame(rows))
    found = whose(done, rows).filter((pl.col("kind") == "model.call") & (pl.col("link_method") == "content"))
    assert found.height > 30
    assert (found["put"] == found["turn"]).all()
    same = [row | ({"text": "hello"} if "text" in row else {}) for row in rows]
    common = correlate(frame(same))
    assert "content" not in set(common.events["link_method"].drop_nulls())


def test_two_names_of_one_session_are_one_scope() -> None:
    rows = [
        row | ({"session": f"app-{row['session']}"} if row["clock"] == "app" else {}) for row in turns(100, sessions=5)
    ]
    done = correlate(frame(unnamed(rows, "ui.rendered", 0.4)))
    said = done.notes.filter(pl.col("topic") == "scope_alias")
    assert said.height == 5
    placed = whose(done, rows).filter((pl.col("kind") == "ui.rendered") & (pl.col("link_method") == "window"))
    assert placed.height > 30
    assert (placed["put"] == placed["turn"]).all()


def test_every_event_of_a_request_has_one_tie_and_it_leads_to_the_opening_event() -> None:
    rows = unnamed(turns(150), "model.call", 0.5)
    # A span below the call, tied to it alone.
    rows += [
        row | {"kind": "model.attempt", "t": row["t"] + 0.001, "trace_id": f"{row['turn']:032x}"}
        for row in rows
        if row["kind"] == "model.call"
    ]
    rows = [row | ({"trace_id": f"{row['turn']:032x}"} if row["kind"] == "model.call" else {}) for row in rows]
    done = correlate(frame(rows))
    ties = done.links.filter((pl.col("relation") == "member") & pl.col("taken"))
    tied = done.events.filter(pl.col("request").is_not_null())
    assert sorted(ties["from_event"]) == sorted(tied["event_id"])
    above = dict(ties.select("from_event", "to_event").iter_rows())
    opening = set(ties.filter(pl.col("method") == "opening")["from_event"])
    for event in above:
        here, steps = event, 0
        while here not in opening:
            here, steps = above[here], steps + 1
            assert steps < 10
    requests = dict(done.events.select("event_id", "request").iter_rows())
    assert all(requests[event] == request for event, request in ties.select("from_event", "to_request").iter_rows())


def test_candidates_beyond_those_that_are_weighed_are_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("strataline.correlate.window.MOST_CANDIDATES", 1)
    rows = [
        {k: v for k, v in row.items() if k != "session"} for row in unnamed(turns(200, gap_s=0.02), "ui.rendered", 0.5)
    ]
    done = correlate(frame(rows))
    (note,) = done.notes.filter(pl.col("topic") == "candidates_cut").to_dicts()
    assert note["count"] > 10


def test_a_rule_that_the_clocks_contradict_is_noted() -> None:
    rows = turns(200)
    late = [row for row in rows if row["kind"] == "prompt.rendered" and row["turn"] in (50, 60, 70)]
    # Written ten seconds after the call that it must precede.
    for row in late:
        row["t"] += 10
    done = correlate(frame(rows), Options(reference_clock="app"))
    found = done.notes.filter((pl.col("topic") == "order_contradicted") & (pl.col("subject") == "model.call"))
    assert found["count"].to_list() == [3]
    assert "after prompt.rendered" in found["detail"][0]


def test_candidates_are_listed_once_and_those_of_a_job_are_kept() -> None:
    rows = turns(200)
    twin = [
        row | {"request_id": "req_" + "f" * 24, "turn": -1, "t": row["t"] + 0.0001} for row in rows if row["turn"] == 50
    ]
    rows = [
        {name: value for name, value in row.items() if name != "request_id"}
        if row["kind"] == "model.call" and row["turn"] in (50, -1)
        else row
        for row in rows + twin
    ]
    done = correlate(frame(rows))
    lost = whose(done, rows).filter((pl.col("kind") == "model.call") & pl.col("turn").is_in([50, -1]))
    # Each is a job of one call, and a candidate of two turns.
    assert (lost["request"] == lost["event_id"]).all()
    listed = done.links.filter(~pl.col("taken"))
    assert listed.select("from_event", "to_event").is_duplicated().sum() == 0
    assert set(lost["event_id"]) <= set(listed["from_event"])
