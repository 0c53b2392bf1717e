"""Checks that compare with a baseline, and those of change: each fires, stays silent and says that it cannot run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import polars as pl
import pytest

from strataline.examine import Affected, Facts, run
from strataline.examine.checks import CHECKS
from strataline.examine.dimensions import contrasts, dimensions

Make = Callable[..., Facts]

AFFECTED = Affected(
    pl.Series([f"r{n}" for n in range(40, 60)]), pl.Series([f"r{n}" for n in range(40)] + ["r60", "r61"]), ("…",)
)


def examined(facts: Facts, check: str) -> list[dict[str, Any]]:
    chosen = [one for one in CHECKS if one.id == check]
    assert chosen
    return run(facts, chosen).findings.to_dicts()


def requests(make: Callable[[int], list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Events of requests r0 to r61, a minute apart; of each what `make` gives. r40 to r59 are affected."""
    return [
        {"kind": f"{event['layer']}.event", **event, "request": f"r{n}", "at": 60 * n}
        for n in range(62)
        for event in make(n)
    ]


def affects(n: int) -> bool:
    return 40 <= n < 60


def prompt(version: str) -> list[dict[str, Any]]:
    return [{"layer": "prompt", "kind": "prompt.rendered", "template_name": "help", "template_version": version}]


def model(**more: Any) -> list[dict[str, Any]]:
    return [{"layer": "model", "kind": "model.call", "outcome": "ok", **more}]


def policy(**more: Any) -> list[dict[str, Any]]:
    return [{"layer": "policy", "kind": "policy.decision", "verdict": "allow", **more}]


def page(**more: Any) -> list[dict[str, Any]]:
    return [{"layer": "ui", "kind": "ui.rendered", "shown": "answer", **more}]


def searched(*documents: str) -> list[dict[str, Any]]:
    return [{"layer": "retrieval", "kind": "retrieval.query", "documents": [{"id": one} for one in documents]}]


Of = Callable[[int], list[dict[str, Any]]]

FIRES: list[tuple[str, Of, int, str]] = [
    ("P-01", lambda n: prompt("8" if affects(n) or n == 3 else "7"), 20, "used template help v8 (100%)"),
    ("M-07", lambda n: model(parameters={"effort": "low" if affects(n) else "high"}), 20, "effort was low in 100%"),
    ("M-11", lambda n: model(attributes={"region": "eu" if affects(n) else "us"}), 20, "have model region eu, and 0%"),
    ("M-11", lambda n: model(clock="g1" if affects(n) else "g2", service="g"), 20, "have model replica g1"),
    ("F-07", lambda n: policy(policy_version="2" if affects(n) else "1"), 20, "policy version was 2 in 100%"),
    ("F-07", lambda n: policy(policy_version="1", policy_name="p", threshold=0.5 + affects(n)), 20, "p 1.5"),
    ("F-11", lambda n: policy(verdict="block" if affects(n) else "allow"), 20, "was 100% in the affected set and 0%"),
    ("F-11", lambda n: policy() + model(finish_reason="refusal" if affects(n) else "stop"), 20, "was 100%"),
    ("U-06", lambda n: page(feedback="down" if affects(n) else None), 20, "The first is at 2026-01-01T10:40:00Z"),
    ("U-06", lambda n: page() + (page(kind="ui.regenerate") if affects(n) else []), 20, "of 20 signals"),
    ("R-11", lambda n: searched("a", "new" if affects(n) else "b"), 20, "received document new (0% of compared)"),
    ("C-01", lambda n: model(served_model="b" if affects(n) else "a"), 20, "served model differs"),
]

SILENT: list[tuple[str, Of]] = [
    ("P-01", lambda n: prompt("8" if n % 2 else "7")),
    ("P-01", lambda _: prompt("8")),
    ("M-07", lambda n: model(parameters={"effort": str(n % 3), "seed": str(n)})),
    ("M-11", lambda n: model(attributes={"region": "eu" if n % 2 else "us"}, user=f"u{n}")),
    ("F-07", lambda _: policy(policy_version="2")),
    ("F-11", lambda n: policy(verdict="block" if n % 2 else "allow")),
    ("U-06", lambda n: page(feedback="down" if n % 2 else "up")),
    # What the affected have less often is no signal.
    ("U-06", lambda n: page(feedback="up" if affects(n) else "down")),
    ("R-11", lambda n: searched("a", "old" if affects(n) or n == 3 else "b")),
    ("C-01", lambda n: model(served_model="b" if n % 2 else "a")),
    ("P-07", lambda n: page(session=f"s{n}")),
]

