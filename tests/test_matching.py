"""The marginals of the matching are those of all ways to match, counted one by one."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, ValuesView

import numpy as np
import pytest
from hypothesis import example, given, settings, strategies as st

from strataline.correlate import matching
from strataline.correlate.matching import MOST_STATES, NEGLIGIBLE, marginals, passed

Candidate = tuple[int, int, float]
"""event, place, odds"""

NEAR = 5 * NEGLIGIBLE[0]
"""Candidates that are less likely than that take part in no walk: it costs the others, and the sum of all, no more."""

odds = st.floats(1e-3, 1e3) | st.sampled_from((0.0, 1e-9, 1.0, 1e6, 1e12))


@st.composite
def groups(draw: st.DrawFn, events: int = 5, places: int = 5) -> list[Candidate]:
    pairs = st.tuples(st.integers(0, events - 1), st.integers(0, places - 1))
    chosen = sorted(draw(st.sets(pairs, min_size=1, max_size=12)))
    # Events are numbered without gaps.
    number = {event: n for n, event in enumerate(dict.fromkeys(event for event, _ in chosen))}
    return [(number[event], place, draw(odds)) for event, place in chosen]


def found(group: Iterable[Candidate], *, exact: bool = True) -> np.ndarray:
    event, place, weight = (np.array(column) for column in zip(*group, strict=True))
    given = (event, place, weight.astype(np.float64))
    return marginals(*given) if exact else passed(*given)


def counted(group: list[Candidate]) -> np.ndarray:
    """By way of every assignment; weights are scaled, as the products of odds may be large."""
    largest = max(1.0, *(weight for *_, weight in group))
    of: dict[int, list[int]] = {}
    for number, (event, _, _) in enumerate(group):
        of.setdefault(event, []).append(number)
    total, chance = 0.0, np.zeros(len(group))
    for way in itertools.product(*([None, *numbers] for numbers in of.values())):
        taken = [number for number in way if number is not None]
        places = [group[number][1] for number in taken]
        if len(set(places)) < len(places):
            continue
        weight = 1.0
        for choice in way:
            weight *= (1.0 if choice is None else group[choice][2]) / largest
        total += weight
        chance[taken] += weight
    return chance / total


def per_event(group: list[Candidate], chance: np.ndarray) -> np.ndarray:
    return np.bincount([event for event, *_ in group], chance)


@pytest.mark.slow
@settings(deadline=None, max_examples=300)
@given(groups())
@example([(0, 0, 0.0)])
@example([(0, 0, 0.0), (1, 0, 1e12), (1, 1, 1.0)])
def test_it_is_exact(group: list[Candidate]) -> None:
    np.testing.assert_allclose(found(group), counted(group), atol=NEAR)


@settings(deadline=None)
@given(groups(), st.booleans())
def test_they_are_probabilities(group: list[Candidate], exact: bool) -> None:
    chance = found(group, exact=exact)
    assert np.isfinite(chance).all()
    assert chance.min() >= 0
    assert per_event(group, chance).max() <= 1 + NEAR


@settings(deadline=None)
@given(groups())
def test_a_place_is_not_promised_twice(group: list[Candidate]) -> None:
    assert np.bincount([place for _, place, _ in group], found(group)).max() <= 1 + NEAR


@settings(deadline=None)
@given(groups(), st.lists(st.integers(1, 4), min_size=5, max_size=5))
def test_only_the_order_of_numbers_counts(group: list[Candidate], gaps: list[int]) -> None:
    place = np.cumsum(gaps)
    moved = [(event, int(place[number]), weight) for event, number, weight in group]
    np.testing.assert_allclose(found(moved), found(group), rtol=1e-9, atol=1e-12)


@settings(deadline=None)
@given(groups(), groups())
def test_groups_that_share_no_place_do_not_touch_each_other(one: list[Candidate], other: list[Candidate]) -> None:
    events = 1 + max(event for event, *_ in one)
    both = one + [(event + events, place + 5, weight) for event, place, weight in other]
    # Message passing stops when all groups are done, so that a group may get a round more.
    apart = np.concatenate([found(one), found(other)])
    np.testing.assert_allclose(found(both), apart, atol=1e-3)


def test_none_is_none() -> None:
    empty = np.zeros(0, np.int64)
    assert marginals(empty, empty, np.zeros(0)).tolist() == []


@pytest.mark.parametrize("weight", [1e6, 1e12, np.exp(60), 1e30])
def test_two_events_that_want_one_place_share_it(weight: float) -> None:
    assert found([(0, 0, weight), (1, 0, weight)]) == pytest.approx([0.5, 0.5], abs=1e-4)


def test_a_chain_of_displaced_events_is_seen_through() -> None:
    # The first can only have the first place, so the second must take the second, and so on.
    group = [(0, 0, 1e9), *((n, place, 1e9) for n in range(1, 9) for place in (n - 1, n))]
    assert found(group)[[0, *range(2, 17, 2)]] == pytest.approx([1.0] * 9, abs=1e-3)


@pytest.mark.parametrize(("events", "degree"), [(60, 40), (300, 12), (40, 64), (2000, 5)])
def test_wide_groups_do_not_blow_up(events: int, degree: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ways that a walk remembers are added up at every event: what is added up is counted, not seconds."""
    ways: list[int] = []

    def counting(values: Iterable[float]) -> float:
        every = list(values)
        if isinstance(values, ValuesView):
            ways.append(len(every))
        return sum(every)

    monkeypatch.setattr(matching, "sum", counting, raising=False)
    draw = np.random.default_rng(events)
    group = [(n, n + k, float(weight)) for n in range(events) for k, weight in enumerate(draw.gamma(1, 1, degree))]
    chance = found(group)
    assert per_event(group, chance).max() <= 1 + NEAR
    assert max(ways, default=0) <= MOST_STATES * (degree + 1)
    assert sum(ways) <= len(NEGLIGIBLE) * events * MOST_STATES * 2


def test_wide_groups_are_nearly_right() -> None:
    """Sixteen events in a row that each want three places at hand: message passing is told from the walk."""
    draw = np.random.default_rng(1)
    group = [(n, n + k, float(weight)) for n in range(16) for k, weight in enumerate(draw.gamma(1, 3, 3))]
    assert found(group, exact=False) == pytest.approx(found(group), abs=0.1)
