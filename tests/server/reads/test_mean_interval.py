from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from htga_server.reads.mean_interval import mean_interval

VALUES = st.floats(-1e6, 1e6) | st.sampled_from([math.nan, math.inf, -math.inf])


@given(st.lists(VALUES, min_size=1, max_size=8))
def test_the_finite_values_of_a_place_have_the_mean_and_the_interval_of_scipy(
    values: list[float],
) -> None:
    found = mean_interval(np.array(values)[:, None])
    there = [value for value in values if math.isfinite(value)]
    assert found.n.tolist() == [len(there)]
    if there:
        assert found.mean[0] == pytest.approx(np.mean(there), abs=1e-6)
    if len(there) < 2:
        assert (found.sd[0], found.half[0]) == (0.0, 0.0)
        return
    assert found.sd[0] == pytest.approx(np.std(there, ddof=1), abs=1e-6)
    half = stats.t.ppf(0.975, len(there) - 1) * stats.sem(there)
    assert found.half[0] == pytest.approx(half, rel=1e-4, abs=1e-6)


def test_places_do_not_mix() -> None:
    found = mean_interval(np.array([[1.0, math.nan, 5.0], [3.0, 4.0, math.inf]]))
    assert found.n.tolist() == [2, 1, 1]
    assert found.mean.tolist() == [2.0, 4.0, 5.0]
    assert found.sd.tolist() == [math.sqrt(2), 0.0, 0.0]
