"""Checks of the model gateway: each fires, stays silent and says that it cannot run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from strataline.examine import Facts, run
from strataline.examine.checks.model import CHECKS
from strataline.wording import banned

Make = Callable[..., Facts]


def examined(facts: Facts, check: str) -> list[dict[str, Any]]:
    (chosen,) = [one for one in CHECKS if one.id == check]
    return run(facts, [chosen]).findings.to_dicts()


def call(request: str | None = "r1", **more: Any) -> dict[str, Any]:
    return {"layer": "model", "kind": "model.call", "request": request, "outcome": "ok", "at": 1, "end": 2, **more}


def asked(request: str, wanted: str, served: str | None, **more: Any) -> dict[str, Any]:
    return call(request, requested_model=wanted, served_model=served, **more)


def rendered(request: str = "r1", **more: Any) -> dict[str, Any]:
    return {"layer": "ui", "kind": "ui.rendered", "request": request, "shown": "answer", "at": 9, **more}


def prompt(request: str = "r1", **more: Any) -> dict[str, Any]:
    return {"layer": "prompt", "kind": "prompt.rendered", "request": request, **more}


def link(relation: str, start: str, to: str) -> dict[str, Any]:
    return {
        "relation": relation,
        "from_event": start,
        "to_event": to,
        "method": "ref",
        "confidence": 1.0,
        "taken": True,
    }


def fires(found: list[dict[str, Any]], *results: tuple[str, str, int, int, list[str]]) -> None:
    """That these are the findings: attention, status, count, evaluable, events."""
    assert [one["result"] for one in found] == ["fired"] * len(results)
    names = ("attention", "status", "count", "evaluable", "events")
    assert [tuple(one[name] for name in names) for one in found] == list(results)
    assert not banned(" ".join(one["statement"] for one in found))


def clear(found: list[dict[str, Any]], evaluable: int) -> None:
    assert [(one["result"], one["evaluable"]) for one in found] == [("clear", evaluable)]


def cannot(found: list[dict[str, Any]], reason: str) -> None:
    assert [one["result"] for one in found] == ["not_evaluable"]
    assert reason in found[0]["reason"]
    assert not banned(found[0]["reason"])


@pytest.mark.parametrize(
    ("wanted", "served", "more", "declared", "differs"),
    [
        ("gpt-4o", "gpt-4o-mini-2024-07-18", {}, {}, True),
        ("gpt-4o", "gpt-4o-2024-08-06", {}, {}, False),
        ("openai/GPT-4o", "gpt-4o", {}, {}, False),
        ("small-2-latest", "small-2-2026-05", {}, {}, False),
        ("us.anthropic.claude-3-haiku-20240307-v1:0", "claude-3-haiku@20240307", {}, {}, False),
        ("llama3.1", "llama3.1:latest", {}, {}, False),
        ("gpt-4o-2024-08-06", "gpt-4o-2024-05-13", {}, {}, True),
        ("chat-main", "gpt-4o-2024-08-06", {"attributes": {"configured_model": "openai/gpt-4o"}}, {}, False),
        ("chat-main", "gpt-4o-2024-08-06", {}, {"alias_map": {"chat-main": ["gpt-4o", "gpt-4.1"]}}, False),
        ("gpt-4o", "gpt-4o-2024-08-06", {}, {"alias_map": {"gpt-4o": "gpt-4.1"}}, True),
        ("chat-main", "gpt-4o", {"outcome": "error"}, {}, None),
        ("chat-main", None, {}, {}, None),
    ],
)
def test_served_differs_from_requested(
    facts: Make,
    wanted: str,
    served: str | None,
    more: dict[str, Any],
    declared: dict[str, object],
    differs: bool | None,
) -> None:
    other = asked("r2", "same-1", None if differs is None else "same-1")
    found = examined(facts(asked("r1", wanted, served, **more), other, declared=declared), "M-01")
    if differs is None:
        return cannot(found, "not in the supplied logs" if served is None else "no answered call states both")
    if not differs:
        return clear(found, 2)
    fires(found, ("DV", "OBS", 1, 2, ["e0"]))
    assert found[0]["statement"] == f"1 request asked for {wanted}; the gateway recorded {served}."
    return None


def test_a_name_that_is_no_model_is_taken_for_an_alias(facts: Make) -> None:
    usual = [asked(f"r{n}", "chat-main", "large-2026-01") for n in (1, 2)]
    other = [asked("r3", "chat-main", "large-2026-02"), asked("r4", "chat-main", "small-1")]
    found = examined(facts(*usual, *other), "M-01")
    fires(
        found,
        ("DV", "OBS", 1, 4, ["e3"]),
        ("CX", "OBS", 2, 4, ["e0", "e1"]),
        ("CX", "OBS", 1, 4, ["e2"]),
    )
    assert found[1]["statement"] == (
        "2 requests asked for chat-main, which is taken for an alias; the gateway recorded large-2026-01."
    )


def test_many_pairs_of_models_are_capped(facts: Make) -> None:
    found = examined(facts(*(asked(f"r{n}", f"a{n}x", f"b{n}x") for n in range(25))), "M-01")
    assert len(found) == 21
    assert [one["statement"] for one in found if one["subject"] is None] == ["And 5 more like it, in 5 requests."]


def test_alias_resolved_to_several_snapshots(facts: Make) -> None:
    events = [asked("r1", "chat", "chat-2026-01-01", at=1), asked("r2", "chat", "chat-2026-02-01", at=60)]
    found = examined(facts(*events), "M-02")
    fires(found, ("DV", "DER", 1, 2, ["e1", "e0"]))
    assert "resolved to 2 snapshots: chat-2026-01-01 (1 call, 2026-01-01 10:00:01 UTC to" in found[0]["statement"]
    assert "no change record of it was supplied" in found[0]["statement"]
    change = {"layer": "change", "kind": "change.applied", "change_key": "chat", "change_new": "chat-2026-02-01"}
    assert "a change record names it" in examined(facts(*events, change), "M-02")[0]["statement"]
    # A pinned name is no alias, a fallback's model none of its snapshots, and a bare name no snapshot.
    pinned = [asked("r1", "chat-2026-01-01", "chat-2026-01-01"), asked("r2", "chat-2026-01-01", "chat-2026-02-01")]
    cannot(examined(facts(*pinned), "M-02"), "no call that asked for an alias")
    clear(examined(facts(events[0], asked("r2", "chat", "mini-2026-01-01", fallback="mini")), "M-02"), 1)
    clear(examined(facts(events[0], asked("r2", "chat", "chat")), "M-02"), 2)
    cannot(examined(facts(asked("r1", "chat", None)), "M-02"), "no call that asked for an alias")


def test_fingerprints_count_where_one_follows_the_other(facts: Make) -> None:
    def of(*prints: str) -> list[dict[str, Any]]:
        made = [
            asked(f"r{n}", "chat", "chat-1", at=n, end=n, attributes={"system_fingerprint": name})
            for n, name in enumerate(prints)
        ]
        return examined(facts(*made), "M-02")

    found = of("a", "a", "b", "b")
    fires(found, ("DV", "DER", 2, 4, ["e2", "e0", "e3"]))
    assert "answered with 2 fingerprints, one after another" in found[0]["statement"]
    clear(of("a", "b", "a", "b"), 4)


def test_fallback_served(facts: Make) -> None:
    tried = asked("r1", "main", "main-1", outcome="error", error_type="RateLimitError", http_status=429, call="c1")
    second = asked("r1", "backup", "mini-1", call="c1", at=3, end=4)
    found = examined(facts(tried, second, asked("r2", "main", "main-1")), "M-03")
    fires(found, ("DV", "OBS", 1, 2, ["e1", "e0"]))
    assert "of 1 request came from fallback backup after RateLimitError (429) on main." in found[0]["statement"]
    alone = examined(facts(asked("r1", "main", "mini-1", fallback="mini-1"), prompt(requested_model="main")), "M-03")
    fires(alone, ("DV", "OBS", 1, 1, ["e0"]))
    assert "fallback mini-1 after a call of which no record was supplied on main." in alone[0]["statement"]
    # The same model tried again is a retry; a fallback that failed too served nobody.
    clear(examined(facts(tried, asked("r1", "main", "main-1", call="c1", at=3)), "M-03"), 1)
    clear(examined(facts(tried, {**second, "outcome": "error"}), "M-03"), 0)
    cannot(examined(facts(asked("r2", "main", "main-1")), "M-03"), "no record tells attempts or fallbacks apart")


def test_ended_by_length(facts: Make) -> None:
    ends = [call("r1", finish_reason="max_tokens"), call("r2", finish_reason="stop"), call("r3")]
    found = examined(facts(*ends), "M-04")
    fires(found, ("CC", "OBS", 1, 2, ["e0"]))
    assert "of 1 request stopped at the token limit" in found[0]["statement"]
    # The attempt that stopped at the limit is not the one that went on.
    first = call("r1", finish_reason="length", response_id="a")
    second = call("r1", finish_reason="stop", response_id="b", at=3, end=4)
    clear(examined(facts(first, second, rendered(response_id="b")), "M-04"), 1)
    cannot(examined(facts(call("r3")), "M-04"), "finish_reason of model")


def test_provider_refusal_or_filter(facts: Make) -> None:
    found = examined(
        facts(
            call("r1", finish_reason="content_filter", http_status=200, outcome="blocked"),
            call("r2", outcome="error", error_type="BadRequestError", attributes={"error_code": "content_filter"}),
            call("r3", finish_reason="SAFETY"),
            call("r4", finish_reason="stop"),
        ),
        "M-05",
    )
    fires(found, ("CX", "OBS", 2, 4, ["e0", "e1"]), ("CX", "OBS", 1, 4, ["e2"]))
    assert "of 2 requests with content_filter; HTTP status: 200." in found[0]["statement"]
    assert "with safety; HTTP status: not recorded." in found[1]["statement"]
    clear(examined(facts(call(finish_reason="length")), "M-05"), 1)
    cannot(examined(facts(call(outcome="error")), "M-05"), "finish_reason of model")


def test_retry_ambiguity(facts: Make) -> None:
    first = call(input_hash="p", output_hash="x", response_id="a", format="f")
    second = call(input_hash="p", output_hash="y", response_id="b", format="f", at=3, end=4)
    decided = {"layer": "policy", "kind": "policy.decision", "request": "r1", "verdict": "allow", "at": 5}
    decided |= {"policy_stage": "output", "input_hash": "x"}
    page = rendered(response_id="b")
    other = call("r2", input_hash="q", format="f")
    found = examined(facts(first, second, decided, page, other), "M-06")
    fires(found, ("SG", "DER", 1, 2, ["e0", "e2", "e1"]))
    assert "the filter's record matches one" in found[0]["statement"]
    by_link = {**decided, "input_hash": None}
    fires(
        examined(facts(first, second, by_link, page, links=[link("evaluated", "e2", "e0")]), "M-06"),
        ("SG", "DER", 1, 1, ["e0", "e2", "e1"]),
    )
    unknown = examined(facts(first, second, other), "M-06")
    fires(unknown, ("EG", "DER", 1, 2, ["e0", "e1"]))
    assert "which of them was delivered is not in the supplied logs" in unknown[0]["statement"]
    # Both evaluated; the same text twice; two steps of an agent; two logs of one call: nothing to tell apart.
    clear(examined(facts(first, second, decided, {**decided, "input_hash": "y"}, page), "M-06"), 1)
    clear(examined(facts(first, {**second, "output_hash": "x"}), "M-06"), 1)
    clear(examined(facts(first, {**second, "input_hash": "q"}), "M-06"), 1)
    clear(examined(facts(first, {**second, "format": "g"}), "M-06"), 1)
    cannot(examined(facts(rendered()), "M-06"), "an event model.call")


def hit(request: str = "r2", **more: Any) -> dict[str, Any]:
    return call(request, cache="hit", response_id="a", at=60, end=61, **more)


def test_cached_answer_from_other_identity(facts: Make) -> None:
    first = call("r1", user="ann", tenant="t1", cache="miss", response_id="a")
    from_cache = [link("served_from_cache_of", "e1", "e0")]
    page = rendered("r2", at=62)
    found = examined(facts(first, hit(user="bob", tenant="t1"), page, links=from_cache), "M-08")
    fires(found, ("RU", "DER", 1, 1, ["e1", "e0", "e2"]))
    assert (
        "Response a, first produced for a different user, was returned from cache in 1 request."
        in (found[0]["statement"])
    )
    blocked = {"layer": "prompt", "kind": "prompt.blocked", "request": "r2", "at": 63}
    held = examined(facts(first, hit(user="ann", tenant="t2"), blocked, links=from_cache), "M-08")
    fires(held, ("CC", "DER", 1, 1, ["e1", "e0"]))
    assert "a different tenant" in held[0]["statement"]
    clear(examined(facts(first, hit(user="ann", tenant="t1"), page, links=from_cache), "M-08"), 1)
    shared = {"shared_tenants": ["t1"]}
    cannot(examined(facts(first, hit(user="bob"), links=from_cache, declared=shared), "M-08"), "name no user or tenant")
    for_all = {"cache_scope": "global"}
    cannot(examined(facts(first, hit(user="bob"), links=from_cache, declared=for_all), "M-08"), "may go to anyone")
    cannot(examined(facts(first, hit(user="bob")), "M-08"), "calls that filled it are not in the supplied logs")
    cannot(examined(facts(first, hit(), links=from_cache), "M-08"), "name no user or tenant on both sides")
    cannot(examined(facts(call("r1")), "M-08"), "cache of model")
    clear(examined(facts(first), "M-08"), 0)


def test_cache_context_mismatch(facts: Make) -> None:
    first, second = call("r1", requested_model="m"), hit(requested_model="m")
    from_cache = [link("served_from_cache_of", "e1", "e0")]
    old = prompt("r1", template_name="ask", template_version="7")
    new = prompt("r2", template_name="ask", template_version="8", at=59)
    found = examined(facts(first, second, old, new, links=from_cache), "M-09")
    fires(found, ("CC", "DER", 1, 1, ["e1", "e0"]))
    assert "under prompt template 7 were returned after 8 was in use (1 request)" in found[0]["statement"]
    clear(examined(facts(first, second, old, {**new, "template_version": "7"}, links=from_cache), "M-09"), 1)
    change = {"layer": "change", "kind": "change.applied", "change_scope": "index", "change_key": "kb", "at": 30}
    change |= {"change_old": "v1", "change_new": "v2"}
    by_change = examined(facts(first, second, change, links=from_cache), "M-09")
    fires(by_change, ("CC", "DER", 1, 1, ["e1", "e0", "e2"]))
    assert "produced under index kb v1 were returned after v2" in by_change[0]["statement"]
    clear(examined(facts(first, second, {**change, "at": 90}, links=from_cache), "M-09"), 1)
    # A clock that may be a minute off leaves the order open.
    loose = [{"clock": "c", "slice": 0, "offset_ns": 0, "lower_ns": -(60 * 10**9), "upper_ns": 60 * 10**9}]
    loose = [{**loose[0], "basis": "bounds"}]
    clear(examined(facts(first, second, change, links=from_cache, clocks=loose), "M-09"), 1)
    cannot(examined(facts(first, second), "M-09"), "calls that filled it are not in the supplied logs")
    cannot(examined(facts(call("r1"), hit(), links=from_cache), "M-09"), "no version is recorded of both")
    cannot(examined(facts(first), "M-09"), "cache of model")


def test_one_cached_answer_many_questions(facts: Make) -> None:
    hits = [hit(f"r{n}", input_hash=f"p{n}") for n in range(10)]
    found = examined(facts(*hits), "M-10")
    fires(found, ("CC", "DER", 10, 10, [f"e{n}" for n in range(10)]))
    assert "One cached response (a) answered 10 different prompts, in 10 requests." in found[0]["statement"]
    clear(examined(facts(*hits[:9], hit("r9", input_hash="p0")), "M-10"), 10)
    by_prompt = [one for n in range(10) for one in (hit(f"r{n}"), prompt(f"r{n}", input_hash=f"p{n}"))]
    assert examined(facts(*by_prompt), "M-10")[0]["count"] == 10
    cannot(examined(facts(hit()), "M-10"), "no response id, or no prompt")
    cannot(examined(facts(call()), "M-10"), "cache of model")


def test_stream_ended_early(facts: Make) -> None:
    whole = call("r1", stream=True, finish_reason="stop", format="f", output_hash="x")
    cut = call("r2", stream=True, outcome="cancelled", format="f")
    broken = call("r3", stream=True, outcome="error", output_tokens=4, format="f")
    stop = {"layer": "ui", "kind": "ui.stopped", "request": "r2", "at": 2}
    found = examined(facts(whole, cut, broken, stop), "M-13")
    fires(found, ("CC", "OBS", 2, 3, ["e1", "e3", "e2"]))
    endless = call("r2", stream=True, format="f", output_hash="y")
    open_ = examined(facts(whole, endless), "M-13")
    fires(open_, ("EG", "DER", 1, 2, ["e1"]))
    assert "Of the streamed answer in 1 request no end is recorded" in open_[0]["statement"]
    # A log that never states an end, and an error before the first word, show nothing.
    clear(examined(facts(endless), "M-13"), 1)
    clear(examined(facts(whole, call("r3", stream=True, outcome="error", format="f")), "M-13"), 2)
    clear(examined(facts(call(stream=False, outcome="cancelled")), "M-13"), 0)
    cannot(examined(facts(call()), "M-13"), "stream of model")


def test_token_count_mismatch(facts: Make) -> None:
    def of(counted: int, **more: Any) -> list[dict[str, Any]]:
        return examined(facts(call(input_tokens=150), prompt(input_tokens=counted, **more)), "M-14")

    found = of(100)
    fires(found, ("DV", "INF", 1, 1, ["e0", "e1"]))
    assert "in 1 request; the widest apart are 100 and 150" in found[0]["statement"]
    clear(of(140), 1)
    steps = [call(input_tokens=150, call="e0"), call(input_tokens=90, call="e1", at=3)]
    counts = [prompt(input_tokens=150, call="e0"), prompt(input_tokens=60, call="e1")]
    fires(examined(facts(*steps, *counts), "M-14"), ("DV", "INF", 1, 1, ["e1", "e3"]))
    cannot(examined(facts(*steps, prompt(input_tokens=60)), "M-14"), "no prompt record with a token count is tied")
    cannot(examined(facts(call(input_tokens=150)), "M-14"), "input_tokens of prompt")


def test_action_without_recorded_approval(facts: Make) -> None:
    ran = {"layer": "other", "kind": "app.step", "name": "execute_tool refund", "request": "r1", "at": 5}
    other = {**ran, "request": "r2", "name": "search", "attributes": {"span_kind": "TOOL"}}
    needs = {"needs_approval": ["refund"]}
    found = examined(facts(ran, other, declared=needs), "M-15")
    fires(found, ("SG", "DER", 1, 2, ["e0"]))
    assert "refund ran in 1 request, first at 2026-01-01 10:00:05 UTC; no approval record" in found[0]["statement"]
    given = {"layer": "prompt", "kind": "prompt.approved", "request": "r1", "at": 4}
    clear(examined(facts(ran, given, declared=needs), "M-15"), 1)
    fires(examined(facts(ran, {**given, "at": 50}, declared=needs), "M-15"), ("SG", "DER", 1, 1, ["e0"]))
    fires(examined(facts(ran, {**given, "outcome": "blocked"}, declared=needs), "M-15"), ("SG", "DER", 1, 1, ["e0"]))
    allowed = examined(facts(ran, other, declared={"allowed_tools": ["search"]}), "M-15")
    fires(allowed, ("SG", "DER", 1, 2, ["e0"]))
    assert "the declared list of allowed tools does not name it" in allowed[0]["statement"]
    cannot(examined(facts(ran), "M-15"), "is not declared")
    cannot(examined(facts(call(), declared=needs), "M-15"), "no record of a tool that ran")


@pytest.mark.parametrize("check", CHECKS, ids=lambda one: one.id)
def test_no_rule_needs_more_than_it_says(facts: Make, check: Any) -> None:
    bare = facts(call(None, at=None, end=None), call("r2"), hit("r3"), rendered("r2"), prompt("r2"))
    (found,) = run(bare, [check]).findings.to_dicts()
    assert found["result"] in {"clear", "not_evaluable"}
    assert not banned(" ".join([check.statement, check.question, *check.alternatives]))
