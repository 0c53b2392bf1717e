"""Checks of the policy layer: each fires, stays silent and says that it cannot run; and what they all look at."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import polars as pl
import pytest

from strataline.examine import Affected, Facts, run
from strataline.examine.checks import CHECKS

Make = Callable[..., Facts]
Event = dict[str, Any]


def examined(facts: Facts, check: str) -> list[dict[str, Any]]:
    chosen = [one for one in CHECKS if one.id == check]
    assert chosen
    return run(facts, chosen).findings.to_dicts()


def fired(facts: Facts, check: str) -> dict[str | None, dict[str, Any]]:
    """What fired, by subject."""
    return {one["subject"]: one for one in examined(facts, check) if one["result"] == "fired"}


def told(finding: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(finding[name] for name in ("count", "evaluable", "status", "attention", "events"))


def decision(request: str | None, **more: Any) -> Event:
    return {"layer": "policy", "kind": "policy.decision", "request": request, "verdict": "allow", **more}


def output(request: str | None, **more: Any) -> Event:
    return decision(request, policy_stage="output", **more)


def rendered(request: str | None, **more: Any) -> Event:
    return {"layer": "ui", "kind": "ui.rendered", "request": request, "shown": "answer", **more}


def call(request: str | None, **more: Any) -> Event:
    return {"layer": "model", "kind": "model.call", "request": request, "outcome": "ok", **more}


def app(request: str | None, kind: str, **more: Any) -> Event:
    return {"layer": "prompt", "kind": f"prompt.{kind}", "request": request, **more}


@pytest.mark.parametrize(
    ("columns", "acts", "stops", "broke", "ran"),
    [
        ({"verdict": "block"}, True, True, False, True),
        ({"verdict": "block", "policy_mode": "monitor"}, False, True, False, True),
        ({"verdict": "block", "policy_mode": "Shadow"}, False, True, False, True),
        ({"verdict": "block", "policy_mode": "DetectionOnly"}, False, True, False, True),
        ({"verdict": "block", "policy_mode": "logging_only"}, False, True, False, True),
        ({"verdict": "block", "policy_mode": "dry_run"}, False, True, False, True),
        ({"verdict": "flag", "policy_mode": "noop", "enforced": False}, False, False, False, True),
        ({"verdict": "block", "policy_mode": "deny_and_log"}, True, True, False, True),
        ({"verdict": "block", "policy_mode": "catalog"}, True, True, False, True),
        ({"verdict": "block", "policy_mode": "enforce"}, True, True, False, True),
        ({"verdict": "block", "policy_mode": "fail_closed", "outcome": "timeout"}, True, True, True, False),
        ({"verdict": "block", "enforced": False}, False, True, False, True),
        ({"verdict": "redact", "enforced": True}, True, True, False, True),
        ({"verdict": "challenge"}, True, True, False, True),
        ({"verdict": "allow", "policy_mode": "fail_open", "outcome": "error"}, True, False, True, False),
        ({"verdict": "error"}, True, False, True, False),
        ({"verdict": "not_evaluated"}, True, False, False, False),
        ({"verdict": "unknown", "outcome": "ok"}, True, False, False, False),
    ],
)
def test_what_a_verdict_is(facts: Make, columns: Event, acts: bool, stops: bool, broke: bool, ran: bool) -> None:
    row = facts(decision("r1", **columns)).verdicts.row(0, named=True)
    assert (row["acts"], row["stops"], row["broke"], row["ran"]) == (acts, stops, broke, ran)


@pytest.mark.parametrize(
    ("columns", "answer"),
    [
        ({"shown": "answer", "outcome": "ok"}, True),
        ({"shown": "answer", "outcome": None}, True),
        ({"shown": "partial", "outcome": "error"}, True),
        ({"shown": None, "outcome": None}, True),
        ({"shown": None, "outcome": "cancelled"}, True),
        ({"shown": None, "outcome": "error"}, False),
        ({"shown": "answer", "outcome": "blocked"}, False),
        ({"shown": "blocked notice", "outcome": "ok"}, False),
        ({"shown": "error", "outcome": None}, False),
        ({"shown": "Placeholder"}, False),
    ],
)
def test_what_was_displayed(facts: Make, columns: Event, answer: bool) -> None:
    assert facts(rendered("r1", **columns)).renders["answer"].to_list() == [answer]


@pytest.mark.parametrize(
    ("events", "shown", "delivered"),
    [
        ([call("r"), rendered("r", at=1)], "e1", "e0"),
        ([call("r"), output("r"), app("r", "responded", outcome="ok")], None, "e2"),
        ([call("r"), app("r", "answered", outcome="ok"), app("r", "responded", outcome="cancelled")], None, "e1"),
        ([call("r"), app("r", "blocked", outcome="blocked")], None, None),
        ([call("r"), app("r", "answered", outcome="ok"), app("r", "responded", outcome="blocked")], None, None),
        ([call("r"), output("r", verdict="block")], None, None),
        ([call("r"), output("r", verdict="block", policy_mode="monitor")], None, "e0"),
        ([call("r"), output("r", verdict="block", enforced=False)], None, "e0"),
        ([call("r"), output("r", verdict="redact")], None, "e0"),
        ([call("r"), output("r", verdict="flag", delivered=True)], None, "e1"),
        ([call("r"), decision("r", delivered=False)], None, None),
        # A later attempt passed: the verdict was on the one before.
        ([call("r"), output("r", verdict="block"), call("r"), output("r")], None, "e2"),
        ([call("r"), output("r", verdict="block"), call("r"), rendered("r", at=2)], "e3", "e2"),
        ([decision("r", policy_stage="input", verdict="block"), rendered("r", shown="notice")], None, None),
        ([call("r", outcome="error")], None, None),
    ],
)
def test_what_reached_someone(facts: Make, events: list[Event], shown: str | None, delivered: str | None) -> None:
    rows = facts(*events).reached.select("request", "shown", "delivered").to_dicts()
    expected = [] if shown is delivered is None else [{"request": "r", "shown": shown, "delivered": delivered}]
    assert rows == expected


def test_the_call_that_a_verdict_and_a_display_are_about(facts: Make) -> None:
    made = facts(
        call("r", call="e0", output_hash="a", response_id="x", outcome="blocked"),
        output("r", call="e0", verdict="block"),
        call("r", call="e2", output_hash="b", response_id="y"),
        output("r"),
        output("r", input_hash="a"),
        rendered("r", response_id="y"),
        rendered("r", output_hash="a"),
        rendered("r"),
        rendered("r", output_hash="z"),
    )
    assert made.judged.select("event_id", "of_call", "of_basis").rows() == [
        ("e1", "e0", "id"),
        ("e3", "e2", "order"),
        ("e4", "e0", "hash"),
    ]
    assert made.displays.select("event_id", "of_call", "of_basis").rows() == [
        ("e5", "e2", "id"),
        ("e6", "e0", "hash"),
        ("e7", "e2", "only"),
        ("e8", None, None),
    ]


def test_delivered_despite_block(facts: Make) -> None:
    answer = {"output_hash": "h", "response_id": "x"}
    good = (call("r2"), output("r2"), rendered("r2"))
    # The span of the call, and the gateway's record of it: the verdict names one, the page the other.
    two = (
        call("r1", call="e0", response_id="x"),
        output("r1", call="e0", verdict="block"),
        call("r1", call="e2", response_id="x", service="gateway"),
        rendered("r1", response_id="x"),
    )
    assert told(fired(facts(*two), "F-01")["display"]) == (1, 1, "DER", "RU", ["e1", "e3"])
    made = facts(
        call("r1", **answer), output("r1", verdict="block", at=1), rendered("r1", output_hash="h", at=2), *good
    )
    found = fired(made, "F-01")["display"]
    assert told(found) == (1, 2, "DER", "RU", ["e1", "e2"])
    assert "recorded `block` on an output in 1 request; the display layer recorded" in found["statement"]
    silent: list[list[Event]] = [
        # A placeholder, a replacement, a block of an earlier attempt, a filter that watches, an answer not passed on.
        [call("r1", **answer), output("r1", verdict="block"), rendered("r1", output_hash="other")],
        [call("r1"), output("r1", verdict="block", output_hash="n"), rendered("r1", output_hash="n")],
        [call("r1", call="e0"), output("r1", verdict="block", call="e0"), call("r1"), rendered("r1", response_id="q")],
        [call("r1"), output("r1", verdict="block", policy_mode="monitor"), rendered("r1")],
        [call("r1"), output("r1", verdict="block"), app("r1", "blocked"), rendered("r1")],
    ]
    for events in silent:
        assert not fired(facts(*events, *({**one} for one in good)), "F-01"), events
    by_app = facts(call("r1", **answer), output("r1", verdict="block"), app("r1", "responded", output_hash="h"))
    assert told(fired(by_app, "F-01")["application"]) == (1, 1, "DER", "RU", ["e1", "e2"])
    kept = facts(
        call("r1", **answer),
        output("r1", verdict="block"),
        app("r1", "answered", output_hash="h"),
        app("r1", "blocked"),
    )
    assert not fired(kept, "F-01")
    (unknown,) = examined(facts(output("r1", verdict="block"), rendered("r1")), "F-01")
    assert unknown["reason"].startswith("no request has a verdict on its output and a record that shows")
    assert "ui.response_id" in unknown["unlocks"]


def minutes(n: int, *, without: int = 99) -> list[Event]:
    """Requests a minute apart, each answered and passed by the filter, but for one."""
    rows = []
    for k in range(n):
        rows += [app(f"q{k:02}", "received", at=60 * k), call(f"q{k:02}", at=60 * k + 1)]
        rows += [] if k == without else [output(f"q{k:02}", at=60 * k + 2)]
    return rows


def test_not_evaluated(facts: Make) -> None:
    (found,) = examined(facts(*minutes(30, without=7)), "F-02")
    # At both ends of the log, nothing shows that the filter was logging.
    assert told(found) == (1, 29, "DER", "SG", ["e22"])
    assert "No output evaluation is recorded for 1 request whose answer was delivered" in found["statement"]
    stray = facts(*minutes(30, without=7), output(None, at=421))
    lost = {"source": "a.jsonl", "address": "bytes", "offset": 2210, "length": 5, "item": 0}
    damaged = facts(*minutes(30, without=7), rejects=[lost])
    for silent in (stray, damaged, facts(*minutes(30))):
        (clear,) = examined(silent, "F-02")
        assert clear["result"] == "clear"
    (rare,) = examined(facts(*minutes(3), *(call(f"z{k}", at=k) for k in range(9))), "F-02")
    assert (rare["result"], rare["unlocks"]) == ("not_evaluable", ["declared.required_stages"])
    declared = facts(
        *minutes(6), *(call(f"z{k}", at=100 + k) for k in range(9)), declared={"required_stages": ["output"]}
    )
    assert fired(declared, "F-02")[None]["count"] == 9
    (absent,) = examined(facts(call("r1")), "F-02")
    assert absent["reason"] == "not in the supplied logs: verdict of policy"


def test_what_was_stopped_at_the_input_has_no_output_to_evaluate(facts: Make) -> None:
    refused = [decision("r99", verdict="block", policy_stage="input", at=7), app("r99", "prompt.responded", at=7.1)]
    answered = [*refused[:1], call("r99", at=7.2), *refused[1:]]
    for detected in (True, False):
        let = [one | {"enforced": False} if one.get("verdict") == "block" else one for one in answered]
        (found,) = examined(facts(*minutes(30), *(let if detected else answered)), "F-02")
        assert found["count"] == 1
    (clear,) = examined(facts(*minutes(30), *refused), "F-02")
    assert clear["result"] == "clear"


def test_not_evaluated_by_the_filters_own_word(facts: Make) -> None:
    events = (call("r1"), output("r1", verdict="not_evaluated"), call("r2"), output("r2"))
    found = fired(facts(*events), "F-02")["said by the filter"]
    assert told(found) == (1, 2, "OBS", "SG", ["e1", "e0"])
    beside = facts(call("r1"), output("r1", verdict="not_evaluated"), output("r1", policy_name="second"))
    assert not fired(beside, "F-02")


def test_not_evaluated_takes_the_usual_from_the_baseline(facts: Make) -> None:
    events = [*minutes(20), *(call(f"z{k:02}", at=100 + k) for k in range(19))]
    assert examined(facts(*events), "F-02")[0]["result"] == "not_evaluable"
    of = Affected(pl.Series([f"z{k:02}" for k in range(19)]), pl.Series([f"q{k:02}" for k in range(20)]), ("z",))
    found = fired(facts(*events, affected=of), "F-02")[None]
    assert (found["count"], found["affected"]) == (19, 19)


def test_failed_open(facts: Make) -> None:
    broke = decision("r1", outcome="error", policy_mode="fail_open", at=1)
    (found,) = examined(facts(broke, rendered("r1", at=2), decision("r2"), rendered("r2")), "F-03")
    assert told(found) == (1, 2, "DER", "SG", ["e0", "e1"])
    assert "in 1 request, and delivery continued. The logged failure mode is open." in found["statement"]
    (by_time,) = examined(facts({**broke, "link_method": "window"}, rendered("r1", at=2)), "F-03")
    assert (by_time["status"], by_time["inferred"]) == ("INF", 1)
    (held,) = examined(facts(broke, rendered("r1", shown="blocked notice", outcome="blocked")), "F-03")
    assert (held["result"], held["evaluable"]) == ("clear", 1)
    closed = decision("r1", verdict="block", outcome="timeout", policy_mode="fail_closed")
    (kept,) = examined(facts(closed, rendered("r1")), "F-03")
    assert kept["result"] == "clear"
    more = facts(
        broke, rendered("r1"), decision("r2", verdict="error"), rendered("r2"), decision(None, verdict="error")
    )
    (mixed,) = examined(more, "F-03")
    assert "is open in 1 of them. One evaluation that ended so belongs to no request." in mixed["statement"]
    (none,) = examined(facts(rendered("r1")), "F-03")
    assert (none["result"], none["reason"]) == ("not_evaluable", "not in the supplied logs: verdict of policy")


def test_failed_open_and_stopped_when_evaluated_again(facts: Make) -> None:
    again = decision("r1", verdict="block", input_hash="t", enforced=True)
    made = facts(decision("r1", verdict="error", input_hash="t"), rendered("r1"), again)
    found = fired(made, "F-03")
    assert told(found["stopped when evaluated again"]) == (1, 1, "DER", "RU", ["e0", "e2", "e1"])
    assert set(found) == {None, "stopped when evaluated again"}
    other = facts(decision("r1", verdict="error", input_hash="t"), rendered("r1"), {**again, "input_hash": "u"})
    assert set(fired(other, "F-03")) == {None}


def test_shown_before_verdict(facts: Make) -> None:
    late = (call("r1", at=0), rendered("r1", at=1), output("r1", at=3, verdict="block"))
    right = (call("r2"), output("r2", at=1), rendered("r2", at=2))
    found = fired(facts(*late, *right), "F-04")["shown before a block"]
    assert told(found) == (1, 2, "DER", "RU", ["e2", "e1"])
    assert "was shown before the verdict, by 2,000 ms in the middle one (clock bound ±0 ms)" in found["statement"]
    allowed = fired(facts(*late[:2], output("r1", at=3), *right), "F-04")["shown before another verdict"]
    assert (allowed["count"], allowed["attention"]) == (1, "SG")

    def by_page(bound_ms: int | None) -> list[dict[str, Any]]:
        reach = None if bound_ms is None else bound_ms * 10**6
        slices = [
            {"clock": "c", "slice": 0, "offset_ns": 0, "lower_ns": 0, "upper_ns": 0, "basis": "reference"},
            {"clock": "page", "slice": 0, "offset_ns": 0, "basis": "bounds", "upper_ns": reach}
            | {"lower_ns": None if reach is None else -reach},
        ]
        page = {**late[1], "clock": "page", "clock_offset": 0}
        return examined(facts(late[0], page, late[2], clocks=slices), "F-04")

    assert "(clock bound ±1,900 ms)" in by_page(1900)[0]["statement"]
    assert by_page(2100)[0]["result"] == "clear"
    assert by_page(None)[0]["result"] == "not_evaluable"
    watched = facts(late[0], late[1], {**late[2], "policy_mode": "monitor"}, *right)
    assert not fired(watched, "F-04")
    # A stream that is evaluated piece by piece: its first verdict was there before its display.
    pieces = facts(call("r1"), output("r1", at=0.5), rendered("r1", at=1), output("r1", at=3))
    assert not fired(pieces, "F-04")


STREAM: Event = {"stream": True, "time_kind": "start", "attributes": {"first_token_ms": "200"}}


def test_delivery_begun_before_a_block(facts: Make) -> None:
    cut = call("r1", at=0, end=1, outcome="blocked", **STREAM)
    made = facts(cut, output("r1", at=0.9, verdict="block"))
    found = fired(made, "F-04")["delivery begun before a block"]
    assert told(found) == (1, 1, "DER", "RU", ["e1", "e0"])
    assert found["statement"].startswith("Delivery of 1 response as a stream had begun before the filter's verdict")
    assert "in 1 request the first token precedes the verdict, by 700 ms" in found["statement"]
    assert "shown" not in found["statement"]
    for events in (
        [cut, output("r1", at=0.1, verdict="block")],
        [{**cut, "stream": False}, output("r1", at=0.9, verdict="block")],
        [cut, output("r1", at=0.9)],
        [cut, output("r1", at=0.9, verdict="block", policy_mode="monitor")],
        [cut, decision("r1", at=0.9, verdict="block", policy_stage="input")],
    ):
        assert not fired(facts(*events), "F-04"), events


def test_delivery_begun_by_the_text_that_was_received(facts: Make) -> None:
    turn = [
        app("r1", "received", stream=True),
        output("r1", verdict="block"),
        app("r1", "error", outcome="error"),
        app("r1", "answered", outcome="ok", output_chars=201),
        app("r1", "responded", outcome="blocked"),
    ]
    found = fired(facts(*turn), "F-04")["delivery begun before a block"]
    assert told(found) == (1, 1, "DER", "RU", ["e1", "e3", "e4"])
    assert "counts text of a stream that broke off" in found["statement"]
    assert "first token" not in found["statement"]
    # Held back by the application until the filter's answer; not asked for as a stream; sent again and passed.
    assert not fired(facts(*turn[:2], *turn[3:]), "F-04")
    assert not fired(facts({**turn[0], "stream": False}, *turn[1:]), "F-04")
    assert not fired(facts(*turn[:3], app("r1", "responded", outcome="blocked"), *turn[3:4]), "F-04")


def test_transform_not_reflected(facts: Make) -> None:
    base = call("r1", output_hash="raw")
    cleaned = output("r1", verdict="redact", input_hash="raw", output_hash="clean")
    (found,) = examined(facts(base, cleaned, rendered("r1", output_hash="raw")), "F-05")
    assert told(found) == (1, 1, "DER", "RU", ["e1", "e2", "e0"])
    assert "matches the text before it by hash in 1 request" in found["statement"]
    assert not fired(facts(base, cleaned, rendered("r1", output_hash="clean")), "F-05")
    assert not fired(facts(base, {**cleaned, "policy_mode": "monitor"}, rendered("r1", output_hash="raw")), "F-05")
    apart = facts(base, cleaned, rendered("r2", output_hash="raw"))
    (unknown,) = examined(apart, "F-05")
    assert unknown["reason"] == "no request holds the hash of a filtered text and that of the text shown"
    (absent,) = examined(facts(base, cleaned, rendered("r1")), "F-05")
    assert absent["unlocks"] == ["ui.output_hash"]


def test_partial_evaluation(facts: Make) -> None:
    made = facts(call("r1", output_chars=900), output("r1", input_chars=400), rendered("r1", output_chars=880))
    found = fired(made, "F-06")["length"]
    assert told(found) == (1, 1, "DER", "SG", ["e1", "e2", "e0"])
    assert "400 characters against 880 characters" in found["statement"]
    pieces = (output("r1", input_chars=500), output("r1", input_chars=400))
    assert not fired(facts(call("r1", output_chars=900), *pieces), "F-06")
    assert not fired(facts(call("r1", output_chars=900), output("r1", input_chars=900)), "F-06")
    hashes = facts(call("r1", output_hash="a"), output("r1", input_hash="b"))
    assert told(fired(hashes, "F-06")["hash"]) == (1, 1, "DER", "SG", ["e1", "e0"])
    assert not fired(facts(call("r1", output_hash="a"), output("r1", input_hash="a")), "F-06")
    (unknown,) = examined(facts(call("r1", output_chars=900), output("r1")), "F-06")
    assert "policy.input_chars" in unknown["unlocks"]


def test_shadow_verdict(facts: Make) -> None:
    watched = output("r1", verdict="block", policy_mode="shadow")
    (found,) = examined(facts(call("r1"), watched, call("r2"), output("r2", policy_mode="shadow")), "F-08")
    assert told(found) == (1, 2, "OBS", "CX", ["e1", "e0"])
    assert "marked 1 response as `block`, and delivery continued" in found["statement"]
    assert not fired(facts(call("r1"), {**watched, "policy_mode": "enforce"}, rendered("r1")), "F-08")
    assert not fired(facts(call("r1", outcome="error"), watched), "F-08")
    (unknown,) = examined(facts(call("r1"), output("r1", verdict="block")), "F-08")
    assert unknown["unlocks"] == ["policy.policy_mode", "policy.enforced"]


def test_near_threshold_or_conflicting(facts: Make) -> None:
    near = decision("r1", score=0.78, threshold=0.8)
    found = fired(facts(near, decision("r2", score=0.2, threshold=0.8)), "F-09")["near the threshold"]
    assert told(found) == (1, 2, "DER", "CC", ["e0"])
    assert "0.78 against 0.8" in found["statement"]
    assert not fired(facts({**near, "verdict": "block"}, decision("r2", score=0.2, threshold=0.8)), "F-09")
    two = (decision("r1", input_hash="t", at=1), decision("r2", input_hash="t", verdict="block", at=2))
    found = fired(facts(*two), "F-09")["different verdicts on one text"]
    assert told(found) == (2, 2, "DER", "CC", ["e0", "e1"])
    assert "1 text had different verdicts" in found["statement"]
    # Two filters may differ, and a filter that broke said nothing of the text.
    assert not fired(facts(two[0], {**two[1], "policy_name": "other"}), "F-09")
    assert not fired(facts(two[0], {**two[1], "verdict": "error"}), "F-09")
    (unknown,) = examined(facts(decision("r1")), "F-09")
    assert unknown["result"] == "not_evaluable"


def test_coverage_by_path(facts: Make) -> None:
    def served(cached: int, evaluated: int) -> list[Event]:
        rows = []
        for k in range(60):
            rows.append(call(f"m{k:02}", cache="hit" if k < cached else "miss"))
            rows += [output(f"m{k:02}")] if k >= cached or k < evaluated else []
        return rows

    (found,) = examined(facts(*served(20, 4)), "F-10")
    assert (found["subject"], found["count"], found["evaluable"], found["attention"]) == ("cache hit", 16, 20, "SG")
    assert "73.3% of responses overall and 20.0% of those served by this path: cache hit" in found["statement"]
    assert not fired(facts(*served(19, 0)), "F-10")
    assert not fired(facts(*served(30, 29)), "F-10")
    (unknown,) = examined(facts(call("r1"), output("r1")), "F-10")
    assert "model.cache" in unknown["unlocks"]
