import pytest
import torch
from scipy import stats
from torch import Tensor

from htga.tail import LogHistogram
from tests.htga.distributions import gaussian, stable, student_t

TOP = 1024


def ranks(x: Tensor) -> Tensor:
    """Rank 1 for the largest magnitude, ties averaged."""
    return torch.from_numpy(stats.rankdata(-x.abs().numpy()))


@pytest.mark.parametrize("n", [10_000, 100_000, 1_000_000])
@pytest.mark.parametrize(
    ("law", "tolerance"),
    [(lambda n: student_t(1.5, n), 0.02), (lambda n: stable(1.5, n), 0.02), (gaussian, 0.03)],
    ids=["t", "stable", "gaussian"],
)
def test_weights_by_interpolated_ranks_are_near_those_by_sorting(
    law: object, tolerance: float, n: int
) -> None:
    x = law(n).float()  # type: ignore[operator] # each takes n
    top = x.abs().topk(TOP).values
    weight = LogHistogram().update(x).ranks(x, top).pow(-0.5)
    assert float((weight / ranks(x).pow(-0.5) - 1).abs().max()) <= tolerance


def test_the_largest_are_ranked_exactly() -> None:
    x = student_t(1.5, 50_000).float()
    found = LogHistogram().update(x).ranks(x, x.abs().topk(TOP).values)
    exact = ranks(x)
    assert torch.equal(found[exact < TOP], exact[exact < TOP])


def test_equal_magnitudes_have_equal_ranks() -> None:
    x = torch.tensor([3.0, -7.0, 7.0, 3.0, 1.0, 7.0, 0.5, 3.0])
    top = x.abs().sort(descending=True).values
    found = LogHistogram().update(x).ranks(x, top[:7])
    assert found[[1, 2, 5]].tolist() == [2.0, 2.0, 2.0]
    assert found[[0, 3, 7]].tolist() == [5.0, 5.0, 5.0]
    interpolated = LogHistogram().update(x).ranks(x)
    assert interpolated[[0, 3, 7]].unique().numel() == 1


def test_ranks_rise_as_magnitudes_fall() -> None:
    x = student_t(1.5, 20_000).float()
    order = x.abs().sort(descending=True).values
    counted = LogHistogram().update(x)
    assert bool((counted.ranks(order).diff() >= 0).all())
    assert float(counted.ranks(order)[-1]) <= x.numel() + 0.5


def test_zeros_come_last_and_what_is_not_finite_has_no_rank() -> None:
    x = torch.tensor([1.0, 0.0, torch.inf, torch.nan, 2.0])
    found = LogHistogram().update(x).ranks(x, torch.tensor([2.0, 1.0]))
    assert found[0] > found[4] == 1.0
    assert found[1] == 2.5
    assert found[[2, 3]].isnan().all()


def test_ranks_have_the_shape_of_what_is_ranked() -> None:
    x = student_t(1.5, 24).view(2, 3, 4)
    counted = LogHistogram().update(x)
    turned = x.transpose(0, 2)
    assert torch.equal(counted.ranks(turned), counted.ranks(x).transpose(0, 2))
    assert counted.ranks(x).dtype == torch.float64
