from __future__ import annotations

import math
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from htga.telemetry.sliding_variance import SlidingVariance


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30), st.integers(2, 10))
def test_the_variance_is_that_of_the_last_values(values: list[float], size: int) -> None:
    window = SlidingVariance(size)
    for end, value in enumerate(values, start=1):
        got = window.push(value)
        inside = values[max(0, end - size) : end]
        if len(inside) < 2:
            assert got is None
        else:
            expected = statistics.variance(inside)
            assert got == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_a_hundred_steps_are_the_window_and_numpy_agrees_exactly() -> None:
    values = np.random.default_rng(0).lognormal(size=1000)
    window = SlidingVariance()
    got = [window.push(float(value)) for value in values]
    assert got[-1] == pytest.approx(np.var(values[-100:], ddof=1), rel=1e-13)


def test_no_rounding_error_is_left_behind_by_a_huge_value() -> None:
    window = SlidingVariance(3)
    for value in (1e12, 1.0, 2.0, 3.0):
        got = window.push(value)
    assert got == 1.0


@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf])
def test_a_non_finite_value_makes_it_nan_until_it_has_left(odd: float) -> None:
    window = SlidingVariance(3)
    got = [window.push(value) for value in (1.0, odd, 2.0, 3.0, 4.0)]
    assert got[0] is None
    assert all(math.isnan(value or 0) for value in got[1:4])
    assert got[4] == 1.0
