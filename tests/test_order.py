"""How the events of one request are ordered: what must precede, then the clock, then the evidence address.

The logs are in the notation of ``test_correlate.py``, with the lines in the order that must come out. The first word of
a line is the basis that its place must have (first, causal, clock, tie), or ``*`` where the case leaves it open.
"""

from __future__ import annotations

import importlib.util
import itertools
from pathlib import Path
from types import ModuleType
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings, strategies as st

from strataline.correlate import Correlated, correlate
from strataline.correlate.order import _custom


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("logs_in_words", Path(__file__).with_name("test_correlate.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


notation: Any = _load()


def ordered(log: str) -> Correlated:
    """Correlate a log of one request, and hold that its lines stay in order, on the stated basis.

    The evidence addresses run against the order that must come out, so that no tie keeps it by chance.
    """
    events, words = notation.read(log)
    turned = events.with_columns(offset=100_000 - pl.col("offset"))
    done: Correlated = correlate(turned)
    rows = done.events.filter(pl.col("request").is_not_null()).sort("seq")
    assert rows["event_id"].to_list() == events["event_id"].to_list()
    told = [basis if word == "*" else word for word, basis in zip(words, rows["order_basis"], strict=True)]
    assert rows["order_basis"].to_list() == told
    assert rows["seq"].to_list() == list(range(events.height))
    return done


ORDERED = {
    "one clock alone": """
        first prompt.received@app t=0 request_id=r1
        clock prompt.rendered@app t=1 request_id=r1
        clock prompt.answered@app t=2 request_id=r1
        clock prompt.responded@app t=3 request_id=r1
    """,
    "clocks that agree": """
        first  ui.message_sent@browser t=0 request_id=r1
        causal prompt.received@app t=0.1 request_id=r1
        causal policy.decision@policy t=0.2 request_id=r1 stage=input
        clock  retrieval.query@kb t=0.3 request_id=r1
        causal prompt.rendered@app t=0.4 request_id=r1
        clock  prompt.sent@app t=0.5 request_id=r1
        causal model.call@gateway t=0.6 request_id=r1
        causal prompt.answered@app t=0.7 request_id=r1
        clock  prompt.responded@app t=0.8 request_id=r1
        causal ui.rendered@browser t=0.9 request_id=r1
    """,
    "clocks that are seconds off, each in another direction": """
        first  ui.message_sent@browser t=7 request_id=r1
        causal prompt.received@app t=0.1 request_id=r1
        causal policy.decision@policy t=-5 request_id=r1 stage=input
        *      retrieval.query@kb t=-2.3 request_id=r1
        causal prompt.rendered@app t=0.4 request_id=r1
        causal prompt.sent@app t=0.5 request_id=r1
        causal model.call@gateway t=-3.6 request_id=r1
        causal policy.decision@policy t=-4 request_id=r1 stage=output
        causal prompt.answered@app t=0.7 request_id=r1
        causal prompt.responded@app t=0.8 request_id=r1
        causal ui.rendered@browser t=7.9 request_id=r1
        clock  ui.feedback@browser t=9 request_id=r1
    """,
    "a browser an hour ahead": """
        first  ui.message_sent@browser t=3600 request_id=r1
        causal prompt.received@app t=0.1 request_id=r1
        causal model.call@gateway t=0.6 request_id=r1
        causal prompt.responded@app t=0.8 request_id=r1
        causal ui.rendered@browser t=3600.9 request_id=r1
    """,
    "a browser an hour behind": """
        first  ui.message_sent@browser t=-3600 request_id=r1
        causal prompt.received@app t=0.1 request_id=r1
        clock  prompt.responded@app t=0.8 request_id=r1
        causal ui.rendered@browser t=-3599 request_id=r1
        causal ui.feedback@browser t=-3590 request_id=r1
    """,
    "one clock that contradicts a rule: it knows its own order better": """
        first prompt.responded@app t=1 request_id=r1
        clock prompt.rendered@app t=2 request_id=r1
        clock prompt.received@app t=3 request_id=r1
    """,
    "a verdict on the answer that came after the answer had been shown": """
        first  prompt.received@app t=0 request_id=r1
        causal model.call@gateway t=1 request_id=r1
        causal prompt.answered@app t=2 request_id=r1
        clock  prompt.responded@app t=3 request_id=r1
        causal ui.rendered@browser t=3.5 request_id=r1
        clock  policy.decision@policy t=4 request_id=r1 stage=output
    """,
    "a span above before the spans below, though its clock is ahead": """
        first  prompt.received@app t=0 request_id=r1 trace_id=t1
        causal retrieval.request@kb t=9 trace_id=t1 span=p1
        causal retrieval.query@store t=3 trace_id=t1 span=p2 parent=p1
        causal log.line@disk t=1 trace_id=t1 span=p3 parent=p2
    """,
    "spans that end in the order they were exported, below a span that began first": """
        first  retrieval.request@kb t=0 trace_id=t1 span=p1
        clock  retrieval.embed@kb t=1 trace_id=t1 span=p2 parent=p1
        clock  retrieval.query@kb t=2 trace_id=t1 span=p3 parent=p1
        clock  retrieval.rerank@kb t=3 trace_id=t1 span=p4 parent=p1
    """,
    "equal times of one clock: what must precede, then the layer": """
        first  prompt.received@app t=0 request_id=r1
        causal prompt.rendered@app t=0 request_id=r1
        causal prompt.sent@app t=0 request_id=r1
        causal prompt.answered@app t=0 request_id=r1
        causal prompt.responded@app t=0 request_id=r1
    """,
    "equal times of things that no rule knows: the layer": """
        first prompt.noted@app t=0 request_id=r1
        tie   retrieval.noted@app t=0 request_id=r1
        tie   model.noted@app t=0 request_id=r1
        tie   policy.noted@app t=0 request_id=r1
        tie   ui.noted@app t=0 request_id=r1
        tie   log.line@app t=0 request_id=r1
    """,
    "two attempts of one turn: the second's call is not drawn before the first's answer": """
        first  prompt.received@app t=0 request_id=r1 session=s1 text=refunds
        clock  prompt.sent@app t=1 request_id=r1 session=s1
        clock  prompt.responded@app t=2 request_id=r1 session=s1 outcome=error
        clock  prompt.received@app t=9 request_id=r2 session=s1 text=refunds
        clock  prompt.sent@app t=10 request_id=r2 session=s1
        causal model.call@gateway t=10.5 request_id=r2
        causal prompt.answered@app t=11 request_id=r2 session=s1
        clock  prompt.responded@app t=12 request_id=r2 session=s1
    """,
    "two calls of an agent, whose gateway is behind: each after the prompt that was sent for it": """
        first  prompt.received@app t=0 request_id=r1
        clock  prompt.sent@app t=1 request_id=r1 call_id=c1
        causal model.call@gateway t=-8 call_id=c1
        causal prompt.answered@app t=3 request_id=r1 call_id=c1
        clock  prompt.sent@app t=4 request_id=r1 call_id=c2
        causal model.call@gateway t=-5 call_id=c2
        causal prompt.answered@app t=6 request_id=r1 call_id=c2
        clock  prompt.responded@app t=7 request_id=r1
    """,
    "an opening event without a time, before what it must precede": """
        first  prompt.received@app request_id=r1
        causal prompt.rendered@app t=1 request_id=r1
        causal model.call@gateway t=2 request_id=r1
        causal prompt.responded@app t=3 request_id=r1
    """,
    "a call without a time, between what it must follow and what it must precede": """
        first  prompt.received@app t=0 request_id=r1
        clock  prompt.sent@app t=1 request_id=r1
        causal model.call@gateway request_id=r1
        causal prompt.answered@app t=3 request_id=r1
    """,
    "what states no time and must follow nothing, at the end": """
        first prompt.received@app t=0 request_id=r1
        clock prompt.noted@app t=5 request_id=r1
        tie   log.line@app request_id=r1
    """,
    "nothing states a time: what must precede is all there is": """
        first  prompt.received@app request_id=r1
        causal prompt.rendered@app request_id=r1
        causal prompt.sent@app request_id=r1
        causal model.call@gateway request_id=r1
        causal prompt.answered@app request_id=r1
        causal prompt.responded@app request_id=r1
    """,
}


@pytest.mark.parametrize("log", ORDERED.values(), ids=ORDERED)
def test_events_stand_in_order(log: str) -> None:
    assert ordered(log).notes.filter(pl.col("topic") == "order_loop").is_empty()


def test_the_places_of_a_request_do_not_depend_on_the_others() -> None:
    one, other = ORDERED["clocks that agree"], ORDERED["a browser an hour behind"]
    both = "\n".join([one.strip(), other.replace("r1", "r2").strip()])
    events, _ = notation.read(both)
    done = correlate(events)
    assert done.requests.height == 2
    for request in done.requests["request"]:
        rows = done.events.filter(pl.col("request") == request).sort("seq")
        assert rows["event_id"].to_list() == sorted(rows["event_id"])
        assert rows["seq"].to_list() == list(range(rows.height))


CONTRADICTORY = {
    "two spans that are each other's parent": """
        - prompt.received@app t=0 request_id=r1
        - log.line@kb t=1 request_id=r1 span=p1 parent=p2
        - log.line@store t=1 request_id=r1 span=p2 parent=p1
        - ui.rendered@browser t=2 request_id=r1
    """,
    "a clock that puts a span below before the span above, by way of another clock": """
        - prompt.received@app t=0 request_id=r1
        - log.line@kb t=1 request_id=r1 span=p3 parent=p2
        - log.line@kb t=2 request_id=r1 span=p1
        - log.line@store t=1 request_id=r1 span=p2 parent=p1
    """,
}


@pytest.mark.parametrize("log", CONTRADICTORY.values(), ids=CONTRADICTORY)
@pytest.mark.parametrize("others", [0, 1000], ids=["alone", "beside a thousand requests"])
def test_rules_that_contradict_each_other_are_left_out_and_said(log: str, others: int) -> None:
    lines = log.strip().splitlines()
    beside = [f"- prompt.received@app t={n} request_id=req_{n:024}" for n in range(others)]
    events, _ = notation.read("\n".join([*lines, *beside]))
    done = correlate(events)
    mine = events["event_id"].head(len(lines))
    rows = done.events.filter(pl.col("event_id").is_in(mine.implode())).sort("seq")
    assert rows["seq"].to_list() == list(range(len(lines)))
    held_by_clock(done)
    assert done.notes.filter(pl.col("topic") == "order_loop").height == 1


def test_a_span_that_is_its_own_parent_is_no_contradiction() -> None:
    done = ordered("""
        first prompt.received@app t=0 request_id=r1
        clock log.line@kb t=1 request_id=r1 span=p1 parent=p1
    """)
    assert done.notes.filter(pl.col("topic") == "order_loop").is_empty()


def held_by_clock(done: Correlated) -> None:
    """What one clock puts earlier stands earlier."""
    timed = done.events.filter(pl.col("request").is_not_null(), pl.col("event_time").is_not_null())
    for _, rows in timed.sort("seq").group_by("request", "clock", maintain_order=True):
        times = rows["event_time"].to_list()
        assert times == sorted(times)


def test_a_turn_of_many_hundred_steps_by_one_clock_is_no_contradiction() -> None:
    # An agent writes a line for each of its steps; the calls below stand on another clock that is behind.
    steps = "\n".join(
        f"{'first' if n == 0 else 'clock'}  prompt.{'received' if n == 0 else 'step'}@app t={n} request_id=r1"
        for n in range(600)
    )
    done = ordered(f"{steps}\nclock prompt.sent@app t=600 request_id=r1\ncausal model.call@gateway t=2 request_id=r1")
    assert done.notes.is_empty()


def test_a_chain_of_spans_two_hundred_deep_is_no_contradiction() -> None:
    spans = "\n".join(
        f"* log.line@c{n} t={200 - n} request_id=r1 span={n + 1:016x} parent={n:016x}" for n in range(1, 200)
    )
    done = ordered(f"first prompt.received@app t=0 request_id=r1 span={1:016x}\n{spans}")
    assert done.notes.filter(pl.col("topic") == "order_loop").is_empty()


def test_siblings_below_one_span_keep_the_order_of_their_clocks() -> None:
    done = ordered("""
        first  prompt.received@app t=0 request_id=r1 span=p1
        causal log.line@kb t=1 span=p2 parent=p1
        clock  log.line@store t=2 span=p3 parent=p1
        clock  log.line@kb t=3 span=p4 parent=p2
        clock  log.line@store t=4 span=p5 parent=p3
    """)
    assert done.requests.height == 1


STEPS = ("prompt.received", "prompt.rendered", "prompt.sent", "prompt.answered", "prompt.responded")
step = st.tuples(
    st.sampled_from([*STEPS, "model.call", "policy.decision", "retrieval.query", "ui.rendered", "log.line"]),
    st.sampled_from(["app", "gateway", "browser"]),
    st.none() | st.integers(0, 6),
    st.none() | st.integers(1, 4),
    st.none() | st.integers(1, 4),
)


@given(st.lists(step, min_size=1, max_size=12))
@settings(max_examples=max(1, settings().max_examples // 2))
def test_no_clock_is_contradicted_and_every_place_has_a_basis(steps: list[tuple[Any, ...]]) -> None:
    lines = ["- ui.message_sent@browser t=0 request_id=r1"]
    for kind, clock, at, span, parent in steps:
        parts = [f"- {kind}@{clock} request_id=r1"]
        parts += [] if at is None else [f"t={at}"]
        parts += [] if span is None else [f"span=p{span}"]
        parts += [] if parent is None else [f"parent=p{parent}"]
        lines.append(" ".join(parts))
    events, _ = notation.read("\n".join(lines))
    done = correlate(events)
    held_by_clock(done)
    for _, rows in done.events.filter(pl.col("seq").is_not_null()).group_by("request"):
        rows = rows.sort("seq")
        assert rows["seq"].to_list() == list(range(rows.height))
        assert rows["order_basis"][0] == "first"
        assert set(rows["order_basis"][1:]) <= {"causal", "clock", "tie"}
        for one, other in itertools.pairwise(rows.rows(named=True)):
            if other["order_basis"] == "clock":
                assert other["event_time"] is not None
            if None not in (one["event_time"], other["event_time"]) and other["event_time"] < one["event_time"]:
                assert other["order_basis"] == "causal", "only causality puts an event before an earlier one"


@pytest.mark.parametrize(
    ("later", "doubt", "found"),
    [(0.995, 0.0, [(0, 3)]), (0.95, 0.0, []), (0.95, 0.05, [(0, 3)]), (0.05, 0.05, [(3, 0)]), (0.7, 5.0, [])],
)
def test_what_may_be_of_another_request_is_no_exception_to_a_custom(
    later: float, doubt: float, found: list[tuple[int, int]]
) -> None:
    usual = pl.DataFrame({"sort": [0], "sort_b": [3], "later": [later], "doubt": [doubt], "size": [200]})
    assert _custom(usual, [None, None], 2) == found
    # Of too few requests nothing is learned: what any product does counts, and where that is unknown nothing.
    few = usual.with_columns(size=0, later=None, doubt=float("nan"))
    assert _custom(few, [3, 7], 2) == [(0, 3)]
    assert _custom(few, [3, None], 2) == []
