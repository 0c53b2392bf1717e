"""The chance that so many votes for an offset fall together is that of Poisson's distribution."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st
from scipy.stats import poisson

from strataline.correlate.peaks import _by_chance


@given(st.integers(1, 2000), st.floats(1e-3, 2000))
def test_the_chance_of_a_pile_is_the_tail(size: int, expected: float) -> None:
    tail = poisson.sf(size - 1, expected)
    if size <= expected:
        assert _by_chance(size, expected) == 1.0
        assert tail > 0.5
    else:
        assert _by_chance(size, expected) == pytest.approx(tail, rel=1e-9, abs=1e-280)
