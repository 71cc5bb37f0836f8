import pytest
import torch
from torch import Tensor

from htga.tail import TailStatus, pickands
from tests.htga.distributions import gaussian, pareto, pareto_grid, stable, student_t, uniform

GOLDEN = [
    (pareto_grid(1.5, 10_000), 500, 0.6702363745859455, 1e-12),
    (pareto_grid(1.5, 10_000), 1000, 0.6684493331329617, 1e-12),
    (pareto(1.5, 10_000), 100, 0.8135620153, 1e-9),
    (pareto(1.5, 10_000), 500, 0.5028207727, 1e-9),
    (pareto(1.5, 10_000), 1000, 0.5903019925, 1e-9),
    (student_t(1.5, 10_000), 500, 0.9926135659, 1e-9),
    (student_t(1.5, 10_000), 1000, 0.4152999615, 1e-9),
    (stable(1.5, 10_000), 500, 0.7299241384, 1e-9),
    (stable(1.5, 10_000), 1000, 0.6839290390, 1e-9),
]


@pytest.mark.parametrize(("x", "k", "xi", "tolerance"), GOLDEN)
def test_pickands_gives_the_golden_values(x: Tensor, k: int, xi: float, tolerance: float) -> None:
    estimate = pickands(x, k)
    assert float(estimate.xi) == pytest.approx(xi, rel=tolerance)
    assert float(estimate.alpha) == pytest.approx(1 / xi, rel=tolerance)
    assert int(estimate.k) == k


def test_pickands_ignores_a_shift_of_the_magnitudes() -> None:
    x = pareto(1.5, 10_000)
    assert float(pickands(x + 1000, 400).xi) == pytest.approx(float(pickands(x, 400).xi), rel=1e-9)


def test_bounded_and_exponential_tails_are_told_from_heavy_ones() -> None:
    bounded = pickands(uniform(100_000), 8000)
    assert bounded.status == TailStatus.LIGHT
    assert bounded.alpha.isposinf()
    assert float(bounded.xi) == pytest.approx(-1, abs=0.2)
    assert float(pickands(gaussian(1_000_000), 40_000).xi) == pytest.approx(0, abs=0.2)


def test_the_standard_error_is_that_of_repeated_samples() -> None:
    estimates = [pickands(pareto(1.5, 20_000, seed), 2000) for seed in range(200)]
    spread = torch.stack([estimate.alpha for estimate in estimates]).std()
    claimed = torch.stack([estimate.stderr for estimate in estimates]).median()
    assert float(spread) == pytest.approx(float(claimed), rel=0.25)


@pytest.mark.parametrize("tied", [slice(0, 60), slice(20, 100)])
def test_ties_among_the_three_order_statistics_are_degenerate(tied: slice) -> None:
    x = pareto_grid(1.5, 1000)
    x[tied] = 30.0
    estimate = pickands(x.sort(descending=True).values, 100)
    assert estimate.status == TailStatus.DEGENERATE
    assert estimate.xi.isnan()
    assert estimate.alpha.isnan()
