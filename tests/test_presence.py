"""What the silence of a layer means: logs in which one request follows another, and what was taken out of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, strategies as st
from polars.testing import assert_frame_equal

from strataline.correlate import presence as module
from strataline.correlate.presence import family, presence
from strataline.event import EVENTS, LINKS, NOTES, PRODUCT_LAYERS, TIME

SECOND = 10**9
STATES = ("present", "absent", "not_covered", "ambiguous")
Row = dict[str, Any]


def row(layer: str, log: str, at: float | None, request: int | None, **other: Any) -> Row:
    """An event of `log` at a second; `log` names the service, and `source` its file if that is another."""
    time = None if at is None else round(at * SECOND)
    named = None if request is None else f"r{request:05}"
    return {"layer": layer, "service": log, "source": f"{log}.jsonl", "t": time, "request": named} | other


def product(count: int, every: float = 1.0, **shares: float) -> list[Row]:
    """`count` turns, one each `every` seconds: prompt and ui always, the other layers as often as `shares` says."""
    chance = np.random.default_rng(7)
    rows = []
    for turn in range(count):
        at = turn * every
        rows += [row("prompt", "app", at, turn), row("ui", "web", at + 2, turn)]
        for layer, share in {"model": 1.0, "policy": 1.0, "retrieval": 1.0, **shares}.items():
            if chance.random() < share:
                rows.append(row(layer, layer, at + 1, turn))
    return rows


def events_of(rows: Iterable[Row]) -> pl.DataFrame:
    frame = pl.DataFrame(list(rows), schema_overrides={"t": pl.Int64, "request": pl.String}, infer_schema_length=None)
    frame = frame.with_row_index("n").with_columns(
        event_id=pl.format("e{}", pl.col("n").cast(pl.String).str.zfill(6)),
        corrected_time=pl.col("t").cast(pl.Datetime("ns")).dt.replace_time_zone("UTC"),
        line=pl.col("n").cast(pl.Int64) + 1,
        offset=pl.col("n").cast(pl.Int64),
    )
    return EVENTS.conform(frame.drop("n", "t"))


def requests_of(events: pl.DataFrame) -> pl.DataFrame:
    """Turns where there is a prompt event; that tells when they began, else the earliest event."""
    opens = pl.col("layer") == "prompt"
    frame = (
        events.filter(pl.col("request").is_not_null())
        .group_by("request")
        .agg(
            kind=pl.when(opens.any()).then(pl.lit("turn")).otherwise(pl.lit("job")),
            start_time=pl.coalesce(pl.col("corrected_time").filter(opens).min(), pl.col("corrected_time").min()),
            end_time=pl.col("corrected_time").max(),
            earliest=pl.col("corrected_time").min(),
        )
        .sort("request")
    )
    return frame.cast({"start_time": TIME, "end_time": TIME, "earliest": TIME})


def found(rows: Iterable[Row], links: pl.DataFrame | None = None) -> tuple[dict[int, dict[str, str]], list[Row]]:
    """For each request, layer → state; and the notes."""
    events = events_of(rows)
    asked = requests_of(events)
    told, notes = presence(asked, events, LINKS.empty() if links is None else links)
    assert told.columns == [
        *asked.columns,
        *(f"layers_{state}" for state in STATES if state != "ambiguous"),
        "layers_ambiguous",
    ]
    assert_frame_equal(told.select(asked.columns), asked)
    assert notes.schema == NOTES.schema
    states = {}
    for one in told.iter_rows(named=True):
        of = {layer: state for state in STATES for layer in one[f"layers_{state}"]}
        assert sum(len(one[f"layers_{state}"]) for state in STATES) == len(of) == len(PRODUCT_LAYERS), "each layer once"
        for state in STATES:
            assert one[f"layers_{state}"] == sorted(one[f"layers_{state}"], key=PRODUCT_LAYERS.index)
        states[int(one["request"][1:])] = of
    return states, notes.to_dicts()


def without(rows: Iterable[Row], lost: Callable[[Row], bool]) -> list[Row]:
    return [one for one in rows if not lost(one)]


def during(layer: str, low: float, high: float) -> Callable[[Row], bool]:
    return lambda one: one["layer"] == layer and low * SECOND <= one["t"] < high * SECOND


def test_a_layer_of_which_nothing_is_tied_is_absent_where_its_log_goes_on() -> None:
    rows = without(product(100), lambda one: one["layer"] == "model" and one["request"] == "r00050")
    states, notes = found(rows)
    assert states[50]["model"] == "absent"
    assert states[49]["model"] == "present"
    assert notes == []


def test_a_hole_in_a_log_covers_nothing_and_is_noted() -> None:
    rows = without(product(300), during("model", 100, 160))
    states, notes = found(rows)
    inside = [states[turn]["model"] for turn in range(100, 159)]
    assert set(inside) == {"not_covered"}
    assert states[98]["model"] == "present"
    assert {states[turn]["policy"] for turn in range(300)} == {"present"}
    (note,) = notes
    assert (note["room"], note["topic"], note["subject"], note["source"]) == (
        "correlate",
        "coverage_gap",
        "model.jsonl",
        "model.jsonl",
    )
    assert 55 <= note["count"] <= 60
    assert note["line"] == 493
    assert note["detail"].startswith(
        "no record between 1970-01-01 00:01:39.000 UTC (model.jsonl:493) and 1970-01-01 00:02:40.000 UTC (model.jsonl:"
    )


def test_what_can_not_be_told_is_no_hole() -> None:
    states, notes = found(without(product(300), during("model", 100, 103)))
    assert [states[turn]["model"] for turn in (99, 100, 101)] == ["absent"] * 3
    assert notes == []


def test_a_night_without_requests_is_no_hole() -> None:
    evening = product(200)
    morning = [
        one | {"t": one["t"] + 36_000 * SECOND, "request": f"r{int(one['request'][1:]) + 200:05}"} for one in evening
    ]
    rows = without([*evening, *morning], lambda one: one["layer"] == "model" and one["request"] in ("r00150", "r00250"))
    states, notes = found(rows)
    assert (states[150]["model"], states[250]["model"], notes) == ("absent", "absent", [])


def test_a_stretch_in_which_all_requests_were_blocked_before_the_model_is_no_hole() -> None:
    rows = [one | ({"verdict": "block"} if one["layer"] == "policy" else {}) for one in product(50)]
    blocked = without(rows, lambda one: one["layer"] in ("model", "retrieval"))
    others = [
        one | {"t": one["t"] + s * 50 * SECOND, "request": f"r{int(one['request'][1:]) + 50 * s:05}"}
        for s in (1, 3)
        for one in product(50)
    ]
    again = [one | {"t": one["t"] + 100 * SECOND, "request": f"r{int(one['request'][1:]) + 100:05}"} for one in blocked]
    seldom = [row("model", "model", 0.5, 0)]
    states, notes = found([*blocked, *others, *again, *seldom])
    assert {states[turn]["model"] for turn in range(101, 148)} == {"absent"}
    assert notes == []


def test_a_log_that_is_written_in_batches_has_no_holes() -> None:
    """The records of a minute bear the time at which they were flushed."""
    rows = [
        one | ({"t": -(-one["t"] // (60 * SECOND)) * 60 * SECOND} if one["layer"] == "model" else {})
        for one in product(1200)
    ]
    rows = without(rows, lambda one: one["layer"] == "model" and one["request"] == "r00630")
    states, notes = found(rows)
    assert (states[630]["model"], notes) == ("absent", [])


def test_a_job_that_never_calls_another_layer_makes_no_hole_in_it() -> None:
    """Thousands of searches in a quiet minute, by something that never shows a policy's verdict."""
    jobs = [row("retrieval", "retrieval", 400 + turn / 50, 1000 + turn) for turn in range(3000)]
    jobs += [row("model", "model", 400 + turn / 50, 1000 + turn) for turn in range(3000)]
    later = [
        one | {"t": one["t"] + 500 * SECOND, "request": f"r{int(one['request'][1:]) + 500:05}"} for one in product(100)
    ]
    states, notes = found([*product(300), *later, *jobs])
    assert notes == []
    assert states[1500]["policy"] == "absent"


