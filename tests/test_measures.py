"""What was measured: the numbers of requests, and how those of two sets lie beside each other."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest
from hypothesis import given, strategies as st
from scipy.stats import mannwhitneyu

from strataline.event import MEASURES
from strataline.examine import Affected, Facts, examine
from strataline.examine.compare import comparison
from strataline.examine.measures import MEASURED, measured, measures

Make = Callable[..., Facts]


def numbers(one: list[float], other: list[float], measure: str = "model.call: took") -> pl.DataFrame:
    rows = [
        (f"{side}{n}", measure, "ms", value) for side, of in (("a", one), ("b", other)) for n, value in enumerate(of)
    ]
    return pl.DataFrame(rows, schema=MEASURED, orient="row")


def sides(values: pl.DataFrame) -> tuple[pl.Series, pl.Series]:
    names = values["request"].cast(pl.String).unique(maintain_order=True)
    return names.filter(names.str.starts_with("a")), names.filter(names.str.starts_with("b"))


FLOATS = st.lists(st.integers(-5, 5).map(float) | st.floats(-1e6, 1e6), min_size=5, max_size=40)


@given(one=FLOATS, other=FLOATS)
def test_the_test_is_that_of_scipy(one: list[float], other: list[float]) -> None:
    values = numbers(one, other)
    found = measures(values, *sides(values))
    if len({*one, *other}) == 1:
        assert found.is_empty()
        return
    (row,) = found.to_dicts()
    expected = mannwhitneyu(one, other, method="asymptotic")
    assert row["p"] == pytest.approx(expected.pvalue, rel=1e-4)
    assert row["greater"] == pytest.approx(expected.statistic / (len(one) * len(other)), abs=1e-4)
    assert row["affected_median"] == pytest.approx(np.median(one), rel=1e-4)
    assert (row["affected_n"], row["baseline_n"]) == (len(one), len(other))


@given(one=FLOATS, other=FLOATS)
def test_the_other_way_round_says_the_same(one: list[float], other: list[float]) -> None:
    values = numbers(one, other)
    affected, baseline = sides(values)
    for row, back in zip(
        measures(values, affected, baseline).to_dicts(), measures(values, baseline, affected).to_dicts(), strict=True
    ):
        assert row["greater"] == pytest.approx(1 - back["greater"], abs=1e-4)
        assert row["p"] == pytest.approx(back["p"])
        assert (row["affected_median"], row["shown"]) == (back["baseline_median"], back["shown"])


def test_a_difference_is_shown_and_the_same_numbers_are_not() -> None:
    apart = numbers([900.0 + n for n in range(12)], [100.0 + n for n in range(30)])
    same = numbers([float(n % 7) for n in range(12)], [float(n % 7) for n in range(30)], "model.call: input tokens")
    values = pl.concat([apart, same])
    found = measures(values, *sides(values))
    assert found["measure"].to_list() == ["model.call: took", "model.call: input tokens"]
    assert found["shown"].to_list() == [True, False]
    assert found.row(0, named=True) | {"p": 0, "q": 0} == {
        "measure": "model.call: took",
        "unit": "ms",
        "affected_n": 12,
        "affected_median": 905.5,
        "affected_p95": 910.0,
        "baseline_n": 30,
        "baseline_median": 114.5,
        "baseline_p95": 128.0,
        "greater": 1.0,
        "p": 0,
        "q": 0,
        "shown": True,
        "small": False,
    }


def test_four_requests_are_not_compared() -> None:
    values = numbers([1.0, 2.0, 3.0, 4.0], [5.0] * 20)
    assert measures(values, *sides(values)).schema == MEASURES.schema
    assert measures(values, *sides(values)).is_empty()


def turn(request: str, at: float, **model: object) -> list[dict[str, object]]:
    return [
        {"layer": "prompt", "kind": "prompt.received", "request": request, "at": at, "link_method": "opening"},
        {"layer": "model", "kind": "model.call", "request": request, "at": at + 1, "end": at + 1.5, **model},
        {"layer": "retrieval", "kind": "retrieval.query", "request": request, "at": at + 0.25},
    ]


def test_a_request_has_the_largest_of_its_numbers(facts: Make) -> None:
    events = turn("r1", 0, input_tokens=10)
    events += [{"layer": "model", "kind": "model.call", "request": "r1", "at": 3, "input_tokens": 70}]
    scores = [{"id": "d1", "score": 0.2}, {"id": "d2", "score": 0.9}, {"id": "d3"}]
    events += [{"layer": "retrieval", "kind": "retrieval.query", "request": "r1", "at": 3, "documents": scores}]
    events += [{"layer": "policy", "kind": "policy.decision", "policy_name": "pii", "request": "r1", "score": 0.5}]
    found = {measure: value for _, measure, _, value in measured(facts(*events)).iter_rows()}
    assert found == {
        "model.call: input tokens": 70,
        "model.call: took": 500,
        "model.call: records": 2,
        "model.call: first, after the opening event": 1000,
        "retrieval.query: documents": 3,
        "retrieval.query: best document score": 0.9,
        "retrieval.query: records": 2,
        "retrieval.query: first, after the opening event": 250,
        "prompt.received: records": 1,
        "pii: score": 0.5,
        "policy.decision: records": 1,
    }


def test_what_is_no_number_is_not_compared(facts: Make) -> None:
    events = [{"layer": "policy", "kind": "policy.decision", "request": "r1", "score": float("nan")}]
    assert measured(facts(*events))["measure"].to_list() == ["policy.decision: records"]


def test_two_cases_are_compared_number_by_number(facts: Make) -> None:
    here = facts(*(one for n in range(30) for one in turn(f"r{n}", 10 * n, input_tokens=900 + n, served_model="b")))
    there = facts(*(one for n in range(30) for one in turn(f"r{n}", 10 * n, input_tokens=100 + n, served_model="a")))
    found = comparison(here, there)
    (row,) = found.measures.filter("shown").to_dicts()
    assert (row["measure"], row["affected_median"], row["baseline_median"]) == (
        "model.call: input tokens",
        914.5,
        114.5,
    )
    assert set(found.values.filter("shown")["dimension"]) == {"served model"}


def test_a_case_without_requests_is_compared_too(facts: Make) -> None:
    some = facts(*({"layer": "model", "kind": "model.call", "request": f"r{n}", "at": n} for n in range(6)))
    for here, there in ((some, facts()), (facts(), some), (facts(), facts())):
        found = comparison(here, there)
        assert (found.here, found.there) == (here.total, there.total)
        assert found.measures.is_empty()
        assert found.variants["here"].sum() == here.total
        assert found.variants["there"].sum() == there.total


def test_an_examination_measures_its_affected_set(facts: Make) -> None:
    rows = [one for n in range(40) for one in turn(f"r{n:02}", 10 * n, input_tokens=900 + n if n < 10 else 100 + n)]
    chosen = Affected(
        pl.Series([f"r{n:02}" for n in range(10)]), pl.Series([f"r{n:02}" for n in range(10, 40)]), ("made up",)
    )
    found = examine(facts(*rows, affected=chosen), [])
    assert found.measures.filter("shown")["measure"].to_list() == ["model.call: input tokens"]
    assert examine(facts(*rows), []).measures.is_empty()