SILENT_FOR_OTHER_LOGS: list[tuple[str, Of, str]] = [
    ("P-01", lambda _: model(), "template_version of prompt"),
    ("M-07", lambda _: model(), "parameters of model"),
    ("F-07", lambda _: policy(), "policy_version of any layer"),
    ("F-11", lambda _: page(), "verdict of any layer"),
    ("U-06", lambda _: model(), "kind of ui"),
    ("R-11", lambda _: model(), "documents of retrieval"),
    ("P-07", lambda _: model(), "session of requests"),
    ("M-11", lambda _: model(), "which route, region, host or replica"),
    ("C-04", lambda _: model(), "takes another one back"),
]


@pytest.mark.parametrize(("check", "of", "count", "says"), FIRES)
def test_fires(facts: Make, check: str, of: Of, count: int, says: str) -> None:
    first = examined(facts(*requests(of), affected=AFFECTED), check)[0]
    assert (first["result"], first["count"], first["affected"], first["status"]) == ("fired", count, count, "DER")
    assert first["evaluable"] == 62
    assert first["addresses"]
    assert says in first["statement"]
    assert first["requests"] == ["r40", "r41", "r42", "r43", "r44"]


@pytest.mark.parametrize(("check", "of"), SILENT)
def test_stays_silent(facts: Make, check: str, of: Of) -> None:
    (found,) = examined(facts(*requests(of), affected=AFFECTED), check)
    assert found["result"] == "clear"
    assert found["evaluable"]


@pytest.mark.parametrize(("check", "of", "lacks"), SILENT_FOR_OTHER_LOGS)
def test_says_why_it_cannot_run(facts: Make, check: str, of: Of, lacks: str) -> None:
    (found,) = examined(facts(*requests(of), affected=AFFECTED), check)
    assert found["result"] == "not_evaluable"
    assert lacks in found["reason"]


@pytest.mark.parametrize("check", [one.id for one in CHECKS if one.baseline])
def test_nobody_chose_a_set(facts: Make, check: str) -> None:
    everything = [*prompt("1"), *searched("a"), *model(parameters={"a": "b"}), *policy(policy_version="1"), *page()]
    (found,) = examined(facts(*({**one, "request": "r", "session": "s"} for one in everything)), check)
    assert (found["result"], found["unlocks"]) == ("not_evaluable", ["--affected"])


def test_long_sessions(facts: Make) -> None:
    of = facts(
        *requests(lambda n: page(session="long" if n >= 20 else f"s{n}")),
        affected=Affected(pl.Series([f"r{n}" for n in range(30, 62)]), pl.Series([f"r{n}" for n in range(30)]), ()),
    )
    (found,) = examined(of, "P-07")
    assert (found["count"], found["evaluable"]) == (28, 32)
    assert found["statement"].startswith("28 requests of the affected set came at turn 15 of the session or later; 0%")


def test_users_who_are_affected_more_than_once(facts: Make) -> None:
    """Without a route, that affected requests are of few users is told by itself."""
    by_user = [{"request": f"r{n}", "kind": "turn", "user": "u" + str(n if n < 40 else n % 10)} for n in range(62)]
    several = [{"layer": "prompt", "request": row["request"]} for row in by_user]
    (found,) = examined(facts(*several, requests=by_user, affected=AFFECTED), "M-11")
    assert (found["result"], found["subject"], found["count"]) == ("fired", "users", 20)
    assert "100% of the users of affected requests had more than one, where" in found["statement"]


def alias(at: float, new: str, old: str | None, key: str = "kb") -> dict[str, Any]:
    base = {"layer": "change", "kind": "change.applied", "service": "search", "clock": "search", "at": at}
    return {**base, "change_scope": "index", "change_key": key, "change_new": new, "change_old": old}