def test_a_few_records_of_a_wrong_clock_do_not_hide_a_hole() -> None:
    lost = without(product(600), during("ui", 200, 800))
    strays = [row("ui", "web", at, 3) for at in (260, 261, 333, 500, 3000)]
    states, notes = found([*lost, *strays])
    assert {states[turn]["ui"] for turn in range(200, 590)} == {"not_covered"}
    (note,) = notes
    assert note["detail"].startswith("next to nothing (")


def test_time_before_the_first_and_after_the_last_record_is_not_covered() -> None:
    states, notes = found(
        without(product(100), lambda one: one["layer"] == "model" and not 30 <= one["t"] / SECOND < 60)
    )
    assert [states[turn]["model"] for turn in (5, 28, 40, 70)] == [
        "not_covered",
        "not_covered",
        "present",
        "not_covered",
    ]
    assert notes == []


def test_a_request_is_covered_in_its_whole_time_or_not() -> None:
    """A turn that began before the hole and ended after it."""
    rows = without(product(300), during("model", 100, 160))
    rows += [row("prompt", "app", 90, 900), row("prompt", "app", 170, 900), row("ui", "web", 171, 900)]
    assert found(rows)[0][900]["model"] == "not_covered"


def test_a_clock_that_is_off_does_not_move_what_its_log_covers() -> None:
    rows = without(product(300), during("model", 100, 160))
    rows = without(rows, lambda one: one["layer"] == "model" and one["request"] in ("r00080", "r00200"))
    rows = [one | ({"t": one["t"] + 45 * SECOND} if one["layer"] == "model" else {}) for one in rows]
    states, notes = found(rows)
    assert {states[turn]["model"] for turn in range(100, 159)} == {"not_covered"}
    assert (states[80]["model"], states[200]["model"], len(notes)) == ("absent", "absent", 1)


