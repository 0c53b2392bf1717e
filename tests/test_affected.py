"""The affected set: every way to choose it, what it is compared with, and what a mistake is told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from strataline.case import Case
from strataline.errors import InputError
from strataline.examine import CHECKS, Affected, Facts
from strataline.examine.affected import hits, select
from strataline.examine.selection import chosen

Make = Callable[..., Facts]


def case(facts: Make) -> Facts:
    ids = [{"kind": "trace", "value": "t-1", "role": "alias"}]
    start = {f"r{n}": {"request": f"r{n}", "kind": "job" if n == 5 else "turn"} for n in range(6)}
    return facts(
        {"layer": "prompt", "kind": "prompt.received", "request": "r0", "at": 0, "session": "s", "ids": ids},
        {"layer": "prompt", "kind": "prompt.received", "request": "r1", "at": 60, "attributes": {"route": "/a"}},
        {"layer": "prompt", "kind": "prompt.received", "request": "r2", "at": 120, "attributes": {"route": "/b"}},
        {"layer": "prompt", "kind": "prompt.received", "request": "r3", "at": 180},
        {"layer": "prompt", "kind": "prompt.received", "request": "r4", "at": 240},
        {"layer": "model", "kind": "model.call", "request": "r5", "at": 300, "output_tokens": 7},
        {"layer": "policy", "request": "r1", "verdict": "block", "policy_version": "10", "at": 60},
        {"layer": "policy", "request": "r1", "verdict": "allow", "policy_version": "9", "outcome": "error", "at": 61},
        {"layer": "policy", "request": "r2", "verdict": "allow", "policy_version": "9", "score": 0.5, "at": 121},
        {"layer": "ui", "kind": "ui.rendered", "request": "r1", "shown": "answer", "stream": True, "at": 63},
        {"layer": "retrieval", "request": "r3", "documents": [{"id": "d1", "score": 0.2}], "at": 181},
        {"layer": "policy", "verdict": "block", "at": 400},
        requests=start.values(),
    )


FILTERS = [
    ('policy.verdict == "block"', ["r1"]),
    ("policy.verdict == 'allow'", ["r1", "r2"]),
    ('policy.verdict != "allow"', ["r1"]),
    ('not policy.verdict == "allow"', ["r0", "r3", "r4", "r5"]),
    ('policy.verdict in ("block", "redact")', ["r1"]),
    ('policy.verdict not in ("allow")', ["r1"]),
    ('verdict == "allow" and shown == "answer"', ["r1"]),
    ('ui.verdict == "allow"', []),
    ('policy.verdict == "block" or model.output_tokens > 5', ["r1", "r5"]),
    ('not (policy.verdict == "allow" or model.output_tokens >= 7) and request.start_time < "2026-01-01T10:03"', ["r0"]),
    ("policy.score is null", ["r0", "r1", "r3", "r4", "r5"]),
    ("policy.score is not null", ["r2"]),
    ("policy.score == 0.5", ["r2"]),
    ("policy.policy_version > 9", ["r1"]),
    ("policy.policy_version == 9", ["r1", "r2"]),
    ('prompt.attributes.route ~ "^/[bc]$"', ["r2"]),
    ('retrieval.documents.id == "d1"', ["r3"]),
    ("retrieval.documents.score < 0.1", []),
    # Of what the column cannot hold, it is told too.
    ("model.output_tokens == 7.5", []),
    ("model.output_tokens < 7.5", ["r5"]),
    ("model.output_tokens > 6.5", ["r5"]),
    ("model.output_tokens in (7.5, 7.0)", ["r5"]),
    ("model.output_tokens in (7.5)", []),
    ("model.output_tokens not in (1e30)", ["r5"]),
    ("model.output_tokens < 99999999999999999999", ["r5"]),
    ("model.output_tokens > -1e400", ["r5"]),
    ("model.output_tokens == 9223372036854775807", []),
    ("ui.stream == true", ["r1"]),
    ('corrected_time >= "2026-01-01T10:05:00Z"', ["r5"]),
    ('corrected_time >= "2026-01-01T11:05:00+01:00"', ["r5"]),
    ('request.kind == "job"', ["r5"]),
    ('shown == "and"', []),
]


@pytest.mark.parametrize(("expression", "expected"), FILTERS)
def test_filters(facts: Make, expression: str, expected: list[str]) -> None:
    assert chosen(expression, case(facts).tables).to_list() == expected


MISTAKES = [
    ('policy.verdikt == "x"', "no column 'verdikt', at character 1", "did you mean verdict"),
    ("policy.verdict == block", "a value is missing, at character 19", 'quote it: "block"'),
    ('policy.verdict = "block"', "a comparison is missing", "one of =="),
    ('policy.verdict == "block" and', "a column is missing", "as in"),
    ('(policy.verdict == "block"', "a parenthesis is not closed", ""),
    ('policy.verdict == "block" policy', "something is left over", "and / or"),
    ('policy.verdict ~ "("', "no regular expression", ""),
    ('model.output_tokens == "x"', "the column is a number", "without quotes"),
    ('ui.stream == "x"', "true or false", ""),
    ('request.start_time > "noon"', "no ISO time: 'noon'", "as in 2026"),
    ('request.start_time > "0001-01-01T00:00+05:00"', "no time that a log has: 0001", "from 1678 to 2261"),
    ('request.start_time < "9999-12-31"', "no time that a log has: 9999", "from 1678 to 2261"),
    ("attributes == 3", "is a map: say which key", "attributes.region"),
    ("documents == 3", "has elements", "one of id"),
    ("policy.verdict.x == 3", "nothing inside", ""),
    ("policy.verdict in (", "a value is missing", ""),
    ("policy.score is true", "null or not null", ""),
    ("policy == 3", "no column ''", ""),
    ("(" * 200 + "policy.score == 1" + ")" * 200, "more than 100 parentheses", ""),
]


@pytest.mark.parametrize(("expression", "message", "hint"), MISTAKES)
def test_mistakes_in_filters_are_told_with_their_place(facts: Make, expression: str, message: str, hint: str) -> None:
    with pytest.raises(InputError) as told:
        chosen(expression, case(facts).tables)
    assert message in told.value.message
    assert hint in (told.value.hint or "")


def affected(facts: Facts, *selectors: str, **more: Any) -> Affected:
    def which(name: str) -> list[str]:
        return {"t-1": ["r0"], "s": ["r0", "r2"], "r4": ["r4"]}.get(name, [])

    def find(text: str) -> Sequence[str]:
        return ["r3"] if text == "60 days" else []

    return select(facts, selectors, which=which, find=find, check=lambda name: hits(facts, CHECKS, name), **more)


SELECTORS = [
    (["t-1"], ["r0"]),
    (["s"], ["r0", "r2"]),
    (["id:s", "r4"], ["r0", "r2", "r4"]),
    (["time:2026-01-01T10:01..2026-01-01T10:03"], ["r1", "r2"]),
    (["time:..2026-01-01T10:01:00Z"], ["r0"]),
    (["time:2026-01-01T10:04.."], ["r4", "r5"]),
    (["text:60 days", "t-1"], ["r0", "r3"]),
    (["where:policy.score == 0.5"], ["r2"]),
    (['policy.verdict == "block"', "text:60 days"], ["r1", "r3"]),
    (["check:F-03"], ["r1"]),
    (["sql:SELECT request FROM events WHERE verdict = 'allow'"], ["r1", "r2"]),
    (["sql:SELECT r.request FROM requests r WHERE kind = 'job'"], ["r5"]),
]


@pytest.mark.parametrize(("selectors", "expected"), SELECTORS)
def test_selectors(facts: Make, selectors: list[str], expected: list[str]) -> None:
    found = affected(case(facts), *selectors, chosen_by="the night shift")
    assert found.requests.to_list() == expected
    assert (found.selectors, found.chosen_by) == (tuple(selectors), "the night shift")
    assert set(found.baseline).isdisjoint(expected)


REFUSED = [
    ("nonsense", "no request is known by 'nonsense'"),
    ("", "is empty"),
    ("text:", "is empty"),
    ("time:yesterday..", "no ISO time"),
    ("time:2026-01-01", "is no window"),
    ("time:9999-12-31T23:00-05:00..", "no time that a log has"),
    *((f"{way}\udcff", "is no UTF-8") for way in ("", "id:", "text:", "sql:", "policy.verdict == ")),
    ("check:F-99", "no check is called 'F-99'"),
    ("check:U-06", "could not run"),
    ("policy.verdict == 'redact'", "no request is selected"),
    ("sql:SELECT 1", "'1' is no request"),
    ("sql:SELECT nothing FROM events", "nothing"),
    ("sql:SELECT request FROM events; SELECT request FROM events", "one SELECT"),
    ("sql:COPY events TO '/tmp/out.csv'", "one SELECT"),
    ("sql:SELECT * FROM read_csv('{file}')", "disabled"),
    ("sql:SELECT * FROM '{file}'", "not"),
    ("sql:SELECT request FROM facts", "does not exist"),
    ("sql:SET enable_external_access = true", "one SELECT"),
]


@pytest.mark.parametrize(("selector", "message"), REFUSED)
def test_what_selects_nothing_or_reaches_out_is_refused(
    facts: Make, tmp_path: Path, selector: str, message: str
) -> None:
    (tmp_path / "secret.csv").write_text("request\nr0\n")
    with pytest.raises(InputError) as told:
        affected(case(facts), selector.replace("{file}", str(tmp_path / "secret.csv")))
    assert message in told.value.message


def test_a_filter_that_nothing_meets_is_told_the_values_there_are(facts: Make) -> None:
    with pytest.raises(InputError) as told:
        affected(case(facts), 'policy.verdict == "denied"')
    assert told.value.hint == "values of policy.verdict in this case: 'allow', 'block'"


def test_many_ids_are_found_at_once_and_the_unknown_are_named(facts: Make) -> None:
    many = facts(*({"layer": "model", "request": f"r{n}", "event_id": f"e-{n}"} for n in range(50)))
    found = select(many, [f"e-{n}" for n in range(40)], which=lambda _: [], find=lambda _: [], check=lambda _: [])
    assert found.requests.len() == 40
    with pytest.raises(InputError, match="known by 'x0', 'x1', 'x2', 'x3', 'x4', …"):
        select(many, [f"x{n}" for n in range(40)], which=lambda _: [], find=lambda _: [], check=lambda _: [])


BASELINES = [
    ("others", ["r0", "r1", "r4"], "the other turns of the case"),
    ("before", ["r1"], "the turns that started in a window of the same length before the first affected one"),
    ("same-window", [], "the other turns that started between the first and the last affected one"),
    (["r4", 'policy.verdict == "allow"'], ["r1", "r4"], 'what r4 or policy.verdict == "allow" selects'),
    ("t-1", ["r0"], "what t-1 selects, less the affected"),
]


@pytest.mark.parametrize(("baseline", "expected", "rule"), BASELINES)
def test_baselines(facts: Make, baseline: str | list[str], expected: list[str], rule: str) -> None:
    found = affected(case(facts), "text:60 days", "where:policy.score == 0.5", baseline=baseline)
    assert found.requests.to_list() == ["r2", "r3"]
    assert found.baseline.to_list() == expected
    assert found.baseline_rule.startswith(rule)


def test_jobs_are_compared_with_jobs(facts: Make) -> None:
    found = affected(case(facts), "where:model.output_tokens == 7")
    assert (found.baseline.to_list(), found.baseline_rule) == ([], "the other jobs of the case")
    assert isinstance(found.requests, pl.Series)


def test_a_case_reads_lists_and_feeds(facts: Make, tmp_path: Path) -> None:
    of = Case(case(facts).tables, {}, {})
    (tmp_path / "ids.txt").write_text("# of the night\nt-1\n\nwhere:policy.score == 0.5\n", encoding="utf-8")
    for given in ([f"@{tmp_path / 'ids.txt'}"], tmp_path / "ids.txt", ["t-1", "policy.score == 0.5"]):
        assert of.affected(given).requests.to_list() == ["r0", "r2"]
    assert of.affected("r3", baseline=["t-1", "r4"]).baseline.to_list() == ["r0", "r4"]
    assert of.affected("check:F-03").requests.to_list() == ["r1"]
    (tmp_path / "feed.jsonl").write_text('{"time": "2026-01-01T10:00:00Z", "name": "x", "to": 1}\n', encoding="utf-8")
    assert of.changes(tmp_path / "feed.jsonl").column("address").to_pylist() == ["feed.jsonl:1"]
    assert of.contrasts(of.affected("t-1")).column("shown").to_pylist().count(True) == 0
    with pytest.raises(InputError, match="cannot be read"):
        of.affected("@nowhere.txt")
    with pytest.raises(InputError, match="cannot be read"):
        of.changes("nowhere.jsonl")
