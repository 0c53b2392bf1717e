"""Changes: from records, from values first seen, from a feed; what is no change; and what was in force."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import polars as pl
import pytest

from strataline.errors import InputError
from strataline.event import CHANGES
from strataline.examine import Facts
from strataline.examine.changes import changes, in_force, read_feed

Make = Callable[..., Facts]


def changed(at: float, new: str, old: str | None = None, **more: Any) -> dict[str, Any]:
    base = {"layer": "change", "kind": "change.applied", "change_scope": "policy", "change_key": "rev", "at": at}
    return {**base, "change_new": new, "change_old": old, "service": "filter", "clock": "filter-a", **more}


def decided(at: float, request: str, **more: Any) -> dict[str, Any]:
    base = {"layer": "policy", "kind": "policy.decision", "request": request, "verdict": "allow", "at": at}
    return {**base, "service": "filter", "clock": "filter-a", **more}


def rows(found: pl.DataFrame, *names: str) -> list[tuple[Any, ...]]:
    return found.select(names).rows()


def test_records_of_changes(facts: Make) -> None:
    found = changes(
        facts(
            changed(0, "1", attributes={"on_error": "deny", "logger": "a"}),
            decided(1, "r1", policy_version="1"),
            changed(2, "2", "1", attributes={"on_error": "allow", "logger": "b"}),
            decided(3, "r2", policy_version="2"),
            changed(2.5, "2", "1", clock="filter-b"),
            decided(2.6, "r4", clock="filter-b"),
            changed(4, "2", "2"),
            changed(5, "1", attributes={"on_error": "deny"}),
        )
    )
    assert found.schema == CHANGES.schema
    assert rows(found, "key", "service", "old", "new", "event", "layer") == [
        ("rev", "filter (filter-a)", "1", "2", "e2", "policy"),
        ("rev on_error", "filter (filter-a)", "deny", "allow", "e2", "policy"),
        ("rev", "filter (filter-b)", "1", "2", "e4", "policy"),
        ("rev", "filter (filter-a)", "2", "1", "e7", "policy"),
        ("rev on_error", "filter (filter-a)", "allow", "deny", "e7", "policy"),
    ]
    assert found["reverts"].to_list() == [None, None, None, *["2026-01-01T10:00:02.000Z"] * 2]
    assert set(found["basis"]) == {"record"}
    assert set(found["status"]) == {"OBS"}
    assert found["doubt_ns"].to_list() == [0] * 5
    assert found["address"].to_list()[0] == "a.jsonl:3"


def test_a_first_record_is_a_change_unless_a_program_read_it_as_it_started(facts: Make) -> None:
    audit = changed(3, "admin", service="console", clock="console", change_scope="role", change_key="u1")
    assert rows(changes(facts(audit)), "layer", "old", "new") == [("change", None, "admin")]
    assert rows(changes(facts(decided(1, "r1"), changed(3, "2"))), "old", "new") == [(None, "2")]
    assert changes(facts(changed(1, "2"), decided(3, "r1"))).is_empty()


def calls(values: Iterable[str], **more: Any) -> list[dict[str, Any]]:
    base = {"layer": "model", "kind": "model.call", "service": "gateway", "requested_model": "main", **more}
    return [{**base, "request": f"r{n}", "at": n, "served_model": value} for n, value in enumerate(values)]


def seen(facts: Make, values: Iterable[str]) -> list[tuple[Any, ...]]:
    found = changes(facts(*calls(values)))
    # Where a value ends and none begins, what remains was seen before.
    assert found["basis"].to_list() == ["last_seen" if one is None else "first_seen" for one in found["share"]]
    assert set(found["status"]) <= {"DER"}
    return rows(found, "event", "old", "new", "share")


def test_values_first_seen_and_seen_again(facts: Make) -> None:
    assert seen(facts, "aaaaaaabbbbbbb") == [("e7", "a", "b", 1.0)]
    assert seen(facts, "a" * 30 + "b" * 20 + "a" * 30) == [("e30", "a", "b", 1.0), ("e50", "b", "a", 1.0)]
    # Requests under way with the old value end a little later.
    assert seen(facts, "a" * 60 + "babab" + "b" * 60) == [("e60", "a", "b", 0.9692)]
    assert seen(facts, "a" * 40 + "b" * 40 + "c" * 40) == [("e40", "a", "b", 1.0), ("e80", "b", "c", 1.0)]
    assert changes(facts(*calls("a" * 30 + "b" * 20 + "a" * 30)))["reverts"].to_list() == [
        None,
        "2026-01-01T10:00:30.000Z",
    ]


def test_a_roll_out_is_two_rows_and_no_flood(facts: Make) -> None:
    mixed = "".join(np.random.default_rng(5).choice(["a", "b"], 200, p=[0.7, 0.3]))
    found = seen(facts, "a" * 100 + mixed + "b" * 100)
    assert len(found) == 2
    (_, old, new, share), (event, *ended) = found
    assert (old, new) == ("a", "b")
    assert 0.4 < share < 0.7
    assert ended == ["a", "b", None]
    assert 290 <= int(event[1:]) <= 300


def test_a_roll_out_to_a_part_that_is_taken_back_is_two_rows(facts: Make) -> None:
    mixed = "".join(np.random.default_rng(8).choice(["a", "b"], 400))
    (begun, old, new, share), (over, *ended) = seen(facts, "a" * 800 + mixed + "a" * 600)
    assert (old, new, ended) == ("a", "b", ["b", "a", None])
    assert 800 <= int(begun[1:]) <= 805
    assert 1195 <= int(over[1:]) <= 1201
    assert 0.4 < share < 0.6


def devices(seed: int) -> list[dict[str, Any]]:
    draw = np.random.default_rng(seed)
    base = {"layer": "ui", "kind": "ui.event", "service": "web"}
    return [
        {**base, "request": f"r{n}", "at": n + k / 10, "clock": f"device:{n}", "client_version": version}
        for n, version in enumerate(draw.choice(["7.1", "7.2"], 400, p=[0.55, 0.45]))
        for k in range(int(draw.integers(1, 4)))
    ]


def test_versions_of_many_devices_that_each_repeat_their_own_are_no_change(facts: Make) -> None:
    assert sum(not changes(facts(*devices(seed))).is_empty() for seed in range(12)) == 0
    told = [one | {"client_version": "7.1" if one["at"] < 200 else "7.2"} for one in devices(1)]
    assert rows(changes(facts(*told)), "scope", "old", "new") == [("client", "7.1", "7.2")]


def test_where_searches_go_and_which_model_is_asked_for_are_settings(facts: Make) -> None:
    base = {"layer": "retrieval", "kind": "retrieval.query", "service": "store"}
    searches = [{**base, "request": f"r{n}", "at": n, "index_name": "new" if n > 30 else "old"} for n in range(60)]
    asked = [one | {"requested_model": "big" if n < 40 else "small"} for n, one in enumerate(calls("b" * 80))]
    found = changes(facts(*searches, *asked))
    assert rows(found, "scope", "key", "old", "new") == [
        ("index", "searched", "old", "new"),
        ("model", "requested", "big", "small"),
    ]


@pytest.mark.parametrize(
    "values",
    [
        "a",
        "a" * 100,
        "ab" * 100,
        "aab" * 60,
        "a" * 50 + "b" + "a" * 50,
        [f"v{n}" for n in range(100)],
        [f"user{n // 3 % 20}" for n in range(300)],
        "a" * 3 + "b" * 2,
    ],
)
def test_what_differs_by_request_is_no_setting(facts: Make, values: Iterable[str]) -> None:
    assert seen(facts, values) == []


def test_values_at_random_change_nothing(facts: Make) -> None:
    draw = np.random.default_rng(3)
    found = [seen(facts, draw.choice(["a", "b", "c"], 300, p=[0.9, 0.08, 0.02]).tolist()) for _ in range(40)]
    assert sum(map(bool, found)) <= 2


def test_programs_do_not_take_each_others_changes(facts: Make) -> None:
    one = calls("a" * 20 + "b" * 20, clock="g1")
    other = calls("a" * 30 + "b" * 10, clock="g2")
    found = changes(facts(*one, *other))
    assert rows(found, "service", "event") == [("gateway (g1)", "e20"), ("gateway (g2)", "e70")]


def test_an_announced_change_is_listed_once(facts: Make) -> None:
    events = [decided(n, f"r{n}", policy_version="1" if n < 20 else "2") for n in range(40)]
    assert rows(changes(facts(*events)), "basis", "key", "event") == [("first_seen", "policy", "e20")]
    found = changes(facts(*events, changed(19.5, "2", "1")))
    assert rows(found, "basis", "key", "event") == [("record", "rev", "e40")]


def test_parameters_and_attributes_that_say_what_is_set(facts: Make) -> None:
    events = [
        {
            **call,
            "parameters": {"temperature": "0.2" if n < 25 else "0.9", "seed": str(n)},
            "attributes": {"deployment": "d1" if n < 25 else "d2", "latency": "1" if n < 25 else "9"},
        }
        for n, call in enumerate(calls("a" * 50))
    ]
    found = changes(facts(*events))
    assert rows(found, "scope", "key", "old", "new") == [
        ("attribute", "deployment", "d1", "d2"),
        ("parameter", "temperature", "0.2", "0.9"),
    ]


def test_in_force_is_carried_forward_by_clock(facts: Make) -> None:
    found = in_force(
        facts(
            decided(0, "r0"),
            changed(1, "1"),
            decided(2, "r2", policy_stage="input"),
            changed(3, "2", "1"),
            decided(4, "r2", policy_stage="output"),
            decided(5, "r5"),
            decided(6, "r6", clock="filter-b"),
            {"layer": "model", "kind": "model.call", "request": "r7", "clock": "filter-a", "at": 7},
        )
    ).sort("t")
    assert rows(found, "request", "dimension", "value", "stage", "event_id", "since") == [
        ("r2", "policy rev in force", "1", "input", "e2", "e1"),
        ("r2", "policy rev in force", "2", "output", "e4", "e3"),
        ("r5", "policy rev in force", "2", None, "e5", "e3"),
    ]


FEEDS = {
    "json": '{"time": "2026-01-01T10:00:30Z", "kind": "flag", "name": "dark", "from": false, "to": true}\n\n',
    "csv": 'time,type,key,old,new,service\n2026-01-01 11:00:30+01:00,flag,dark,false,true,"web, shop"\n',
    "git": "2026-01-01T10:00:30+00:00 1a2b3c4 Make the page dark\n",
    "epoch": '\ufeff{"at": 1767261630000, "title": "Deploy", "version": 7, "app": "web"}\n',
}


def test_feeds(facts: Make) -> None:
    feeds = {name: read_feed(text, f"{name}.txt") for name, text in FEEDS.items()}
    assert {str(feed["time"][0]) for feed in feeds.values()} == {"2026-01-01 10:00:30+00:00"}
    names = ("scope", "key", "old", "new", "service", "address")
    assert {name: rows(feed, *names)[0] for name, feed in feeds.items()} == {
        "json": ("flag", "dark", "false", "true", None, "json.txt:1"),
        "csv": ("flag", "dark", "false", "true", "web, shop", "csv.txt:2"),
        "git": ("commit", "Make the page dark", None, "1a2b3c4", None, "git.txt:1"),
        "epoch": ("change", "Deploy", None, "7", "web", "epoch.txt:1"),
    }
    found = changes(facts(*calls("a" * 20 + "b" * 20)), feeds["json"])
    assert rows(found, "basis", "status", "doubt_ns") == [("first_seen", "DER", 0), ("feed", "OBS", None)]
    assert read_feed("", "empty.txt").is_empty()


def test_what_may_stand_in_a_text_of_a_feed_ends_no_line() -> None:
    key = "a\u2028b\x85c\x0bd"
    found = read_feed('{"time": 1, "key": "a\u2028b\x85c"}\r\n', "a.jsonl")
    assert rows(found, "key", "address") == [("a\u2028b\x85c", "a.jsonl:1")]
    found = read_feed(f"2026-01-01T10:00:30Z 1a2b3c4 {key}\n2026-01-01T10:00:31Z 1a2b3c5 e", "log.txt")
    assert rows(found, "key", "address") == [(key, "log.txt:1"), ("e", "log.txt:2")]
    found = read_feed('{"time": 1, "key": "\\ud800", "old": 1}', "\udcff.jsonl")
    assert rows(found, "key", "old", "address") == [("\\ud800", "1", "\\udcff.jsonl:1")]


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ('{"time": 1}\n{"time"', 2, "no JSON"),
        ('{"time": 1}\n[1]', 2, "no JSON object"),
        ('{"name": "x"}', 1, "no time"),
        ('{"time": "noon"}', 1, "no time: 'noon'"),
        # What programs write where there is no time; nanoseconds would make 1754 and 1816 of them.
        ('{"time": "0001-01-01T00:00:00Z"}', 1, "no time: '0001-01-01T00:00:00Z'"),
        ('{"time": "0001-01-01T00:00:00+05:00"}', 1, "no time: '0001"),
        ("time,b\n9999-12-31,2", 2, "no time: '9999-12-31'"),
        ('{"time": 10000000000}', 1, "no time: 10000000000"),
        ('{"time": 1, "new": ' + "[" * 10**5 + "]" * 10**5 + "}", 1, "no JSON"),
        ("a,b\n1,2", 1, "no header with a time"),
        ("time,b\n1,2,3", 2, "3 cells"),
        ("2026-01-01T10:00:30Z 1a2b3c4 x\nx", 2, "no time, commit"),
        ('time,b\n1,"2', 2, "no CSV"),
    ],
)
def test_mistakes_in_feeds_are_told_with_their_line(text: str, line: int, message: str) -> None:
    with pytest.raises(InputError) as told:
        read_feed(text, "feed.txt")
    assert message in told.value.message
    assert (told.value.path, told.value.line) == ("feed.txt", line)
