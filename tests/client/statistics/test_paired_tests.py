from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from htga_client.statistics.paired_tests import holm, interval, p_value


@pytest.mark.parametrize("degrees", [1, 2, 3, 4, 5, 10, 31])
@pytest.mark.parametrize("t", [0.0, 0.3, -1.7, 4.2, 30.0])
def test_a_p_value_is_that_of_students_t(t: float, degrees: int) -> None:
    assert p_value(t, degrees) == pytest.approx(2 * stats.t.sf(abs(t), degrees), abs=1e-12)


def test_an_interval_is_that_of_students_t() -> None:
    found = interval([1.0, 2.0, 4.0])
    assert found is not None
    assert found.half is not None
    low, high = stats.t.interval(0.95, 2, loc=7 / 3, scale=stats.sem([1.0, 2.0, 4.0]))
    assert found.mean == pytest.approx(7 / 3)
    assert found.n == 3
    assert found.half == pytest.approx((high - low) / 2, rel=1e-4)
    assert found.p == pytest.approx(stats.ttest_1samp([1.0, 2.0, 4.0], 0).pvalue)


def test_one_value_has_no_interval_and_none_has_no_mean() -> None:
    assert interval([]) is None
    found = interval([3.0])
    assert found is not None
    assert (found.mean, found.half, found.p) == (3.0, None, None)


@pytest.mark.parametrize(("value", "p"), [(2.0, 0.0), (0.0, 1.0)])
def test_equal_values_are_sure(value: float, p: float) -> None:
    found = interval([value, value])
    assert found is not None
    assert (found.half, found.p) == (0.0, p)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_raises_as_the_procedure_says(ps: list[float]) -> None:
    order = sorted(range(len(ps)), key=ps.__getitem__)
    expected = [0.0] * len(ps)
    most = 0.0
    for rank, place in enumerate(order):
        most = max(most, min(1.0, (len(ps) - rank) * ps[place]))
        expected[place] = most
    *raised, nothing = holm([*ps, None])
    assert nothing is None
    assert raised == pytest.approx(expected)
