"""Checks of the prompt layer: each fires, stays silent and says that it cannot run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from strataline.examine import Facts, run
from strataline.examine.checks import CHECKS

Make = Callable[..., Facts]
Row = dict[str, Any]


def examined(facts: Facts, check: str) -> list[Row]:
    chosen = [one for one in CHECKS if one.id == check]
    assert chosen
    return run(facts, chosen).findings.to_dicts()


def prompt(request: str, template_hash: str | None, at: float, **more: Any) -> Row:
    row = {"layer": "prompt", "kind": "prompt.rendered", "request": request, "at": at, "template_hash": template_hash}
    return row | {"template_name": "answer", "template_version": "7", "format": "f", **more}


def call(request: str, at: float, tokens: int | None, **more: Any) -> Row:
    row = {"layer": "model", "kind": "model.call", "request": request, "at": at, "input_tokens": tokens}
    return row | {"outcome": "ok", "served_model": "m-1", **more}


def turn(request: str, at: float, tokens: int, **more: Any) -> list[Row]:
    """A turn of one session: what opens it, and its call."""
    return [
        {"layer": "prompt", "kind": "prompt.received", "request": request, "session": "s", "at": at},
        call(request, at + 1, tokens, **more),
    ]


def test_same_version_with_other_content(facts: Make) -> None:
    (found,) = examined(facts(prompt("r1", "aa", 1), prompt("r2", "aa", 2), prompt("r3", "bb", 3)), "P-02")
    assert (found["result"], found["count"], found["evaluable"]) == ("fired", 1, 3)
    assert (found["attention"], found["status"], found["subject"]) == ("DV", "DER", "answer@7")
    assert found["events"] == ["e2", "e0"]
    assert (
        "Template answer v7 appears with 2 different content hashes of its template, the second" in (found["statement"])
    )
    assert "first seen 2026-01-01T10:00:03.000Z; 1 request had another than the first" in found["statement"]
    system = [prompt(f"r{n}", None, n, attributes={"system_prompt_hash": h}) for n, h in enumerate("aab")]
    (of_system,) = examined(facts(*system), "P-02")
    assert (of_system["count"], "of its system prompt" in of_system["statement"]) == (1, True)


def test_another_version_or_another_program_is_no_other_content(facts: Make) -> None:
    cases = (
        (prompt("r1", "aa", 1), prompt("r2", "bb", 2, template_version="8")),
        (prompt("r1", "aa", 1), prompt("r2", "bb", 2, format="g")),
    )
    for events in cases:
        (found,) = examined(facts(*events), "P-02")
        assert (found["result"], found["evaluable"]) == ("clear", 2)


def test_a_hash_of_what_was_filled_in_is_none_of_the_template(facts: Make) -> None:
    (varying,) = examined(facts(*(prompt(f"r{n}", f"h{n}", n) for n in range(4))), "P-02")
    assert (varying["result"], "differ from use to use" in varying["reason"]) == ("not_evaluable", True)
    (unhashed,) = examined(facts(prompt("r1", None, 1)), "P-02")
    assert unhashed["reason"] == "templates have versions, and no hash of their content is logged"
    assert "prompt.template_hash" in unhashed["unlocks"]
    (unversioned,) = examined(facts(prompt("r1", "aa", 1, template_version=None)), "P-02")
    assert unversioned["reason"] == "not in the supplied logs: template_version of any layer"


def test_many_templates_are_told_in_part(facts: Make) -> None:
    events = [prompt(f"r{n}{h}", h, n, template_name=f"t{n:02}") for n in range(23) for h in ("aa", "bb")]
    found = examined(facts(*events), "P-02")
    assert len(found) == 21
    assert found[0]["statement"] == "And 3 templates more with a version that appears with several content hashes."
    assert (found[0]["count"], found[0]["evaluable"]) == (3, 46)


def test_near_the_limit_of_the_context(facts: Make) -> None:
    near = call("r1", 1, 900, parameters={"max_tokens": "60"})
    far = call("r2", 2, 900, parameters={"max_tokens": "10"})
    declared: Row = {"context_limits": {"m-1": 1000}}
    (found,) = examined(facts(near, far, call("r3", 3, None), declared=declared), "P-05")
    assert (found["result"], found["count"], found["evaluable"], found["status"]) == ("fired", 1, 2, "DER")
    assert (found["attention"], found["events"]) == ("CC", ["e0"])
    assert found["statement"].startswith("1 request used at least 95 % of the 1,000-token window")
    assert "the records do not show what" in found["statement"]
    (logged,) = examined(facts({**near, "attributes": {"max_model_len": "1000"}}), "P-05")
    assert logged["count"] == 1
    (failed,) = examined(facts(far, {**near, "outcome": "error"}, declared=declared), "P-05")
    assert (failed["result"], failed["evaluable"]) == ("clear", 1)


def test_a_logged_mark_of_cutting_is_a_record_of_its_own(facts: Make) -> None:
    marked = prompt("r1", None, 1, attributes={"truncated": "True"})
    (found,) = examined(
        facts(marked, prompt("r2", None, 2, attributes={"truncated": "false"}), call("r1", 2, 9)), "P-05"
    )
    assert (found["count"], found["evaluable"], found["status"]) == (1, 2, "OBS")
    assert (
        found["statement"] == "A logged mark says that the context was cut in 1 request; the records do not show what."
    )
    (stopped,) = examined(facts(call("r1", 1, 9, finish_reason="model_context_window_exceeded")), "P-05")
    assert (stopped["count"], stopped["status"]) == (1, "OBS")


def test_without_a_limit_nothing_is_near_it(facts: Make) -> None:
    (found,) = examined(facts(call("r1", 1, 900, parameters={"truncation": "auto"})), "P-05")
    assert (found["result"], found["unlocks"]) == ("not_evaluable", ["declared.context_limits", "model.input_tokens"])
    (none,) = examined(facts(prompt("r1", "aa", 1)), "P-05")
    assert none["reason"] == "not in the supplied logs: an event model.call"


def test_context_that_shrinks(facts: Make) -> None:
    sizes = (100, 300, 500, 700, 350)
    turns = [turn(f"r{n}", 10 * n, size) for n, size in enumerate(sizes)]
    events = [event for one in turns for event in one]
    (found,) = examined(facts(*events), "P-06")
    assert (found["result"], found["count"], found["evaluable"], found["status"]) == ("fired", 1, 4, "DER")
    assert (found["attention"], found["events"]) == ("CC", ["e9", "e7"])
    assert "between turn 4 and 5 of one, where it fell from 700 to 350 tokens" in found["statement"]
    reset = {"layer": "ui", "kind": "ui.clicked", "name": "session_reset", "session": "s", "at": 35}
    (by_design,) = examined(facts(*events, reset), "P-06")
    assert (by_design["result"], by_design["evaluable"]) == ("clear", 4)
    early = {**reset, "at": 5}
    assert examined(facts(*events, early), "P-06")[0]["count"] == 1
    other = [*events[:-1], {**events[-1], "requested_model": "small"}]
    assert examined(facts(*other), "P-06")[0]["result"] == "clear"
    again = facts(*events, requests=[{"request": "r4", "session": "s", "refers_to": "r1"}])
    assert examined(again, "P-06")[0]["evaluable"] == 3


def test_a_logged_history_says_more_than_tokens(facts: Make) -> None:
    turns = [turn(f"r{n}", 10 * n, 100, attributes={"n_history": str(h)}) for n, h in enumerate((2, 10, 4))]
    (found,) = examined(facts(*(event for one in turns for event in one)), "P-06")
    assert (found["count"], found["evaluable"]) == (1, 2)
    assert "fell from 10 to 4 messages" in found["statement"]


def test_context_that_is_not_carried_or_not_in_order_tells_nothing(facts: Make) -> None:
    turns = [turn(f"r{n}", 10 * n, size) for n, size in enumerate((900, 300, 200, 100))]
    (found,) = examined(facts(*(event for one in turns for event in one)), "P-06")
    assert (found["result"], "do not grow from turn to turn" in found["reason"]) == ("not_evaluable", True)
    apart = [*turn("r1", 1, 900, clock="a"), *turn("r2", 5, 100, clock="b")]
    loose = [{"clock": name, "slice": 0, "offset_ns": 0, "basis": "unmoved"} for name in ("a", "b", "c")]
    (unsure,) = examined(facts(*apart, clocks=loose), "P-06")
    assert unsure["reason"].startswith("no session has two turns in a sure order")
