"""Checks as a gate: requirements, and what machines read of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from strataline import CheckError
from strataline.examine import CHECKS, Facts, run
from strataline.export import gate

KNOWN = {check.id for check in CHECKS}


def broke(request: str) -> tuple[dict[str, Any], dict[str, Any]]:
    decision = {
        "layer": "policy",
        "kind": "policy.decision",
        "request": request,
        "verdict": "allow",
        "outcome": "error",
    }
    return decision, {"layer": "ui", "kind": "ui.rendered", "request": request, "shown": "answer"}


def held(facts: Facts, **required: int) -> list[gate.Result]:
    wanted = {name.replace("_", "-"): limit for name, limit in required.items()}
    return gate.results(run(facts, [check for check in CHECKS if check.id in wanted]).findings, wanted)


def test_a_requirement_is_met_not_met_or_unknown(facts: Callable[..., Facts]) -> None:
    some = facts(*broke("r1"), *broke("r2"))
    (unmet,) = held(some, F_03=1)
    assert (unmet.met, unmet.count, unmet.evaluable, unmet.requests) == (False, 2, 2, ("r1", "r2"))
    (met,) = held(some, F_03=2)
    assert met.met
    (unknown,) = held(facts(broke("r1")[1]), F_03=0)
    assert (unknown.met, unknown.count) == (None, None)
    assert unknown.reason == "not in the supplied logs: verdict of policy"


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("F-03", "no requirement"),
        ("F-03=x", "no requirement"),
        ("F-99=0", "no check is called"),
        ("F-03=0,F-03=1", "twice"),
    ],
)
def test_a_requirement_that_cannot_be_read_is_said(written: str, says: str) -> None:
    with pytest.raises(CheckError, match=says):
        gate.limits([written], KNOWN)


def test_several_requirements_on_one_line() -> None:
    assert gate.limits(["F-03=0, F-03=0"], KNOWN) == {"F-03": 0}


def test_junit_and_sarif_say_the_same_and_hold_no_markup_of_logs(facts: Callable[..., Facts]) -> None:
    hostile = "a<b>&\x1b[31m\u202e.jsonl"
    some = facts(*({**event, "source": hostile} for event in broke("r1")))
    findings = run(some, [check for check in CHECKS if check.id == "F-03"]).findings
    results = gate.results(findings, {"F-03": 0})
    suite = ET.fromstring(gate.junit(results)).find("testsuite")  # noqa: S314 - our own
    assert suite is not None
    assert (suite.get("tests"), suite.get("failures")) == ("1", "1")
    failure = suite.find("testcase/failure")
    assert failure is not None
    assert failure.text is not None
    assert "\x1b" not in failure.text
    assert "\u202e" not in failure.text
    read = json.loads(gate.sarif(results, findings))
    (run_,) = read["runs"]
    assert read["version"] == "2.1.0"
    assert [one["id"] for one in run_["tool"]["driver"]["rules"]] == ["F-03"]
    (result,) = run_["results"]
    assert result["locations"][0]["physicalLocation"]["region"] == {"startLine": 1}
    assert gate.listed(results)["met"] is False
    assert gate.page(results).startswith("not met  F-03")
    assert gate.sarif(results, findings) == gate.sarif(results, findings)
