from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from htga_server.buckets import reduce, starts


@given(
    steps=st.sets(st.integers(0, 2**40), min_size=1, max_size=200),
    buckets=st.integers(1, 50),
)
def test_buckets_cover_all_rows_in_order_and_are_few_enough(steps: set[int], buckets: int) -> None:
    step = np.array(sorted(steps), np.int64)
    first = starts(step, buckets)
    assert first[0] == 0
    assert (np.diff(first) > 0).all()
    assert first.size <= max(buckets, 1)


@given(
    values=hnp.arrays(np.float64, st.integers(1, 100), elements=st.floats(-1e6, 1e6)),
    buckets=st.integers(1, 20),
)
def test_minimum_and_maximum_of_all_values_survive_any_reduction(
    values: np.ndarray, buckets: int
) -> None:
    mean, low, high, last = reduce(values, starts(np.arange(values.size), buckets))
    assert (low.min(), high.max(), last[-1]) == (values.min(), values.max(), values[-1])
    assert ((low <= mean + 1e-6) & (mean <= high + 1e-6)).all()


def test_a_spike_of_one_step_in_a_million_is_in_the_maximum() -> None:
    values = np.ones(1_000_000)
    values[123_456] = 250.0
    mean, _, high, _ = reduce(values, starts(np.arange(values.size), 1200))
    assert high.max() == 250.0
    assert mean.max() == pytest.approx(1 + 249 / 834)


def test_one_nan_makes_its_bucket_s_mean_nan_and_leaves_the_range() -> None:
    values = np.array([1.0, np.nan, 3.0, 4.0, np.nan, np.nan])
    mean, low, high, last = reduce(values, np.array([0, 4]))
    np.testing.assert_array_equal(mean, [np.nan, np.nan])
    np.testing.assert_array_equal(low, [1.0, np.nan])
    np.testing.assert_array_equal(high, [4.0, np.nan])
    np.testing.assert_array_equal(last, [4.0, np.nan])
