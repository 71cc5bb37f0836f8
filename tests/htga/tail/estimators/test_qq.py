import pytest
import torch
from torch import Tensor

from htga.tail import TailStatus, qq
from tests.htga.distributions import pareto, pareto_grid, stable, student_t

GOLDEN = [
    (pareto_grid(1.5, 10_000), 500, 1.4706903030614231, 1e-12),
    (pareto_grid(1.5, 10_000), 1000, 1.4819990054714505, 1e-12),
    (pareto(1.5, 10_000), 100, 1.6079002827, 1e-9),
    (pareto(1.5, 10_000), 500, 1.6482594963, 1e-9),
    (pareto(1.5, 10_000), 1000, 1.5987906332, 1e-9),
    (student_t(1.5, 10_000), 500, 1.4418514450, 1e-9),
    (student_t(1.5, 10_000), 1000, 1.4606585411, 1e-9),
    (stable(1.5, 10_000), 500, 1.5456790791, 1e-9),
    (stable(1.5, 10_000), 1000, 1.6143192585, 1e-9),
]


@pytest.mark.parametrize(("x", "k", "alpha", "tolerance"), GOLDEN)
def test_qq_gives_the_golden_values(x: Tensor, k: int, alpha: float, tolerance: float) -> None:
    assert float(qq(x, k).alpha) == pytest.approx(alpha, rel=tolerance)


def test_the_standard_error_is_that_of_repeated_samples() -> None:
    estimates = [qq(pareto(1.5, 5000, seed), 400) for seed in range(300)]
    spread = torch.stack([estimate.alpha for estimate in estimates]).std()
    claimed = torch.stack([estimate.stderr for estimate in estimates]).mean()
    assert float(spread) == pytest.approx(float(claimed), rel=0.15)


def test_equal_magnitudes_are_degenerate() -> None:
    estimate = qq(torch.ones(100), 20)
    assert estimate.status == TailStatus.DEGENERATE
    assert estimate.alpha.isnan()
