import pytest
import torch
from torch import Tensor

from htga.tail import LogHistogram, TailStatus, hill, jackknife
from tests.htga.distributions import pareto, student_t


def outer(seed: int) -> Tensor:
    """The gradient of a linear layer from a single example: 80 x 400 entries of 480 factors."""
    return torch.outer(student_t(3.0, 80, seed), student_t(3.0, 400, 1000 + seed))


def test_the_estimate_is_that_of_the_whole_sample() -> None:
    x = student_t(1.5, 12_000)
    estimate = jackknife(x.split(1000), 600)
    expected = LogHistogram().update(x).hill(600)
    assert torch.equal(estimate.alpha, expected.alpha)
    assert torch.equal(estimate.k, expected.k)


def test_histograms_serve_as_well_as_tensors() -> None:
    parts = student_t(1.5, 12_000).split(1000)
    counted = [LogHistogram().update(part) for part in parts]
    assert torch.equal(jackknife(counted, 600).stderr, jackknife(parts, 600).stderr)


def test_of_independent_entries_the_error_is_the_usual_one() -> None:
    estimates = [jackknife(pareto(1.5, 20_000, seed).split(400), 1000) for seed in range(30)]
    mean = torch.stack([estimate.stderr for estimate in estimates]).mean()
    assert float(mean) == pytest.approx(1.5 / 1000**0.5, rel=0.1)


@pytest.mark.slow
def test_of_entries_that_share_factors_it_is_as_large_as_the_estimates_scatter() -> None:
    matrices = [outer(seed) for seed in range(80)]
    scatter = torch.stack([hill(matrix, 1600).alpha for matrix in matrices]).std()
    naive = torch.stack([hill(matrix, 1600).stderr for matrix in matrices]).mean()
    by_rows = torch.stack([jackknife(matrix.split(1), 1600).stderr for matrix in matrices]).mean()
    assert float(scatter) > 2.5 * float(naive)
    assert float(by_rows) > 0.5 * float(scatter)


def test_a_tail_within_one_group_has_no_error() -> None:
    estimate = jackknife([pareto(1.5, 1000) + 1e6, torch.rand(1000)], 100)
    assert estimate.status == TailStatus.OK
    assert estimate.stderr.isnan()


def test_one_group_is_refused_with_a_remedy() -> None:
    with pytest.raises(ValueError, match="at least two, got 1; split a single tensor by rows"):
        jackknife([torch.ones(1000)])
