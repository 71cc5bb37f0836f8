import pytest
import torch
from scipy import stats

from htga.tail import choose_k, hill, ks_distance
from htga.tail.estimators.goodness_of_fit import ks_minimum
from tests.htga.distributions import frechet, gaussian, pareto, student_t


@pytest.mark.parametrize("k", [50, 700])
def test_the_distance_is_that_of_scipy(k: int) -> None:
    x = student_t(2.0, 5000)
    tail = x.abs().sort(descending=True).values[: k + 1]
    law = stats.pareto(float(hill(x, k).alpha), scale=float(tail[k]))
    expected = stats.kstest(tail[:k].numpy(), law.cdf).statistic
    assert float(ks_distance(x, k)) == pytest.approx(expected, rel=1e-9)


# The package warns of a name that it uses itself.
@pytest.mark.filterwarnings("ignore:Standard error for the MLE:DeprecationWarning")
def test_the_minimum_finds_what_the_powerlaw_package_finds() -> None:
    from powerlaw import Fit  # noqa: PLC0415  It takes a second, in every process that collects.

    x = pareto(1.5, 10_000)[:2000]
    fit = Fit(x.numpy(), verbose=False)
    assert fit.xmin == pytest.approx(1.016766655968994, rel=1e-12)
    assert int((x >= fit.xmin).sum()) == 1959
    assert fit.power_law.alpha - 1 == pytest.approx(1.5237176491, rel=1e-9)
    # It counts the threshold itself as an entry of the tail; we do not.
    k = 1958
    assert float(hill(x, k).alpha) * (k + 1) / k == pytest.approx(1.5237176491, rel=1e-9)
    ours = int(ks_minimum(x))
    assert float(ks_distance(x, ours)) <= 1.05 * float(ks_distance(x, k))
    assert float(hill(x, ours).alpha) == pytest.approx(fit.power_law.alpha - 1, rel=0.02)


def test_the_minimum_is_the_least_of_its_candidates() -> None:
    x = frechet(1.2, 3000)
    candidates = range(10, 3000, 37)
    best = min(candidates, key=lambda k: float(ks_distance(x, k)))
    assert int(ks_minimum(x, candidates)) == best


def test_a_body_that_is_no_power_law_is_left_out() -> None:
    x = torch.cat([gaussian(20_000), 5 * pareto(1.5, 1000)])
    k = int(choose_k(x, "ks"))
    assert 500 < k < 1500
    assert float(hill(x, k).alpha) == pytest.approx(1.5, rel=0.1)


@pytest.mark.parametrize("x", [torch.zeros(100), torch.ones(1000), torch.empty(0), torch.rand(10)])
def test_without_a_tail_there_is_no_size(x: torch.Tensor) -> None:
    assert int(ks_minimum(x)) == 0
    assert ks_distance(x, 10).isnan()
