import pytest
import torch

from htga.tail import LogHistogram, TailStatus, hill, measure, moment
from tests.htga.distributions import stable, uniform


def test_measure_gives_what_its_parts_give() -> None:
    x = stable(1.5, 6000).float()
    parts = [x[:1000].view(10, 100), x[1000:], torch.zeros(50)]
    seen, by_hill, by_moment = measure(parts, k=300, bits=4), hill(x, 300), moment(x, 300)
    assert torch.equal(seen.alpha_hat, by_hill.alpha)
    assert torch.equal(seen.alpha_stderr, by_hill.stderr)
    assert torch.equal(seen.xi, by_moment.xi)
    assert (int(seen.k), int(seen.n), int(seen.n_zero), int(seen.n_nonfinite)) == (300, 6000, 50, 0)
    assert float(seen.grad_norm) == pytest.approx(float(x.double().norm()), rel=1e-7)
    assert seen.histogram == LogHistogram(4).update(parts)
    assert seen.status == TailStatus.OK


def test_alpha_hat_can_come_from_the_moment_estimator() -> None:
    x = stable(1.5, 6000)
    assert torch.equal(measure(x, estimator="moment").alpha_hat, moment(x).alpha)
    assert measure(uniform(6000), estimator="moment").status == TailStatus.LIGHT


def test_the_norm_does_not_overflow_where_its_square_would() -> None:
    assert float(measure(torch.full((4,), 1e30)).grad_norm) == pytest.approx(2e30)


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_the_norm_tells_of_a_non_finite_entry(bad: float) -> None:
    seen = measure(torch.tensor([1.0, bad]))
    assert not seen.grad_norm.isfinite()
    assert seen.status == TailStatus.NONFINITE
    assert int(seen.histogram.n_nonfinite) == int(seen.n_nonfinite) == 1


def test_nothing_to_measure_is_no_error() -> None:
    seen = measure([])
    assert seen.status == TailStatus.TOO_FEW
    assert float(seen.grad_norm) == 0
    assert int(seen.histogram.n) == 0
