"""Contrasts: the test is exact, differences are found, and chance shows nothing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.stats import false_discovery_control, fisher_exact

from strataline.case import Case
from strataline.event import CONTRASTS
from strataline.examine.contrast import benjamini_hochberg, compare, fisher


def test_fisher_is_scipys() -> None:
    random = np.random.default_rng(7)
    n1, n0 = random.integers(1, 60, 600), random.integers(1, 400, 600)
    a, b = random.integers(0, n1 + 1), random.integers(0, n0 + 1)
    large = [[310, 1000, 31100, 100_000], [400, 1000, 31100, 100_000], [0, 5, 90_000, 99_999], [5, 5, 0, 5]]
    tables = np.concatenate([np.stack([a, n1, b, n0], axis=1), np.array(large)])
    expected = [fisher_exact([[a, n1 - a], [b, n0 - b]]).pvalue for a, n1, b, n0 in tables]
    assert fisher(*tables.T) == pytest.approx(expected, rel=1e-7)


def test_benjamini_hochberg_is_scipys() -> None:
    p = np.random.default_rng(7).random(99) ** 3
    assert benjamini_hochberg(p) == pytest.approx(false_discovery_control(p))


def frame(*parts: tuple[str, str, range]) -> pl.DataFrame:
    """Values as (dimension, value, numbers of the requests that have it)."""
    rows = [(f"r{n}", dimension, value) for dimension, value, numbers in parts for n in numbers]
    return pl.DataFrame(rows, schema=["request", "dimension", "value"], orient="row")


def requests(numbers: range) -> pl.Series:
    return pl.Series([f"r{n}" for n in numbers], dtype=pl.String)


AFFECTED, BASELINE = requests(range(20)), requests(range(20, 120))


def test_a_difference_is_shown_with_its_numbers() -> None:
    values = frame(
        ("template", "8", range(20)),
        ("template", "7", range(20, 120)),
        ("index", "12", range(20)),
        ("index", "14", range(20, 120)),
        ("client", "a", range(0, 120, 2)),
        ("client", "b", range(1, 120, 2)),
        ("constant", "x", range(120)),
        ("rare", "y", range(2)),
    )
    found = compare(pl.concat([values, values]), AFFECTED, BASELINE)
    assert found.schema == CONTRASTS.schema
    assert set(found["dimension"]) == {"template", "index", "client"}
    shown = found.filter("shown")
    assert sorted(shown.select("dimension", "value").rows()) == [
        ("index", "12"),
        ("index", "14"),
        ("template", "7"),
        ("template", "8"),
    ]
    row = shown.row(by_predicate=pl.col("value") == "8", named=True)
    numbers = [row[name] for name in ("affected_with", "affected_total", "baseline_with", "baseline_total")]
    assert numbers == [20, 20, 0, 100]
    assert (row["difference"], row["separates"], row["small"]) == (100.0, True, False)
    assert row["ratio"] == pytest.approx(201, abs=0.01)
    assert row["p"] == pytest.approx(fisher_exact([[20, 0], [0, 100]]).pvalue, rel=1e-5)
    group = dict(shown.select("value", "group").rows())
    assert group["8"] == group["12"] != group["7"] == group["14"]
    client = found.filter(pl.col("dimension") == "client")
    assert not client["shown"].any()
    assert client["group"].to_list() == [None, None]


def test_few_requests() -> None:
    def separator(affected: int, baseline: int) -> pl.DataFrame:
        values = frame(("index", "12", range(affected)), ("index", "14", range(affected, affected + baseline)))
        return compare(values, requests(range(affected)), requests(range(affected, affected + baseline)))

    assert separator(1, 3).filter("shown").is_empty()
    assert separator(1, 5000).filter("shown").is_empty()
    few = separator(3, 100)
    assert few["shown"].all()
    assert few["small"].all()
    assert separator(5, 6)["shown"].all()
    half = frame(("index", "12", range(5)), ("index", "14", range(5, 104)))
    assert not compare(half, requests(range(4)), requests(range(4, 104)))["shown"].any()


def test_unknown_is_not_without() -> None:
    values = frame(("client", "a", range(8)), ("client", "b", range(8, 10)), ("client", "a", range(20, 30)))
    row = compare(values, AFFECTED, BASELINE).row(0, named=True)
    assert (row["affected_total"], row["baseline_total"]) == (10, 10)
    assert compare(values, AFFECTED, requests(range(50, 60))).is_empty()
    assert compare(values.clear(), AFFECTED, BASELINE).is_empty()


def test_sign_by_route() -> None:
    in_a = {*range(15), *range(20, 40)}
    routes = pl.DataFrame(
        [(f"r{n}", "a" if n in in_a else "b") for n in range(120)], ["request", "route"], orient="row"
    )

    def hit(*numbers: range) -> dict[str, object]:
        values = frame(*(("cache", "hit", part) for part in numbers), ("cache", "other", range(120)))
        found = compare(values, AFFECTED, BASELINE, routes=routes)
        return found.row(by_predicate=pl.col("value") == "hit", named=True)

    # Of route a 12 of 15 against 20 of 20, of route b none against 4 of 80: together 60 % against 24 %.
    flipped = hit(range(12), range(20, 44))
    assert (flipped["difference"], flipped["flips"]) == (36.0, True)
    assert hit(range(20), range(20, 30))["flips"] is False
    routes = routes.with_columns(route=pl.lit("a"))
    assert hit(range(20), range(20, 30))["flips"] is None


def test_order_of_rows_does_not_matter() -> None:
    values = frame(("template", "8", range(20)), ("template", "7", range(15, 120)), ("client", "a", range(0, 120, 2)))
    expected = compare(values, AFFECTED, BASELINE)
    assert compare(values.sample(fraction=1, shuffle=True, seed=3), AFFECTED, BASELINE[::-1]).equals(expected)


def test_chance_shows_nothing() -> None:
    draw = np.random.default_rng(4)
    names = [f"r{n}" for n in range(400)]
    values = pl.concat(
        pl.DataFrame({"request": names, "dimension": f"d{d}", "value": draw.choice(k, 400, p=p).astype(str)})
        for d in range(30)
        for k in [int(draw.integers(2, 9))]
        for p in [draw.dirichlet(np.full(k, 0.5))]
    )
    shown = 0
    for size in draw.integers(3, 200, 60):
        order = pl.Series(draw.permutation(names))
        shown += compare(values, order[:size], order[size:])["shown"].any()
    assert shown <= 4


def test_the_count_of_random_splits_that_show_anything_runs_on_a_case(
    incident: Callable[..., Case], tmp_path: Path
) -> None:
    incident(zoned=True).write(tmp_path / "CASE")
    script = Path(__file__).parent.parent / "benchmarks" / "null_contrasts.py"
    command = [sys.executable, str(script), str(tmp_path / "CASE"), "--runs", "3"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert " of 3 random splits show a contrast or a measure" in done.stdout
