import pytest
import torch
from torch import Tensor

from htga.tail import TailStatus, moment
from tests.htga.distributions import pareto, pareto_grid, stable, student_t, uniform

GOLDEN = [
    (pareto_grid(1.5, 10_000), 500, 0.6613790660521395),
    (pareto_grid(1.5, 10_000), 1000, 0.6637942080703483),
    (pareto(1.5, 10_000), 100, 0.5726739315),
    (pareto(1.5, 10_000), 500, 0.5703936096),
    (pareto(1.5, 10_000), 1000, 0.5868148699),
    (student_t(1.5, 10_000), 500, 0.6858239391),
    (student_t(1.5, 10_000), 1000, 0.6681404871),
    (stable(1.5, 10_000), 500, 0.6455174758),
    (stable(1.5, 10_000), 1000, 0.6318694002),
]


@pytest.mark.parametrize(("x", "k", "xi"), GOLDEN)
def test_moment_gives_the_golden_values(x: Tensor, k: int, xi: float) -> None:
    estimate = moment(x, k)
    assert float(estimate.xi) == pytest.approx(xi, rel=1e-9)
    assert float(estimate.alpha) == pytest.approx(1 / xi, rel=1e-9)


def test_moment_ignores_scale_order_and_sign() -> None:
    x = student_t(1.5, 5000)
    assert torch.equal(moment(-8 * x.flip(0), 200).xi, moment(x, 200).xi)


def test_a_bounded_law_is_called_light() -> None:
    estimate = moment(uniform(100_000), 1000)
    assert estimate.status == TailStatus.LIGHT
    assert float(estimate.xi) == pytest.approx(-1, abs=0.2)
    assert estimate.alpha.isposinf()


def test_the_standard_error_is_that_of_repeated_samples() -> None:
    estimates = [moment(pareto(1.5, 20_000, seed), 1000) for seed in range(200)]
    spread = torch.stack([estimate.alpha for estimate in estimates]).std()
    claimed = torch.stack([estimate.stderr for estimate in estimates]).mean()
    assert float(spread) == pytest.approx(float(claimed), rel=0.2)


@pytest.mark.parametrize("k", [10, 11, 26, 31, 40])
@pytest.mark.parametrize("value", [1.0, 1.1, 3.3])
def test_a_tail_without_spread_is_degenerate_whatever_its_rounding(value: float, k: int) -> None:
    top = torch.full((k,), value, dtype=torch.float64)
    estimate = moment([top, torch.ones(100)], k)
    assert estimate.status == TailStatus.DEGENERATE
    assert estimate.xi.isnan()
