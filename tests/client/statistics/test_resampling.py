import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from htga_client.statistics import resampling
from htga_client.statistics.resampling import bootstrap_interval, sign_flip_p


def test_of_five_differences_of_one_sign_two_of_32_choices_are_as_far() -> None:
    assert sign_flip_p([0.1, 0.2, 0.3, 0.4, 0.5]) == 2 / 32


@given(st.lists(st.integers(-8, 8), min_size=2, max_size=9))
def test_a_sign_flip_p_value_is_that_of_scipys_permutation_test(values: list[int]) -> None:
    expected = stats.permutation_test(
        (values,), np.mean, permutation_type="samples", vectorized=False, n_resamples=np.inf
    )
    assert sign_flip_p(values) == pytest.approx(expected.pvalue, abs=1e-12)


def test_random_signs_come_near_to_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    values = list(np.random.default_rng(0).normal(0.5, 1, size=12))
    exact = sign_flip_p(values)
    monkeypatch.setattr(resampling, "MAX_EXACT", 5)
    assert sign_flip_p(values) == pytest.approx(exact, abs=0.015)
    assert sign_flip_p(values, seed=1) != sign_flip_p(values)


def test_a_bootstrap_interval_is_that_of_scipy() -> None:
    values = np.random.default_rng(1).exponential(size=16)
    expected = stats.bootstrap((values,), np.mean, method="percentile", random_state=2)
    found = bootstrap_interval(list(values))
    assert found == pytest.approx(tuple(expected.confidence_interval), rel=0.03)
    assert bootstrap_interval([2.0, 2.0]) == (2, 2)
    low, high = bootstrap_interval(list(values), level=0.5)
    assert found[0] < low < high < found[1]


@pytest.mark.parametrize("values", [[], [1.0, float("nan")]])
def test_what_is_no_number_is_refused(values: list[float]) -> None:
    with pytest.raises(ValueError, match="values must be at least one finite number, got"):
        sign_flip_p(values)
    with pytest.raises(ValueError, match="values must be at least one finite number, got"):
        bootstrap_interval(values)
