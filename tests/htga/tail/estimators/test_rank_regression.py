import pytest
import torch
from scipy import stats
from torch import Tensor

from htga.tail import TailStatus, rank_regression
from tests.htga.distributions import pareto, pareto_grid, stable, student_t

GOLDEN = [
    (pareto(1.5, 10_000), 100, 1.6760079015),
    (pareto(1.5, 10_000), 500, 1.6755819583),
    (pareto(1.5, 10_000), 1000, 1.6137374515),
    (student_t(1.5, 10_000), 500, 1.4640537918),
    (student_t(1.5, 10_000), 1000, 1.4748717385),
    (stable(1.5, 10_000), 500, 1.5727439911),
    (stable(1.5, 10_000), 1000, 1.6290218167),
]


@pytest.mark.parametrize(("x", "k", "alpha"), GOLDEN)
def test_rank_regression_gives_the_golden_values(x: Tensor, k: int, alpha: float) -> None:
    assert float(rank_regression(x, k).alpha) == pytest.approx(alpha, rel=1e-9)


@pytest.mark.parametrize("k", [10, 77, 500, 9999])
def test_rank_regression_is_exact_on_pareto_quantiles(k: int) -> None:
    assert float(rank_regression(pareto_grid(1.5, 10_000), k).alpha) == pytest.approx(
        1.5, rel=1e-12
    )


def test_the_line_is_that_of_scipy() -> None:
    x = student_t(2.0, 5000)
    largest = x.abs().sort(descending=True).values[:300].log()
    line = stats.linregress(largest.numpy(), (torch.arange(300) + 0.5).log().numpy())
    assert float(rank_regression(x, 300).alpha) == pytest.approx(-line.slope, rel=1e-6)


def test_the_standard_error_is_that_of_repeated_samples() -> None:
    estimates = [rank_regression(pareto(1.5, 5000, seed), 400) for seed in range(300)]
    spread = torch.stack([estimate.alpha for estimate in estimates]).std()
    claimed = torch.stack([estimate.stderr for estimate in estimates]).mean()
    assert float(spread) == pytest.approx(float(claimed), rel=0.15)


def test_equal_magnitudes_are_degenerate() -> None:
    estimate = rank_regression(torch.ones(100), 20)
    assert estimate.status == TailStatus.DEGENERATE
    assert estimate.alpha.isnan()