def incident() -> list[dict[str, Any]]:
    """An index and a model differ from r40 to r59; a template changed at r5 and stays."""
    events = requests(
        lambda n: [
            *prompt("8" if n >= 5 else "7"),
            {**searched("a")[0], "service": "search", "clock": "search"},
            *model(requested_model="main", served_model="new" if affects(n) else "old", service="gateway"),
        ]
    )
    # First, for a frame of dicts has the columns of its first rows.
    return [alias(2395, "12", "14"), alias(3595, "14", "12"), *events]


def test_changes_before_the_first_affected_request(facts: Make) -> None:
    (found,) = examined(facts(*incident(), affected=AFFECTED), "C-02")
    assert (found["result"], found["count"], found["status"]) == ("fired", 3, "DER")
    listed = [one.split(" in ")[0] for one in found["statement"].split("in order of time: ")[1].split("; ")]
    assert listed == ["template help 7 → 8", "index kb 14 → 12", "model main old → new"]
    late = Affected(pl.Series(["r0"]), pl.Series(["r1"]), ())
    assert examined(facts(*incident(), affected=late), "C-02")[0]["result"] == "clear"


def test_what_the_records_cannot_separate(facts: Make) -> None:
    pair, together = examined(facts(*incident(), affected=AFFECTED), "C-03")
    assert pair["statement"] == (
        "The records cannot separate index kb in force 12 from served model new: they go together in 20 requests of "
        "the affected set."
    )
    assert together["count"] == 20
    assert "template help 7 → 8" in together["statement"]
    alone = requests(lambda n: model(requested_model="main", served_model="new" if affects(n) else "old"))
    (found,) = examined(facts(*alone, affected=AFFECTED), "C-03")
    assert (found["result"], found["evaluable"]) == ("clear", 20)


def test_rates_around_a_reversal(facts: Make) -> None:
    found = examined(facts(*incident(), affected=AFFECTED), "C-04")
    said = {one["subject"]: one["statement"] for one in found}
    assert set(said) == {"index kb: 14", "model main: old"}
    assert said["index kb: 14"].startswith(
        "index kb was 12 from 2026-01-01T10:39:55Z to 2026-01-01T10:59:55Z. Of the requests that started before, 0% of "
        "40 are of the affected set; of those while it was, 100% of 20; after 14 was restored, 0% of 2."
    )
    assert "template help 7 → 8" in said["index kb: 14"]
    assert "index kb" not in said["index kb: 14"].split("Other changes")[1]
    kept = requests(lambda n: model(requested_model="main", served_model="new" if n >= 30 else "old"))
    assert examined(facts(*kept, affected=AFFECTED), "C-04")[0]["result"] == "not_evaluable"


def test_a_contrast_names_its_values_and_no_effect(facts: Make) -> None:
    of = facts(*incident(), affected=AFFECTED)
    table = contrasts(of)
    shown = table.filter("shown")
    assert set(shown["dimension"]) == {"index kb in force", "served model"}
    assert table.filter(pl.col("dimension") == "template")["affected_with"].to_list() == [0, 20]
    assert shown["separates"].all()
    assert shown["group"].n_unique() == 2
    assert shown.filter(pl.col("value") == "new")["first_seen"].to_list() == ["2026-01-01T10:40:00.000Z"]
    found = examined(of, "C-01")
    assert {one["subject"] for one in found} == {"index kb in force", "served model"}
    few = "it does not show effect. This comparison could only have shown large"
    assert all(few in one["statement"] for one in found)


def test_dimensions_leave_out_what_became_of_a_request(facts: Make) -> None:
    attributes = {"region": "eu", "latency_ms": "7", "error_code": "x", "logger": "a.py"}
    events = requests(
        lambda n: model(attributes={**attributes, "region": f"eu{n % 2}", "key": str(n)}, outcome="error")
    )
    found = dimensions(facts(*events))
    assert set(found["dimension"].cast(pl.String)) == {"model region", "sequence"}
    empty = dimensions(facts())
    assert empty.is_empty()
    assert empty.columns == found.columns
