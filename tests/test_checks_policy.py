"""Checks of the policy layer: each fires, stays silent and says that it cannot run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from strataline.examine import Facts, run
from strataline.examine.checks import CHECKS

Make = Callable[..., Facts]


def examined(facts: Facts, check: str) -> list[dict[str, Any]]:
    chosen = [one for one in CHECKS if one.id == check]
    assert chosen
    return run(facts, chosen).findings.to_dicts()


def decision(request: str, **more: Any) -> dict[str, Any]:
    return {"layer": "policy", "kind": "policy.decision", "request": request, "verdict": "allow", **more}


def rendered(request: str, **more: Any) -> dict[str, Any]:
    return {"layer": "ui", "kind": "ui.rendered", "request": request, "shown": "answer", **more}


def test_failed_open(facts: Make) -> None:
    broke = decision("r1", outcome="error", policy_mode="fail_open", at=1)
    (found,) = examined(facts(broke, rendered("r1", at=2), decision("r2"), rendered("r2")), "F-03")
    assert (found["result"], found["count"], found["evaluable"], found["status"]) == ("fired", 1, 2, "DER")
    assert found["events"] == ["e0", "e1"]
    assert "in 1 request, and delivery continued. The logged failure mode is open." in found["statement"]
    (by_time,) = examined(facts({**broke, "link_method": "window"}, rendered("r1", at=2)), "F-03")
    assert (by_time["status"], by_time["inferred"]) == ("INF", 1)
    (held,) = examined(facts(broke, rendered("r1", shown="blocked notice", outcome="blocked")), "F-03")
    assert (held["result"], held["evaluable"]) == ("clear", 1)
    (none,) = examined(facts(rendered("r1")), "F-03")
    assert (none["result"], none["reason"]) == ("not_evaluable", "not in the supplied logs: verdict of policy")
