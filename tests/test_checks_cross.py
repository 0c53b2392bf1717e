"""Checks across layers: each fires, stays silent and says that it cannot run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import polars as pl
import pytest

from strataline.examine import Affected, Check, Facts, Found, Texts, run
from strataline.examine.checks import CHECKS
from strataline.wording import banned

Make = Callable[..., Facts]


def examined(facts: Facts, check: str, *others: Check) -> list[dict[str, Any]]:
    chosen = [one for one in CHECKS if one.id == check]
    assert chosen
    rows = run(facts, [*others, *chosen]).findings.filter(pl.col("check") == check).sort("finding").to_dicts()
    assert all(not banned(row["statement"] or row["reason"] or "") for row in rows)
    return rows


def event(layer: str, kind: str, request: str | None, **more: Any) -> dict[str, Any]:
    return {"layer": layer, "kind": kind, "request": request, "format": layer, **more}


def received(request: str, **more: Any) -> dict[str, Any]:
    return event("prompt", "prompt.received", request, **more)


def call(request: str | None, **more: Any) -> dict[str, Any]:
    return event("model", "model.call", request, **{"outcome": "ok", "time_kind": "start", "call": "c", **more})


def rendered(request: str | None, **more: Any) -> dict[str, Any]:
    return event("ui", "ui.rendered", request, **{"shown": "answer", **more})


def found_docs(request: str, *ids: str, **more: Any) -> dict[str, Any]:
    return event("retrieval", "retrieval.query", request, documents=[{"id": one} for one in ids], **more)


def prompt_docs(request: str, *ids: str, **more: Any) -> dict[str, Any]:
    return event("prompt", "prompt.rendered", request, documents=[{"id": one} for one in ids], **more)


#


def two_users(**more: Any) -> list[dict[str, Any]]:
    return [
        received("r1", user="u1"),
        call("r1", response_id="resp", **more),
        rendered("r1", response_id="resp"),
        received("r2", user="u2"),
        rendered("r2", response_id="resp"),
    ]


def test_one_response_in_sessions_of_two_users(facts: Make) -> None:
    (found,) = examined(facts(*two_users()), "X-01")
    assert (found["result"], found["count"], found["evaluable"]) == ("fired", 2, 2)
    assert (found["status"], found["attention"], found["subject"], found["users"]) == ("DER", "RU", "resp", 2)
    assert found["statement"] == "Response resp is recorded in sessions of 2 different users, in 2 requests."
    assert set(found["events"]) == {"e1", "e2", "e4"}


def test_one_response_of_one_user_or_of_a_cache_or_declared_is_no_mix_up(facts: Make) -> None:
    same = [{**one, **({"user": "u1"} if "user" in one else {})} for one in two_users()]
    hit = [*two_users(), call("r2", response_id="resp", cache="semantic hit")]
    for events in (same, hit):
        (found,) = examined(facts(*events), "X-01")
        assert found["result"] == "clear"
    (declared,) = examined(facts(*two_users(), declared={"shared_responses": ["resp"]}), "X-01")
    assert declared["result"] == "clear"
    # Each log has names of its own for a user.
    hashed = [received("r1", user="u1"), call("r1", response_id="resp", user="3f"), rendered("r1", response_id="resp")]
    (one,) = examined(facts(*hashed), "X-01")
    assert (one["result"], one["evaluable"]) == ("clear", 1)


def test_responses_that_reached_nobody_are_a_gap_and_many_are_drawn_together(facts: Make) -> None:
    asked = [
        row
        for n in range(23)
        for who in "ab"
        for row in (received(f"{who}{n}", user=who), call(f"{who}{n}", response_id=f"s{n:02}", outcome="error"))
    ]
    found = examined(facts(*asked), "X-01")
    assert len(found) == 21
    assert {row["attention"] for row in found} == {"EG"}
    (rest,) = [row for row in found if row["subject"] == "and 3 more"]
    assert rest["count"] == 6
    assert "3 responses besides those named, in 6 requests" in rest["statement"]


def test_the_same_long_text_for_other_prompts_may_have_been_mixed_up(facts: Make) -> None:
    def answer(who: str, prompt: str, chars: int = 300) -> list[dict[str, Any]]:
        text = {"output_hash": "same", "output_chars": chars, "input_hash": prompt}
        return [received(f"r{who}", user=who), call(f"r{who}", **text), rendered(f"r{who}")]

    (found,) = examined(facts(*answer("a", "p1"), *answer("b", "p2")), "X-01")
    assert (found["result"], found["status"], found["count"]) == ("fired", "INF", 2)
    assert "may have reached more than one user" in found["statement"]
    same_prompt = [*answer("a", "p1"), *answer("b", "p1")]
    short = [*answer("a", "p1", 40), *answer("b", "p2", 40)]
    canned = [row for n in range(7) for row in answer(f"u{n}", f"p{n}")]
    for events in (same_prompt, short, canned):
        (row,) = examined(facts(*events), "X-01")
        assert row["result"] == ("not_evaluable" if events is short else "clear")


def test_without_any_user_responses_are_not_told_apart(facts: Make) -> None:
    (found,) = examined(facts(call("r1", response_id="a")), "X-01")
    assert found["result"] == "not_evaluable"
    assert found["reason"] == "no record that names a response, or holds a long one, can be told to be of a user"
    (shared,) = examined(facts(*two_users(), declared={"shared_responses": True}), "X-01")
    assert shared["reason"] == "answers are declared to be shared between users (shared_responses)"


#


def seen(request: str, mine: str | None, theirs: str | None, **more: Any) -> list[dict[str, Any]]:
    return [received(request, user=mine), call(request, user=theirs, **more), rendered(request)]


def test_layers_that_name_different_users(facts: Make) -> None:
    usual = [row for n in range(20) for row in seen(f"r{n}", f"u{n % 4}", f"u{n % 4}")]
    (found,) = examined(facts(*usual, *seen("odd", "u1", "u2")), "X-02")
    assert (found["result"], found["count"], found["evaluable"]) == ("fired", 1, 21)
    assert (found["status"], found["attention"], found["requests"]) == ("DER", "RU", ["odd"])
    assert "records of 1 request carry user ids that differ" in found["statement"]
    assert found["events"] == ["e61", "e60", "e62"]
    # Logs that name users in two ways disagree where each name usually stands with another.
    hashed = [row for n in range(20) for row in seen(f"r{n}", f"u{n % 4}", f"h{n % 4}")]
    (crossed,) = examined(facts(*hashed, *seen("odd", "u1", "h2")), "X-02")
    assert (crossed["count"], crossed["requests"]) == (1, ["odd"])


@pytest.mark.parametrize(
    "odd",
    [
        seen("odd", "u1", "service-account"),
        seen("odd", "u1", "u2", link_method="window"),
        [*seen("odd", "u1", "u2"), call("odd", user="u1")],
    ],
    ids=["service account", "tied by time", "also the same"],
)
def test_other_names_are_no_disagreement(facts: Make, odd: list[dict[str, Any]]) -> None:
    usual = [row for n in range(20) for row in seen(f"r{n}", f"u{n % 4}", f"u{n % 4}")]
    (found,) = examined(facts(*usual, *odd), "X-02")
    assert found["result"] == "clear"


def test_a_new_salt_is_no_disagreement(facts: Make) -> None:
    old = [row for n in range(12) for row in seen(f"r{n}", f"u{n % 4}", f"h{n % 4}")]
    new = [row for n in range(12) for row in seen(f"s{n}", f"u{n % 4}", f"k{n % 4}")]
    (found,) = examined(facts(*old, *new), "X-02")
    assert found["result"] == "clear"


def test_identities_of_one_layer_alone_do_not_compare(facts: Make) -> None:
    (found,) = examined(facts(*seen("r1", "u1", None)), "X-02")
    assert found["result"] == "not_evaluable"
    assert found["reason"] == "no request has records of two layers that each name its user, tenant or session"


#

CLOCKS = [
    {"clock": "app", "slice": 0, "offset_ns": 0, "lower_ns": 0, "upper_ns": 0, "basis": "reference"},
    {"clock": "gw", "slice": 0, "offset_ns": 0, "lower_ns": -(10**8), "upper_ns": 10**8, "basis": "bounds"},
    {"clock": "page", "slice": 0, "offset_ns": 0, "lower_ns": -(10**8), "upper_ns": 10**8, "basis": "bounds"},
    {"clock": "lost", "slice": 0, "offset_ns": 0, "lower_ns": None, "upper_ns": None, "basis": "unmoved"},
]


def timed(shown: float, *, clock: str = "page", **of_call: Any) -> list[dict[str, Any]]:
    return [
        received("r", at=0, clock="app"),
        call("r", **{"at": 1, "end": 3, "clock": "gw", "stream": True, **of_call}),
        rendered("r", at=shown, clock=clock),
    ]


def test_an_answer_shown_before_it_was_begun_contradicts(facts: Make) -> None:
    (found,) = examined(facts(*timed(0.7), clocks=CLOCKS), "X-03")
    assert (found["result"], found["count"], found["evaluable"]) == ("fired", 1, 1)
    assert (found["status"], found["attention"], found["events"]) == ("DER", "EG", ["e2", "e1"])
    assert "the display of the answer before the beginning of its generation by up to 300 ms" in found["statement"]
    assert "(±200 ms)" in found["statement"]
    (whole,) = examined(facts(*timed(2.7, stream=False), clocks=CLOCKS), "X-03")
    assert "before the end of its generation, which was not streamed" in whole["statement"]
    early = [received("r", at=5, clock="app"), call("r", at=1, end=3, clock="gw")]
    (turn,) = examined(facts(*early, clocks=CLOCKS), "X-03")
    assert "the beginning of a model call before the turn that it answers by up to 4,000 ms" in turn["statement"]


@pytest.mark.parametrize(
    "events",
    [
        timed(0.9),
        timed(1.5),
        timed(0.7, time_precision="s"),
        [*timed(0.7), call("r", at=0.3, end=0.5, clock="gw", outcome="blocked")],
        [
            *timed(0.7),
            call("r", at=0.9, end=1.5, clock="gw", link_method="window"),
            received("q", at=0),
            call("q", at=1),
        ],
        [event("prompt", "prompt.rendered", "r", at=0, clock="app"), received("r", at=5, clock="app"), call("r", at=1)],
    ],
    ids=[
        "within the bounds",
        "while it streams",
        "whole seconds",
        "another attempt",
        "a call tied by time",
        "lost opening",
    ],
)
def test_what_may_be_right_is_no_contradiction(facts: Make, events: list[dict[str, Any]]) -> None:
    clocks = [*CLOCKS, {**CLOCKS[0], "clock": "c"}]
    (found,) = examined(facts(*events, clocks=clocks), "X-03")
    assert found["result"] == "clear" or found["reason"].startswith("no request has two events")


def test_clocks_that_nothing_bounds_order_nothing(facts: Make) -> None:
    (found,) = examined(facts(*timed(0.1, clock="lost")[1:], clocks=CLOCKS), "X-03")
    assert found["result"] == "not_evaluable"
    assert found["reason"] == "no request has two events of a fixed order whose clocks are bounded"


#


def test_passages_that_are_not_in_the_prompt(facts: Make) -> None:
    events = [found_docs("r1", "a", "b", "c"), prompt_docs("r1", "a"), found_docs("r2", "a"), prompt_docs("r2", "a")]
    (found,) = examined(facts(*events), "X-04")
    assert (found["result"], found["count"], found["evaluable"], found["status"]) == ("fired", 1, 2, "DER")
    assert found["statement"] == "2 of 3 retrieved passages are not in the rendered prompt, in 1 request."
    assert found["events"] == ["e0", "e1"]
    ranked = event("retrieval", "retrieval.rerank", "r1", documents=[{"id": "a"}])
    (kept,) = examined(facts(*events, ranked), "X-04")
    assert (kept["result"], kept["evaluable"]) == ("clear", 2)
    hashed = [event("retrieval", "retrieval.query", "r", documents=[{"id": "x", "hash": "h"}])]
    hashed += [event("prompt", "prompt.rendered", "r", documents=[{"id": "y", "hash": "h"}])]
    assert examined(facts(*hashed), "X-04")[0]["result"] == "clear"


def test_passages_do_not_compare_without_a_list_or_with_other_names(facts: Make) -> None:
    (alone,) = examined(facts(found_docs("r1", "a")), "X-04")
    assert alone["reason"] == "no request has both a list of retrieved documents and one of those in its prompt"
    (unlike,) = examined(facts(found_docs("r1", "a"), prompt_docs("r1", "z")), "X-04")
    assert unlike["reason"] == "the documents of prompts and those of retrieval share no id and no hash"
    (none,) = examined(facts(received("r1")), "X-04")
    assert none["reason"] == "not in the supplied logs: documents of retrieval"


LONG = {"output_chars": 500, "finish_reason": "stop", "output_hash": "h"}


@pytest.mark.parametrize(
    "retrieval",
    [
        [found_docs("r1")],
        [event("retrieval", "retrieval.query", "r1", outcome="timeout")],
        [found_docs("r1", "a", "b"), prompt_docs("r1"), found_docs("r0", "a"), prompt_docs("r0", "a")],
    ],
    ids=["nothing found", "timed out", "nothing in the prompt"],
)
def test_a_full_answer_without_a_document(facts: Make, retrieval: list[dict[str, Any]]) -> None:
    (found,) = examined(facts(*retrieval, call("r1", **LONG)), "X-05")
    assert (found["result"], found["count"], found["requests"]) == ("fired", 1, ["r1"])
    assert found["evaluable"] in (1, 2)
    assert (found["attention"], found["status"]) == ("CC", "DER")
    assert found["events"][0] == f"e{len(retrieval)}"
    assert "Accuracy needs human review" in found["statement"]


def test_an_answer_that_is_short_cut_supported_or_declines_is_none(facts: Make) -> None:
    empty = found_docs("r1")
    for answer in ({**LONG, "output_chars": 40}, {**LONG, "finish_reason": "length"}):
        assert examined(facts(empty, call("r1", **answer)), "X-05")[0]["result"] == "clear"
    (held,) = examined(facts(found_docs("r1", "a"), call("r1", **LONG)), "X-05")
    assert (held["result"], held["evaluable"]) == ("clear", 1)
    declines = {"e1": Texts(output="I could not find anything on this in the help pages. " * 8)}
    (said,) = examined(facts(empty, call("r1", **LONG), texts=declines), "X-05")
    assert said["result"] == "clear"
    own = facts(empty, call("r1", **LONG), texts={"e1": Texts(output="Bitte fragen Sie.")})
    assert examined(own, "X-05")[0]["result"] == "fired"
    own = facts(
        *[empty, call("r1", **LONG)], texts={"e1": Texts(output="Bitte ...")}, declared={"abstain_patterns": ["^bitte"]}
    )
    assert examined(own, "X-05")[0]["result"] == "clear"


def test_retrieval_that_says_nothing_is_not_empty(facts: Make) -> None:
    (found,) = examined(facts(event("retrieval", "retrieval.query", "r1", outcome="ok"), call("r1", **LONG)), "X-05")
    assert found["reason"] == "no record of retrieval states its documents or that it ended in an error"
    (none,) = examined(facts(found_docs("r1"), call("r1")), "X-05")
    assert none["result"] == "not_evaluable"
    assert "finish_reason of model" in none["reason"]


# of what other checks found


def condition(number: int, layer: str, *requests: str, attention: str = "CC") -> Check:
    def rule(facts: Facts) -> list[Found]:
        its = facts.events.filter(pl.col("layer").is_in([layer, "prompt"])).unique("request", maintain_order=True)
        hits = its.filter(pl.col("request").is_in(list(requests))).select("request", events=pl.concat_list("event_id"))
        return [Found(hits, facts.events["request"])]

    return Check(f"O-{number}", "a-condition", (layer,), attention, "DER", (), rule, "In {n:request}.", "How?")


def affected(*requests: str) -> Affected:
    others = [f"r{n}" for n in range(6) if f"r{n}" not in requests]
    return Affected(pl.Series(requests, dtype=pl.String), pl.Series(others, dtype=pl.String), ("a test",))


TURNS = [received(f"r{n}", user=f"u{n}", at=n) for n in range(6)]


def test_conditions_that_stand_together(facts: Make) -> None:
    of = facts(*TURNS, affected=affected("r0", "r1", "r2", "r3"))
    some = [condition(1, "model", "r0", "r1", "r5"), condition(2, "policy", "r0", "r1", "r5", attention="SG")]
    some += [condition(3, "model", "r2"), condition(4, "ui", "r3", attention="EG")]
    whole, both = examined(of, "X-07", *some)
    assert (whole["count"], whole["evaluable"], whole["attention"], whole["status"]) == (2, 4, "CX", "DER")
    assert whole["statement"] == (
        "2 requests of 4 affected show conditions in more than one layer together; 1 show one layer only; 1 show none."
    )
    assert (both["subject"], both["count"], both["requests"]) == ("O-1 + O-2", 2, ["r0", "r1"])
    assert "(model, policy)" in both["statement"]
    (single,) = examined(of, "X-07", condition(1, "model", "r0"))
    assert single["result"] == "clear"


@pytest.mark.parametrize("check", ["X-07", "X-09", "X-10"])
def test_without_an_affected_set_or_other_checks_there_is_nothing_to_say_of_it(facts: Make, check: str) -> None:
    (none,) = examined(facts(*TURNS), check, condition(1, "model", "r0"))
    assert (none["result"], none["unlocks"]) == ("not_evaluable", ["--affected"])
    assert none["reason"] == "it speaks of affected requests, and none were named"
    (alone,) = examined(facts(*TURNS, affected=affected("r0")), check)
    assert alone["reason"] == "it speaks of what other checks found, and none ran with it"


def blocked(request: str) -> dict[str, Any]:
    return event("policy", "policy.decision", request, verdict="block", policy_stage="output", at=9)


def test_what_the_filter_held_back_under_the_same_condition(facts: Make) -> None:
    events = [*TURNS, blocked("r1"), blocked("r2"), rendered("r2"), blocked("r4")]
    upstream = condition(1, "retrieval", "r0", "r1", "r2")
    (found,) = examined(facts(*events), "X-08", upstream)
    assert (found["count"], found["evaluable"], found["requests"]) == (1, 3, ["r1"])
    assert found["statement"] == "In 1 request with the same condition (O-1 a-condition), the filter stopped delivery."
    assert found["events"] == ["e1", "e6"]
    assert (found["attention"], found["status"]) == ("CX", "DER")
    (other,) = examined(facts(*events, affected=affected("r5")), "X-08", upstream)
    assert other["result"] == "clear"
    monitored = {**blocked("r1"), "policy_mode": "monitor"}
    assert examined(facts(*TURNS, monitored), "X-08", upstream)[0]["result"] == "clear"
    stopped = event("prompt", "prompt.blocked", "r1", outcome="blocked")
    (app,) = examined(facts(*TURNS, stopped), "X-08", upstream)
    assert "the application stopped delivery" in app["statement"]
    (alone,) = examined(facts(*events), "X-08")
    assert alone["reason"] == "it speaks of what other checks found, and none ran with it"


@pytest.mark.parametrize(
    ("shows", "count", "says"),
    [
        (("r0", "r5"), 1, "and 1 unaffected requests show O-1 a-condition. The conditions found are therefore neither"),
        (("r0",), 1, "no unaffected request shows O-1 a-condition. The conditions found are therefore not complete."),
        (
            ("r0", "r1", "r5"),
            0,
            "1 unaffected requests show O-1 a-condition too. The conditions found are therefore not suff",
        ),
        (("r0", "r1"), 0, "no unaffected request shows O-1 a-condition, which holds in 2 of them. This is association"),
        ((), 2, "2 of 2 affected requests show none of the listed conditions: no check that ran found one."),
    ],
)
def test_the_remainder_is_always_said(facts: Make, shows: tuple[str, ...], count: int, says: str) -> None:
    (found,) = examined(facts(*TURNS, affected=affected("r0", "r1")), "X-09", condition(1, "model", *shows))
    assert (found["result"], found["count"], found["evaluable"], found["status"]) == ("fired", count, 2, "DER")
    assert found["affected"] == count
    assert says in found["statement"]


def test_what_a_set_was_chosen_by_explains_nothing_of_it(facts: Make) -> None:
    chosen = replace(affected("r0", "r1"), selectors=("check:O-1",))
    some = [condition(1, "model", "r0", "r1"), condition(2, "policy", "r0", "r3")]
    (found,) = examined(facts(*TURNS, affected=chosen), "X-09", *some)
    assert (found["count"], found["requests"]) == (1, ["r1"])
    assert "show O-2 a-condition." in found["statement"]
    assert found["statement"].endswith("(O-1, by which they were chosen, is not counted.)")
    (wider,) = examined(facts(*TURNS, affected=chosen), "X-10", *some)
    assert wider["requests"] == ["r3"]


def test_gaps_in_the_evidence_explain_nothing(facts: Make) -> None:
    gap = condition(1, "model", "r0", "r1", attention="EG")
    (found,) = examined(facts(*TURNS, affected=affected("r0", "r1")), "X-09", gap)
    assert found["count"] == 2


def test_others_that_met_the_same_and_did_not_complain(facts: Make) -> None:
    complaint = event("ui", "ui.feedback", "r4", feedback="thumbs_down")
    of = facts(*TURNS, complaint, affected=affected("r0", "r1"))
    some = [condition(1, "model", "r0", "r1", "r3", "r4", "r5"), condition(2, "policy", "r0", "r3", "r4")]
    (found,) = examined(of, "X-10", *some)
    assert (found["count"], found["requests"], found["evaluable"], found["affected"]) == (1, ["r3"], 4, 0)
    assert "A further 1 request met the same recorded conditions (O-1 a-condition; O-2" in found["statement"]
    (narrow,) = examined(of, "X-10", condition(1, "model", "r0", "r1"))
    assert narrow["result"] == "clear"
    (none,) = examined(of, "X-10", condition(1, "model", "r3"))
    assert none["reason"].startswith("no condition holds in half of the affected requests")