def test_where_one_of_two_replicas_is_silent_nothing_is_absent() -> None:
    rows = [
        one | ({"source": f"policy-{'ab'[turn % 2]}.jsonl"} if one["layer"] == "policy" else {})
        for turn, one in ((int(one["request"][1:]), one) for one in product(600))
    ]
    rows = without(rows, lambda one: one["source"] == "policy-b.jsonl" and 100 <= one["t"] / SECOND < 300)
    rows = without(rows, lambda one: one["layer"] == "policy" and one["request"] in ("r00150", "r00400"))
    states, notes = found(rows)
    assert states[150]["policy"] == "not_covered"
    assert states[400]["policy"] == "absent"
    assert [note["subject"] for note in notes] == ["policy-b.jsonl"]


def test_a_second_log_that_says_no_more_than_the_first_is_not_missed() -> None:
    """The gateway's plain output names one call in fifty; its export names all."""
    rows = without(product(400), lambda one: one["layer"] == "model" and one["request"] == "r00300")
    rows += [row("model", "stdout", turn + 1.1, turn) for turn in range(0, 200, 50)]
    assert found(rows)[0][300]["model"] == "absent"


def test_a_log_that_is_tied_to_no_turn_covers_nothing_of_turns() -> None:
    rows = without(product(100), lambda one: one["layer"] == "policy")
    rows += [row("policy", "other-product", at, None) for at in range(100)]
    rows += [row("policy", "batch", at, 1000 + at) for at in range(100)]
    rows += [row("retrieval", "batch-search", at, 1000 + at) for at in range(100)]
    states, _ = found(rows)
    assert {states[turn]["policy"] for turn in range(100)} == {"not_covered"}
    assert states[1050] == {
        "policy": "present",
        "retrieval": "present",
        "prompt": "not_covered",
        "model": "not_covered",
        "ui": "not_covered",
    }


def test_rotated_parts_are_one_log_and_a_missing_one_is_a_hole() -> None:
    parts = [("gw.jsonl.2.gz", 0, 100), ("gw.jsonl.1", 100, 200), ("gw.jsonl", 200, 400)]

    def part(one: Row) -> Row:
        at = one["t"] / SECOND
        return one | (
            {"source": next(name for name, low, high in parts if low <= at < high)} if one["layer"] == "model" else {}
        )

    rows = [part(one) for one in product(300)]
    rows = without(rows, lambda one: one["layer"] == "model" and one["request"] in ("r00050", "r00250"))
    whole, no_notes = found(rows)
    assert (whole[50]["model"], whole[250]["model"], no_notes) == ("absent", "absent", [])
    states, (note,) = found(without(rows, lambda one: one["source"] == "gw.jsonl.1"))
    assert {states[turn]["model"] for turn in range(100, 199)} == {"not_covered"}
    assert (states[50]["model"], states[250]["model"]) == ("absent", "absent")
    assert (note["subject"], note["source"]) == ("gw.jsonl", "gw.jsonl.2.gz")


def test_files_of_one_service_that_follow_each_other_are_one_log() -> None:
    """A pod is replaced by another."""
    rows = [
        one
        | (
            {"source": f"pods/gw-{'7f9cd' if one['t'] < 150 * SECOND else '5b8aa'}.log"}
            if one["layer"] == "model"
            else {}
        )
        for one in product(300)
    ]
    rows = without(rows, lambda one: one["layer"] == "model" and one["request"] in ("r00050", "r00250"))
    states, notes = found(rows)
    assert (states[50]["model"], states[250]["model"], notes) == ("absent", "absent", [])


def test_only_candidates_that_were_not_taken_make_a_layer_ambiguous() -> None:
    rows = without(
        product(100), lambda one: one["layer"] == "model" and one["request"] in ("r00050", "r00051", "r00052")
    )
    rows += [row("model", "model", at + 1, None) for at in (50, 51)]
    ids = events_of(rows)["event_id"]
    offered = pl.DataFrame(
        {
            "relation": ["member", "same_content", "member"],
            "from_event": [ids[-2], ids[-1], ids[-1]],
            "to_event": [None, ids[51 * 5], None],
            "to_request": ["r00050", None, "r00053"],
            "taken": [False, False, False],
        },
        schema_overrides={"to_event": pl.String, "to_request": pl.String},
    )
    assert events_of(rows)["request"][51 * 5 - 1] == "r00051", "the place of turn 51"
    offered[1, "to_event"] = ids[51 * 5 - 1]
    states, _ = found(rows, LINKS.conform(offered))
    assert [states[turn]["model"] for turn in range(50, 54)] == ["ambiguous", "ambiguous", "absent", "present"]


