"""The delays between the steps of requests are those that one would count by hand."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings, strategies as st

from strataline.correlate import delays as module
from strataline.correlate.delays import Density, delays, density
from strataline.correlate.window import _near

Ends = list[tuple[int, int, int]]
"""request, mark, when"""

ends = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 5), st.integers(-9, 9)), min_size=1, max_size=40)


def by_hand(rows: Ends, wanted: set[int], least: float) -> dict[tuple[int, int], tuple[list[int], float, float]]:
    times: dict[int, dict[int, list[int]]] = {}
    for request, mark, when in sorted(rows):
        times.setdefault(request, {}).setdefault(mark, []).append(when)
    found = {}
    for mark in wanted:
        mine = [of for of in times.values() if mark in of]
        for anchor in {one for of in mine for one in of if one // 2 != mark // 2}:
            both = [of for of in mine if anchor in of]
            pairs = [
                late - early
                for of in both
                if len(of[mark]) == len(of[anchor])
                for late, early in zip(of[mark], of[anchor], strict=True)
            ]
            over = sum(len(of[mark]) > len(of[anchor]) for of in both) / len(both)
            if len(pairs) >= module.LEARNED and len(both) >= least * len(mine):
                found[mark, anchor] = sorted(pairs), over, len(both) / len(mine)
    return found


@settings(deadline=None)
@given(ends, st.sets(st.integers(0, 6)), st.sampled_from((0.0, 0.5, 1.0)), st.integers(1, 4))
def test_they_are_those_that_one_would_count(rows: Ends, wanted: set[int], least: float, learned: int) -> None:
    columns = ["request", "mark", "when"]
    table = pl.DataFrame(rows, schema=dict.fromkeys(columns, pl.Int64), orient="row").with_row_index("n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "LEARNED", learned)
        told = [
            ((mark, anchor), (sorted(some.tolist()), over, both))
            for mark, anchor, some, over, both in delays(table, wanted, least)
        ]
        assert dict(told) == by_hand(rows, wanted, least)
    assert [pair for pair, _ in told] == sorted(pair for pair, _ in told)


@given(st.lists(st.integers(-(10**12), 10**12), min_size=30, max_size=200))
def test_a_density_adds_up_to_one_and_ends(observed: list[int]) -> None:
    shape = density(np.array(observed))
    assert np.exp(shape.log) @ np.diff(shape.edges) == pytest.approx(1)
    beyond = np.array([shape.edges[0] - 1e6, shape.edges[-1], shape.edges[-1] + 1e6])
    assert shape.at(beyond).tolist() == [-np.inf] * 3
    assert np.isfinite(shape.at(np.array(observed))).all()
    assert (shape.at(shape.edges[:-1]) == shape.log).all()


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 50)), max_size=20),
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 50)), max_size=20),
    st.integers(-10, 10),
    st.integers(0, 10),
)
def test_what_is_near_is_what_one_would_find(
    events: list[tuple[int, int]], places: list[tuple[int, int]], low: int, width: int
) -> None:
    places = sorted(places, key=lambda place: place[1])
    shape = Density(np.array([low, low + width]), np.zeros(1), 0.0, 1.0)
    key, when = (np.array([event[side] for event in events], np.int64) for side in (0, 1))
    theirs, at = (np.array([place[side] for place in places], np.int64) for side in (0, 1))
    found = zip(*(rows.tolist() for rows in _near(key, when, theirs, at, shape)), strict=True)
    assert sorted(found) == [
        (event, place)
        for event, (mine, time) in enumerate(events)
        for place, (other, then) in enumerate(places)
        if mine == other and low <= time - then <= low + width
    ]
