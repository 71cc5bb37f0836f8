from typing import Any, Literal

import pytest
import torch
from scipy import stats

from htga.tail import confidence_interval, hill
from tests.htga.distributions import pareto


@pytest.mark.parametrize("method", ["normal", "exact"])
@pytest.mark.parametrize("k", [50, 200])
def test_the_interval_covers_the_index_as_often_as_it_says(
    method: Literal["normal", "exact"], k: int
) -> None:
    covered = 0
    for seed in range(400):
        lower, upper = confidence_interval(hill(pareto(1.5, 4000, seed), k), method=method)
        covered += bool(lower < 1.5 < upper)
    assert 0.92 <= covered / 400 <= 0.975


@pytest.mark.parametrize("k", [10, 50, 1000])
@pytest.mark.parametrize("level", [0.5, 0.95, 0.99])
def test_the_exact_interval_is_that_of_the_chi_square_law(k: int, level: float) -> None:
    estimate = hill(pareto(1.5, 4000), k)
    lower, upper = confidence_interval(estimate, level=level, method="exact")
    alpha = float(estimate.alpha)
    for bound, p in ((lower, (1 - level) / 2), (upper, (1 + level) / 2)):
        assert float(bound) == pytest.approx(alpha * stats.chi2.ppf(p, 2 * k) / (2 * k), rel=1e-9)


def test_without_an_estimate_there_is_no_interval() -> None:
    lower, upper = confidence_interval(hill(torch.zeros(1000), 50))
    assert lower.isnan()
    assert upper.isnan()


@pytest.mark.parametrize(("name", "value"), [("level", 95.0), ("level", 0.0), ("method", "t")])
def test_senseless_arguments_are_refused_by_name_and_value(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"{name} must be .* got {value!r}"):
        confidence_interval(hill(pareto(1.5, 1000), 50), **{name: value})