def test_a_request_without_any_time_is_not_covered() -> None:
    states, _ = found([*product(50), row("prompt", "app", None, 900), row("ui", "web", None, 900)])
    assert states[900] == dict.fromkeys(("model", "policy", "retrieval"), "not_covered") | {
        "prompt": "present",
        "ui": "present",
    }


def test_no_events_and_no_requests_give_nothing() -> None:
    for rows in ([], [row("model", "model", 1, None)]):
        events = events_of(rows) if rows else EVENTS.empty()
        made, notes = presence(requests_of(events), events, LINKS.empty())
        assert (made.height, notes.height) == (0, 0)


def test_so_many_holes_are_noted_and_the_rest_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "NOTED", 1)
    rows = without(without(product(1200), during("model", 100, 200)), during("model", 500, 550))
    _, notes = found(rows)
    assert [note["detail"][:9] for note in notes] == ["no record", "1 shorter"]
    assert 45 <= notes[1]["count"] <= 50


def test_logs_past_the_limit_cover_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOGS", 2)
    rows = without(product(100, retrieval=0.5), lambda one: one["layer"] == "model" and one["request"] == "r00050")
    assert found(rows)[0][50]["model"] == "not_covered"


@given(
    st.sampled_from(["model", "policy", "retrieval", "ui"]),
    st.integers(50, 300),
    st.integers(60, 200),
    st.sampled_from([0.3, 1.0, 7.0]),
    st.sampled_from([0.7, 0.9, 1.0]),
)
def test_a_block_taken_out_of_a_log_is_never_read_as_absence(
    layer: str, begin: int, length: int, every: float, share: float
) -> None:
    rows = product(600, every, **{} if layer == "ui" else {layer: share})
    lost = during(layer, begin * every, (begin + length) * every)
    states, notes = found(without(rows, lost))
    inside = [
        states[turn][layer]
        for turn in range(begin, begin + length)
        if begin * every <= turn * every and (turn * every + 2) < (begin + length) * every
    ]
    assert "absent" not in inside
    assert len(notes) == 1


@given(
    st.lists(st.sampled_from(["model", "policy", "retrieval", "ui"]), min_size=1, unique=True),
    st.sampled_from([0.2, 0.8, 1.0]),
)
def test_a_layer_without_a_log_is_never_absent(layers: list[str], share: float) -> None:
    states, _ = found(without(product(80, model=share, policy=share), lambda one: one["layer"] in layers))
    assert {of[layer] for of in states.values() for layer in layers} == {"not_covered"}


@given(st.sampled_from([0.05, 0.3, 0.6, 0.95]), st.integers(0, 99))
def test_chance_alone_makes_no_hole(share: float, seed: int) -> None:
    chance = np.random.default_rng(seed)
    rows = [one for one in product(400) if one["layer"] != "model" or chance.random() < share]
    assert found(rows)[1] == []


@given(st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_nothing(order: Any) -> None:
    events = events_of(without(product(150, policy=0.6), during("model", 40, 90)))
    asked = requests_of(events)
    shuffled = list(range(events.height))
    order.shuffle(shuffled)
    one, notes = presence(asked, events, LINKS.empty())
    other, same = presence(asked, events[shuffled], LINKS.empty())
    assert_frame_equal(one, other)
    assert_frame_equal(notes, same)


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("ui/events.jsonl", "ui/events.jsonl"),
        ("ui/events.jsonl.1", "ui/events.jsonl"),
        ("ui/events.jsonl.12.gz", "ui/events.jsonl"),
        ("ui/events-2026-11-21.jsonl", "ui/events.jsonl"),
        ("ui/events_2026-11-21T09-15-12.jsonl.zst", "ui/events.jsonl"),
        ("app.log-20261121.gz", "app.log"),
        ("app.log.2026-11-21_09", "app.log"),
        ("AWSLogs/2026/04/21/09/calls.json", "AWSLogs/calls.json"),
        ("x/2026-11-21.jsonl", "x/*.jsonl"),
        ("2026-11-21.jsonl.gz", "*.jsonl"),
        ("all.tar.gz!x/y.log.3", "all.tar.gz!x/y.log"),
        ("policy-1.log", "policy-1.log"),
        ("policy-a.jsonl", "policy-a.jsonl"),
        ("stdin", "stdin"),
        (".gz", "*"),
    ],
)
def test_rotated_parts_have_one_name(source: str, name: str) -> None:
    assert family(source) == name
