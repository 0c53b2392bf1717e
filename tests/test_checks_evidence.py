"""Checks of the evidence: each fires, stays silent and says that it cannot run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from strataline.examine import Facts, run
from strataline.examine.checks import CHECKS
from strataline.wording import banned

Make = Callable[..., Facts]


def examined(facts: Facts, check: str) -> list[dict[str, Any]]:
    chosen = [one for one in CHECKS if one.id == check]
    assert chosen
    rows = run(facts, chosen).findings.sort("finding").to_dicts()
    assert all(not banned(row["statement"] or row["reason"] or "") for row in rows)
    return rows


def event(layer: str, request: str | None, **more: Any) -> dict[str, Any]:
    kind = {"prompt": "prompt.received", "model": "model.call", "ui": "ui.rendered"}.get(layer, f"{layer}.event")
    return {"layer": layer, "kind": kind, "request": request, "format": layer, "service": layer, **more}


def layers(request: str, **states: list[str]) -> dict[str, Any]:
    named = {f"layers_{state}": states.get(state, []) for state in ("present", "absent", "not_covered", "ambiguous")}
    return {"request": request, "kind": "turn", "outcomes": [], **named}


def test_layers_that_no_log_covers_or_that_hold_nothing(facts: Make) -> None:
    of = facts(
        *(event("prompt", f"r{n}", event_id=f"r{n}") for n in range(3)),
        requests=[
            layers("r0", present=["prompt"], not_covered=["ui"]),
            {**layers("r1", present=["prompt"], absent=["model"], not_covered=["ui"]), "outcomes": ["blocked"]},
            layers("r2", present=["prompt", "model"], absent=["ui"]),
        ],
    )
    found = {row["subject"]: row for row in examined(of, "E-01")}
    assert sorted(found) == ["model: no record", "ui: no log", "ui: no record"]
    ui = found["ui: no log"]
    assert (ui["count"], ui["evaluable"], ui["status"], ui["attention"]) == (2, 3, "UNK", "EG")
    assert ui["statement"].startswith("No ui log covers the time of 2 requests; statements about ui in that part are")
    model = found["model: no record"]
    assert (model["count"], model["evaluable"], model["status"], model["events"]) == (1, 3, "DER", ["r1"])
    assert "hold nothing tied to 1 of them, of which 1 ended in a block" in model["statement"]
    (whole,) = examined(facts(event("prompt", "r"), requests=[layers("r", present=["prompt"])]), "E-01")
    assert (whole["result"], whole["evaluable"]) == ("clear", 1)
    (none,) = examined(facts(event("prompt", None)), "E-01")
    assert none["reason"] == "not in the supplied logs: request of requests"


def two_logs(gap: float, others: int) -> list[dict[str, Any]]:
    """A model log of an event each second, silent for `gap` seconds in its middle; a prompt log that goes on."""
    model = [event("model", None, at=n + (gap if n >= 60 else 0), clock="gw") for n in range(120)]
    turns = ((f"p{n}", 60 + gap * n / others) for n in range(1, others))
    return [*model, *(event("prompt", name, event_id=name, at=time, clock="app") for name, time in turns)]


def test_a_log_that_is_silent_while_others_go_on(facts: Make) -> None:
    (found,) = examined(facts(*two_logs(900, 50)), "E-02")
    assert (found["result"], found["count"], found["status"], found["attention"]) == ("fired", 1, "DER", "EG")
    assert found["events"] == ["e59", "e60"]
    assert found["statement"].startswith("The log gw is silent in 1 gap of up to 15 min, over 10 times its usual time")
    idle = [{**one, "request": None} for one in two_logs(900, 50)]
    for quiet in (two_logs(200, 50), two_logs(900, 4), idle):
        (clear,) = examined(facts(*quiet), "E-02")
        assert clear["result"] == "clear"


def test_holes_that_correlation_found_and_numbers_left_out(facts: Make) -> None:
    note = {"room": "correlate", "topic": "coverage_gap", "source": "a.jsonl", "line": 1, "subject": "model.jsonl"}
    (hole,) = examined(facts(event("model", "r", at=0), notes=[{**note, "count": 60, "detail": "no record"}]), "E-02")
    assert (hole["subject"], hole["count"], hole["events"]) == ("model.jsonl", 1, ["e0"])
    assert "holds no record, or next to none, in 1 gap in which requests went on in other logs" in hole["statement"]
    numbered = [event("model", "r", at=n, attributes={"seq": f"{n}"}) for n in range(60) if n not in (20, 21, 40)]
    (left,) = examined(facts(*numbered), "E-02")
    assert (left["count"], left["subject"]) == (2, "a.jsonl: seq")
    assert "3 numbers between the first and the last are not in the supplied logs, in 2 gaps" in left["statement"]
    sparse = [event("model", "r", at=n, attributes={"seq": f"{n * 7}"}) for n in range(60)]
    assert examined(facts(*sparse), "E-02")[0]["result"] == "clear"
    (timeless,) = examined(facts(event("model", "r")), "E-02")
    assert timeless["reason"] == "not in the supplied logs: event_time of any layer"


def clock(name: str, **more: Any) -> dict[str, Any]:
    row = {"clock": name, "slice": 0, "offset_ns": 0, "basis": "bounds", "events": 10, "reference": "app"}
    return {**row, "lower_ns": row["offset_ns"], "upper_ns": row["offset_ns"], **more}


APP = clock("app", basis="reference", lower_ns=0, upper_ns=0)


def test_clocks_that_were_moved_or_that_nothing_bounds(facts: Make) -> None:
    gw = clock("gw", offset_ns=4_000_000_000, lower_ns=3_900_000_000, upper_ns=4_100_000_000)
    peak = clock("peak", offset_ns=-2_000_000_000, lower_ns=None, upper_ns=None, basis="scope-peak")
    lost = clock("lost", lower_ns=None, upper_ns=None, basis="unmoved", reference=None)
    events = [event("model", "r", at=n, clock=name) for n, name in enumerate(("app", "gw", "peak", "lost"))]
    zone = {"room": "correlate", "topic": "clock_zone", "subject": "peak", "detail": "about -2 h"}
    found = {
        row["subject"]: row for row in examined(facts(*events, clocks=[APP, gw, peak, lost], notes=[zone]), "E-03")
    }
    assert sorted(found) == ["gw", "peak", "unbounded clocks"]
    assert (found["gw"]["status"], found["gw"]["attention"], found["gw"]["events"]) == ("DER", "EG", ["e1"])
    assert found["gw"]["statement"] == (
        "Linked records put the clock of gw +4.000 s from the reference (app), between +3.900 s and +4.100 s; 10 events"
        " were placed by that, and the times as logged are kept."
    )
    assert found["peak"]["status"] == "INF"
    assert "may be -2.000 s from the reference (app)" in found["peak"]["statement"]
    assert found["peak"]["statement"].endswith("as of a time zone that the log does not state.")
    loose = found["unbounded clocks"]
    assert (loose["count"], loose["events"]) == (1, ["e3"])
    assert loose["statement"].startswith("Nothing in the records bounds 1 clock on both sides (lost; 10 events); stat")


def test_small_clocks_are_drawn_together_and_zones_said(facts: Make) -> None:
    pages = [clock(f"page{n}", offset_ns=n * 10**9, events=1) for n in range(1, 4)]
    steps = [clock("gw", offset_ns=10**9), clock("gw", slice=1, offset_ns=2 * 10**9)]
    events = [event("model", "r", at=n, clock="app") for n in range(200)]
    note = {"room": "parse", "topic": "zone_assumed", "source": "a.jsonl", "count": 7, "detail": "UTC"}
    found = {
        row["subject"]: row for row in examined(facts(*events, clocks=[APP, *pages, *steps], notes=[note]), "E-03")
    }
    assert sorted(found) == ["assumed zones", "gw", "other clocks"]
    assert found["other clocks"]["statement"].startswith("3 clocks of few records each were moved, by up to 3.000 s; 0")
    assert "+1.000 s to +2.000 s" in found["gw"]["statement"]
    assert "differs between 2 parts of its time" in found["gw"]["statement"]
    assert found["assumed zones"]["statement"].startswith("7 times in 1 source state no zone, and one was assumed")
    assert (found["assumed zones"]["count"], found["assumed zones"]["events"]) == (1, ["e0"])
    assert examined(facts(event("model", "r", at=0), clocks=[APP]), "E-03")[0]["result"] == "clear"
    (none,) = examined(facts(), "E-03")
    assert none["reason"] == "not in the supplied logs: clock of clocks"


def test_records_that_were_delivered_again(facts: Make) -> None:
    link = {"relation": "redelivery_of", "from_event": "e1", "to_event": "e0", "method": "content", "taken": True}
    events = [event("model", "r1", at=0), event("model", "r1", at=0), event("model", "r2", at=1)]
    copy = [{"source": "b.jsonl", "copy_of": "a.jsonl"}, {"source": "a.jsonl"}]
    again, copied = examined(facts(*events, links=[link], sources=copy), "E-04")
    assert (again["count"], again["events"], again["status"]) == (1, ["e0", "e1"], "DER")
    assert again["addresses"] == ["a.jsonl:1", "a.jsonl:2"]
    assert again["statement"].endswith("time): 1 event of model, in 1 source; they are kept, and counted once.")
    assert copied["statement"].startswith("The same bytes stand twice in 1 source: b.jsonl as a.jsonl.")
    (clear,) = examined(facts(*events), "E-04")
    assert (clear["result"], clear["evaluable"]) == ("clear", 2)


def test_how_events_are_tied_to_requests(facts: Make) -> None:
    events = [
        event("model", "r1"),
        event("model", "r2", link_method="window"),
        event("model", None),
        event("ui", "r1"),
        event("other", None),
    ]
    candidate = {"relation": "member", "from_event": "e2", "to_event": "e0", "method": "window", "taken": False}
    (found,) = examined(facts(*events, links=[candidate]), "E-05")
    assert (found["subject"], found["count"], found["requests"]) == ("model", 1, ["r2"])
    assert (found["status"], found["attention"], found["inferred"]) == ("DER", "EG", 0)
    assert found["statement"] == (
        "Of 3 events of model, 1 (33.3 %) count as tied to a request by ids, 0 by text, 1 by time and 1 to none, of"
        " which 1 have candidates; what rests on the ties by text or time, in 1 request, is marked INF."
    )
    (clear,) = examined(facts(event("model", "r1"), event("other", None)), "E-05")
    assert clear["result"] == "clear"
    (none,) = examined(facts(event("model", None)), "E-05")
    assert none["reason"] == "not in the supplied logs: request of requests"


def test_texts_that_are_hidden_or_cut(facts: Make) -> None:
    hidden = [event("prompt", f"r{n}", content_state="redacted" if n else "full") for n in range(3)]
    (found,) = examined(facts(*hidden), "E-06")
    assert (found["count"], found["evaluable"], found["status"], found["attention"]) == (2, 3, "OBS", "EG")
    assert found["statement"].startswith("The text of 2 events of prompt is redacted in the records, in 2 requests;")

    def texts(longest: int, same: bool = False) -> list[dict[str, Any]]:
        chars = [min(longest, 400 + 37 * n) for n in range(60)]
        return [
            event("ui", f"r{n}", output_chars=size, output_hash="one" if same else f"h{n}")
            for n, size in enumerate(chars)
        ]

    (cut,) = examined(facts(*texts(1000)), "E-06")
    assert (cut["status"], cut["count"], cut["subject"]) == ("INF", 43, "ui: output of 1000 characters")
    assert "is consistent with a cut at that length" in cut["statement"]
    for whole in (texts(10**6), texts(1000, same=True)):
        assert examined(facts(*whole), "E-06")[0]["result"] == "clear"


def test_records_that_say_they_are_a_sample(facts: Make) -> None:
    def rated(rate: str) -> Facts:
        return facts(*(event("model", f"r{n}", attributes={"sample_rate": rate}) for n in range(4)))

    (found,) = examined(rated("0.1"), "E-06")
    assert (found["events"], found["status"]) == (["e0"], "OBS")
    assert "state that they are a sample (sample_rate 0.1), in 4 events" in found["statement"]
    (whole,) = examined(rated("1.0"), "E-06")
    assert whole["reason"] == "no record states its text, how much of it it holds, or a sample rate"


def test_what_was_declared_and_what_is_logged(facts: Make) -> None:
    events = [event("model", f"r{n}", served_model=f"m{n % 2}") for n in range(4)]
    (found,) = examined(facts(*events, declared={"config": {"model.served_model": "m0"}}), "E-08")
    assert (found["count"], found["evaluable"], found["subject"]) == (2, 4, "model.served_model")
    assert found["statement"] == "model.served_model was declared as m0; in 2 requests the records show m1."
    assert (found["status"], found["attention"]) == ("DER", "EG")
    both = {"config": {"model.served_model": ["m0", "m1"]}}
    assert examined(facts(*events, declared=both), "E-08")[0]["result"] == "clear"


@pytest.mark.parametrize(
    ("declared", "reason"),
    [
        ({}, "no configuration was declared to compare with"),
        (
            {"config": {"model.nothing": 1}},
            "the declared config names model.nothing, which is no layer.column of events",
        ),
        ({"config": {"policy.verdict": "allow"}}, "not in the supplied logs: policy.verdict"),
    ],
)
def test_a_declaration_that_cannot_be_compared(facts: Make, declared: dict[str, Any], reason: str) -> None:
    (found,) = examined(facts(event("model", "r"), declared=declared), "E-08")
    assert (found["result"], found["reason"]) == ("not_evaluable", reason)
