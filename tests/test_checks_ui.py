"""Checks of the ui layer: each fires, stays silent and says that it cannot run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from strataline.examine import Facts, Texts, run
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


def page(request: str | None, kind: str = "rendered", **more: Any) -> Event:
    return {"layer": "ui", "kind": f"ui.{kind}", "request": request, **more}


def rendered(request: str | None, **more: Any) -> Event:
    return page(request, shown="answer", **more)


def call(request: str, **more: Any) -> Event:
    return {"layer": "model", "kind": "model.call", "request": request, "outcome": "ok", **more}


def output(request: str, **more: Any) -> Event:
    verdict = {"layer": "policy", "kind": "policy.decision", "verdict": "allow", "policy_stage": "output"}
    return {**verdict, "request": request, **more}


def search(request: str, *documents: str, **more: Any) -> Event:
    listed = [{"id": one} for one in documents]
    return {"layer": "retrieval", "kind": "retrieval.query", "request": request, "documents": listed, **more}


def minutes(*absent: int) -> list[Event]:
    """Ten answers, a minute apart, with their displays, but for some."""
    rows = []
    for k in range(10):
        rows.append(call(f"q{k}", at=60 * k))
        rows += [] if k in absent else [rendered(f"q{k}", at=60 * k + 1)]
    return rows


def test_no_display_record(facts: Make) -> None:
    (found,) = examined(facts(*minutes(4)), "U-01")
    # Before the first display nothing shows that the page was logging.
    assert told(found) == (1, 9, "DER", "EG", ["e8"])
    assert found["statement"].startswith("For 1 response there is no record of display; whether a person saw them")
    jobs = [{"request": "q4", "kind": "job"}]
    silent: list[tuple[list[Event], dict[str, Any]]] = [
        ([*minutes(4), page("q4", "copied", at=250)], {}),
        ([*minutes(4), page("q4", "error_shown", at=241)], {}),
        ([*minutes(4), rendered(None, at=245)], {}),
        (minutes(4), {"requests": jobs}),
        (minutes(), {}),
        # The page logged nothing in those minutes.
        (minutes(*range(1, 10)), {}),
    ]
    for events, more in silent:
        (clear,) = examined(facts(*events, **more), "U-01")
        assert clear["result"] == "clear", events
    (absent,) = examined(facts(call("r1")), "U-01")
    assert absent["reason"] == "not in the supplied logs: an event ui.rendered"


def test_shown_text_differs(facts: Make) -> None:
    made = facts(call("r1", output_hash="a", output_chars=90), rendered("r1", output_hash="b", output_chars=40))
    found = fired(made, "U-02")["hash"]
    assert told(found) == (1, 1, "DER", "DV", ["e1", "e0"])
    assert "in 1 request (90→40 characters in the middle ones)" in found["statement"]
    short = facts(call("r1", output_chars=900), rendered("r1", output_chars=500))
    found = fired(short, "U-02")["length"]
    assert told(found) == (1, 1, "DER", "DV", ["e1", "e0"])
    assert "900→500 characters" in found["statement"]
    sent = {"layer": "prompt", "kind": "prompt.responded", "request": "r1", "output_chars": 50}
    silent: list[list[Event]] = [
        [call("r1", output_chars=900), rendered("r1", output_chars=880)],
        # The text of an earlier attempt; a redaction; a text that the filter gave; an answer that was stopped.
        [call("r1", output_hash="a"), call("r1", output_hash="b"), rendered("r1", output_hash="a")],
        [call("r1", output_hash="a"), output("r1", verdict="redact"), rendered("r1", output_hash="b")],
        [call("r1", output_hash="a"), output("r1", verdict="redact", output_hash="b"), rendered("r1", output_hash="b")],
        [call("r1", output_chars=900), page("r1", "stopped"), rendered("r1", output_chars=50)],
        [call("r1", output_chars=900), page("r1", shown="blocked notice", output_chars=50)],
        # An agent's plan, whose answer the filter stopped; a plan, and what the application says that it sent.
        [call("r1", output_chars=900), output("r1", verdict="block"), rendered("r1", output_chars=50)],
        [call("r1", output_chars=900), sent, rendered("r1", output_chars=50)],
    ]
    for events in silent:
        assert not fired(facts(*events), "U-02"), events
    (unknown,) = examined(facts(call("r1", output_hash="a"), rendered("r2", output_hash="b")), "U-02")
    assert unknown["reason"] == "no request holds the hash or length of an answer and that of the text shown"


def test_citation_not_retrieved(facts: Make) -> None:
    cited = page("r1", "citation", attributes={"document": "kb-9"}, session="s")
    made = facts(search("r1", "kb-1", session="s"), cited, search("r2", "kb-2"), rendered("r2"))
    (found,) = examined(made, "U-03")
    assert told(found) == (1, 1, "DER", "CC", ["e1"])
    assert "recorded for the conversation: 1 citation, in 1 request." in found["statement"]
    # Retrieved for an earlier turn of the session; the same URL, written otherwise.
    earlier = facts(search("r0", "kb-9", session="s"), search("r1", "kb-1", session="s"), cited)
    assert not fired(earlier, "U-03")
    link = page("r1", "citation", attributes={"href": "https://www.docs.example/Plan/?utm=1#top"})
    assert not fired(facts(search("r1", "http://docs.example/plan"), link), "U-03")
    listed = rendered("r1", documents=[{"id": "kb-1"}, {"id": "kb-7"}])
    assert told(fired(facts(search("r1", "kb-1"), listed), "U-03")[None])[0] == 1
    (unknown,) = examined(facts(search("r1", "kb-1"), rendered("r1")), "U-03")
    assert unknown["reason"] == "no display record names what was cited"
    (apart,) = examined(facts(search("r2", "kb-1"), cited), "U-03")
    assert apart["unlocks"] == ["retrieval.documents"]


def test_notice_missing(facts: Make) -> None:
    warns = output("r1", verdict="flag", attributes={"action": "warn"})
    told_of = (output("r2", verdict="flag", attributes={"action": "warn"}), rendered("r2"), page("r2", "notice_shown"))
    named = ({**told_of[0]}, {**told_of[1]}, {**told_of[2], "name": "notice_shown"})
    found = fired(facts(warns, rendered("r1"), *named), "U-04")["notice"]
    assert told(found) == (1, 2, "DER", "SG", ["e0", "e1"])
    assert "asked for a notice in 1 request; none is recorded as shown" in found["statement"]
    assert not fired(facts({**warns, "attributes": {"action": "log"}}, rendered("r1"), *named), "U-04")
    # A page that never records a notice says nothing by its silence.
    (unknown,) = examined(facts(warns, rendered("r1")), "U-04")
    assert unknown["result"] == "not_evaluable"
    assert "declared.ai_label" in unknown["unlocks"]


def test_citation_missing(facts: Make) -> None:
    events = [search("r1", "kb-1"), call("r1"), rendered("r1", citations=0), search("r2", "kb-1"), call("r2")]
    events.append(rendered("r2", citations=2))
    cites = {"e1": Texts(output="As the plan says [1]."), "e4": Texts(output="See [1].")}
    found = fired(facts(*events, texts=cites), "U-04")["citation"]
    assert told(found) == (1, 2, "DER", "SG", ["e2", "e1"])
    plain = {"e1": Texts(output="I do not know.")}
    assert not fired(facts(*events, texts=plain), "U-04")


def test_label_missing(facts: Make) -> None:
    events = (rendered("r1"), rendered("r2", attributes={"label": "AI"}), rendered("r3", attributes={"label": "false"}))
    found = fired(facts(*events, declared={"ai_label": "label"}), "U-04")["label"]
    assert (found["count"], found["evaluable"]) == (2, 3)
    assert "declared label label is not in the display record of 2 requests" in found["statement"]


def test_duplicate_delivery(facts: Make) -> None:
    ids = [{"kind": "message_id", "value": "m1", "role": "alias"}]
    twice = (rendered("r1", ids=ids, session="s", at=1), rendered("r1", ids=ids, session="s", at=9))
    found = fired(facts(*twice, rendered("r2", response_id="y")), "U-05")["same response again"]
    assert told(found) == (1, 2, "DER", "CX", ["e0", "e1"])
    assert "count two or more for 1 response in one session, in 1 request" in found["statement"]
    several = facts(rendered("r1", response_id="x", at=1), rendered("r1", response_id="y", at=2))
    found = fired(several, "U-05")["several responses"]
    assert told(found) == (1, 1, "DER", "CX", ["e0", "e1"])
    assert not fired(facts(rendered("r1", response_id="x"), rendered("r2", response_id="y")), "U-05")
    # The same answer, given to two sessions, is no double display.
    apart = (rendered("r1", response_id="x", session="s"), rendered("r2", response_id="x", session="t"))
    assert not fired(facts(*apart), "U-05")
    (unknown,) = examined(facts(rendered("r1")), "U-05")
    assert unknown["unlocks"] == ["ui.response_id", "ui.output_hash"]


def test_retraction_lag(facts: Make) -> None:
    answer = {"output_hash": "h"}
    shown = (call("r1", at=0, **answer), rendered("r1", at=1, **answer), output("r1", at=2, verdict="block"))
    removed = facts(*shown, page("r1", "message_removed", at=2.5))
    (found,) = examined(removed, "U-08")
    assert told(found) == (1, 1, "DER", "CX", ["e2", "e1", "e3"])
    assert (
        "is recorded in 1 request; in 1 request it follows the verdict beyond the clock bound, by 500 ms"
        in found["statement"]
    )
    (kept,) = examined(facts(*shown), "U-08")
    assert kept["statement"].endswith("is on record. No removal is recorded.")
    before = facts(*shown, page("r1", "message_removed", at=1.5))
    assert "No removal" in examined(before, "U-08")[0]["statement"]
    held = facts(call("r1", **answer), output("r1", verdict="block"), page("r1", shown="blocked notice"))
    (clear,) = examined(held, "U-08")
    assert (clear["result"], clear["evaluable"]) == ("clear", 1)
    (absent,) = examined(facts(call("r1"), output("r1", verdict="block")), "U-08")
    assert absent["unlocks"] == ["kind:ui.rendered"]
