"""What became of model calls: which were completed, which answer was the last, and which went on."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from strataline.examine import Facts

Make = Callable[..., Facts]
START = datetime(2026, 1, 1, 10, tzinfo=UTC)


def call(request: str | None = "r1", **more: Any) -> dict[str, Any]:
    return {"layer": "model", "kind": "model.call", "request": request, "outcome": "ok", "at": 1, "end": 2, **more}


def said(layer: str, kind: str, **more: Any) -> dict[str, Any]:
    return {"layer": layer, "kind": kind, "request": "r1", "at": 9, **more}


T, F = True, False


@pytest.mark.parametrize(
    ("events", "completed", "last", "delivered"),
    [
        pytest.param([call()], [T], [T], [T], id="one"),
        pytest.param(
            [call(outcome="error", response_id="a", call="c"), call(response_id="b", call="c", at=3, end=4)],
            [F, T],
            [F, T],
            [F, T],
            id="a fallback after an error",
        ),
        pytest.param(
            [call(outcome=None, response_id="a"), call(outcome=None, finish_reason="stop"), call(outcome="unknown")],
            [F, T, F],
            [F, T, F],
            [F, T, F],
            id="an id alone is no answer",
        ),
        pytest.param([call(outcome="blocked", output_hash="x")], [F], [F], [F], id="blocked"),
        pytest.param([call(outcome="cancelled", output_hash="x")], [T], [T], [T], id="cancelled with a part"),
        pytest.param([call(outcome="cancelled")], [F], [F], [F], id="cancelled before the first word"),
        pytest.param([call(end=2), call(end=5)], [T, T], [F, T], [None, None], id="two answers, none named"),
        pytest.param(
            [call(response_id="a"), call(response_id="b", end=5), said("prompt", "prompt.answered", response_id="a")],
            [T, T],
            [F, T],
            [T, F],
            id="the application names the first",
        ),
        pytest.param(
            [
                call(response_id="a"),
                call(response_id="b", end=5),
                said("prompt", "prompt.answered", response_id="a"),
                said("prompt", "prompt.answered", response_id="b"),
                said("ui", "ui.rendered", response_id="b"),
            ],
            [T, T],
            [F, T],
            [F, T],
            id="an agent's steps: the page names the last",
        ),
        pytest.param(
            [call(output_hash="x"), call(output_hash="y", end=5), said("ui", "ui.rendered", output_hash="x")],
            [T, T],
            [F, T],
            [T, F],
            id="the page holds the text of the first",
        ),
        pytest.param(
            [call(response_id="a"), call(response_id="a", end=5, output_hash="x")],
            [T, T],
            [F, T],
            [T, T],
            id="one answer in two logs",
        ),
        pytest.param(
            [
                call(span_id="s1", end=6),
                call(span_id="s2", parent_id="s1", response_id="a", end=5, output_hash="x"),
            ],
            [T, T],
            [F, T],
            [T, T],
            id="a call's span and the one below it",
        ),
        pytest.param(
            [
                call(span_id="s1", end=6),
                call(span_id="s2", parent_id="s1", end=3),
                call(span_id="s3", parent_id="s1", end=5),
                said("ui", "ui.rendered", response_id="none"),
            ],
            [T, T, T],
            [F, F, T],
            [F, None, None],
            id="a span that holds two calls is none of them",
        ),
        pytest.param(
            [call(), call(name="aembedding", end=5), call(requested_model="omni-moderation-latest", end=6)],
            [T, T, T],
            [T, F, F],
            [T, F, F],
            id="embeddings and moderation answer nobody",
        ),
        pytest.param(
            [
                call(),
                call(span_id="s2", parent_id="p", end=5),
                said("policy", "policy.decision", span_id="p", verdict="allow"),
            ],
            [T, T],
            [T, F],
            [T, F],
            id="a filter's own call",
        ),
        pytest.param(
            [call(finish_reason="tool_calls"), call(finish_reason="stop", end=5)],
            [T, T],
            [F, T],
            [F, T],
            id="a step that asks for a tool",
        ),
        pytest.param([call(None), call(None, at=3, end=4)], [T, T], [T, T], [T, T], id="calls of no request"),
        pytest.param(
            [call(at=None, end=None, seq=0), call(at=None, end=None, seq=1)],
            [T, T],
            [F, T],
            [None, None],
            id="without times, the order decides",
        ),
        pytest.param(
            [call(cache="hit", response_id="a"), call("r0", response_id="a")], [T, T], [T, T], [T, T], id="a cache hit"
        ),
    ],
)
def test_what_became_of_calls(
    facts: Make,
    events: list[dict[str, Any]],
    completed: list[bool],
    last: list[bool],
    delivered: list[bool | None],
) -> None:
    found = facts(*events).responses
    assert found["completed"].to_list() == completed
    assert found["last"].to_list() == last
    assert found["delivered_"].to_list() == delivered
    assert found["event_id"].to_list() == [f"e{n}" for n in range(len(completed))]


@pytest.mark.parametrize(
    ("attributes", "more", "after_ms"),
    [
        ({"first_token_time": "1767261601.250000"}, {"time_kind": "start"}, 250),
        ({"first_token_time": "2026-01-01T10:00:01.250Z"}, {"time_kind": "start"}, 250),
        ({"first_token_time": "2026-01-01 10:00:01.250"}, {"time_kind": "start"}, 250),
        ({"first_token_time": "2026-01-01T12:00:01.250"}, {"time_kind": "start"}, None),
        ({"first_token_time": "1767261601.250000"}, {"time_kind": "start", "clock_offset": 10**9}, None),
        ({"time_to_first_token_ms": "250"}, {"time_kind": "start"}, 250),
        ({"ms_to_first_chunk": "250.0"}, {"time_kind": "end", "duration_ns": 10**9, "at": 2, "end": None}, 250),
        ({"first_token_ms": "250"}, {"time_kind": "end", "at": 2, "end": None}, None),
        ({}, {"time_kind": "start"}, None),
    ],
)
def test_the_first_of_an_answer(
    facts: Make, attributes: dict[str, str], more: dict[str, Any], after_ms: int | None
) -> None:
    made = facts(call(attributes=attributes, **more)).responses
    began = 1_767_261_601 * 10**9
    assert made["first"].to_list() == [None if after_ms is None else began + after_ms * 10**6]


def test_no_calls_at_all(facts: Make) -> None:
    found = facts(said("ui", "ui.rendered", response_id="a")).responses
    assert found.is_empty()
    assert found.schema["delivered_"] == pl.Boolean


def test_columns_are_those_of_the_table_without_redeliveries(facts: Make) -> None:
    clocks: list[dict[str, Any]] = [
        {"clock": "a", "slice": 0, "offset_ns": 0, "lower_ns": -1, "upper_ns": 3, "basis": "bounds"},
        {"clock": "a", "slice": 1, "start_time": at(100), "offset_ns": 0, "lower_ns": None, "basis": "bounds"},
        {"clock": "b", "slice": 0, "start_time": at(50), "offset_ns": 1, "lower_ns": 1, "upper_ns": 6, "basis": "x"},
        {"clock": "r", "slice": 0, "offset_ns": 0, "basis": "reference"},
    ]
    made = facts(
        {"layer": "model", "kind": "k", "clock": "a", "at": 1, "request": "q", "attributes": {"rate": "1"}},
        {"layer": "model", "kind": "k", "clock": "a", "at": 100, "format": "f"},
        {"layer": "ui", "kind": "k", "clock": "b", "at": 10, "request": "q", "link_method": "window"},
        {"layer": "policy", "kind": "k", "clock": "r", "at": 2, "verdict": "block", "request": "q"},
        {"layer": "ui", "kind": "u", "clock": None, "at": 3, "attributes": {"rate": "2"}, "format": "g"},
        {"layer": "ui", "kind": "u", "clock": "r", "format": "g"},
        links=[{"from_event": "e3", "to_event": "e0", "relation": "redelivery_of"}],
        clocks=clocks,
    )
    doubts = {"e0": 3, "e1": None, "e2": 5, "e4": None, "e5": None}
    assert dict(made.look("event_id", "doubt").iter_rows()) == doubts
    assert made.look("event_id", "sure").rows() == [("e0", T), ("e1", None), ("e2", F), ("e4", None), ("e5", None)]
    assert made.loose.to_list() == ["e2"]
    # A layer of which nothing but redeliveries is there is none, and is not stated.
    assert made.of("policy", columns=("event_id", "verdict")).shape == (0, 2)
    assert not made.has("policy.verdict")
    assert made.states("policy", "verdict")
    assert made.of("ui", "u", columns=("event_id", "verdict", "doubt")).rows() == [
        ("e4", None, None),
        ("e5", None, None),
    ]
    assert made.of("ui", columns=("verdict",)).rows() == [(None,)] * 3
    assert made.named(pl.Series(["e3", "e2", None, "e0", "no"]), "t").get_column("event_id").to_list() == ["e0", "e2"]
    assert made.addresses(pl.Series(["e3"])) == {"e3": "a.jsonl:4"}
    # The formats g and null write it.
    assert made.stating(["rate"], "event_id")["event_id"].to_list() == ["e0", "e2", "e4", "e5"]
    assert made.stating(["none"], "event_id").is_empty()
    for layer in ("model", "ui", "policy", "change"):
        assert made.of(layer).equals(made.events.filter(pl.col("layer") == layer))


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


@pytest.mark.parametrize("sample", [2, 4096])
def test_values_are_the_same_however_they_are_kept(facts: Make, monkeypatch: pytest.MonkeyPatch, sample: int) -> None:
    """A sample of two is of texts that differ, and of 4096 of few: kept as they are, and as numbers."""
    monkeypatch.setattr("strataline.examine.facts.SAMPLE", sample)
    names = ["a\0b", None, "", "a", "ä" * 20, "a"]
    sizes = [-1, 127, 128, 2**40, None, 0]
    made = facts(
        *(
            {"layer": layer, "kind": kind, "name": name, "input_chars": size, "request": "q"}
            for layer in ("model", "ui")
            for kind in ("k", "l")
            for name, size in zip(names, sizes, strict=True)
        )
    )
    columns = ("name", "kind", "input_chars", "provider")
    assert made.of("ui", "l", columns=columns).rows() == [
        (name, "l", size, None) for name, size in zip(names, sizes, strict=True)
    ]
    assert made.of("ui", "k", "l", columns=columns).equals(
        made.look("layer", *columns).filter(layer="ui").drop("layer")
    )
    assert made.of("ui", "none", columns=columns).schema == made.look(*columns).schema
