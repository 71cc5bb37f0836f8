from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from htga.tail import choose_k, hill
from htga.tail.estimators.double_bootstrap import double_bootstrap, moments
from tests.htga.distributions import burr, frechet, student_t


@given(st.lists(st.floats(-30, 30), min_size=2, max_size=40))
def test_the_moments_are_those_of_their_definition(numbers: list[float]) -> None:
    logs = torch.tensor(numbers, dtype=torch.float64).sort(descending=True).values
    m1, m2 = moments(logs)
    for k in range(1, len(numbers)):
        excesses = logs[:k] - logs[k]
        assert float(m1[k - 1]) == pytest.approx(float(excesses.mean()), rel=1e-9, abs=1e-9)
        expected = float(excesses.square().mean())
        assert float(m2[k - 1]) == pytest.approx(expected, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize(
    ("x", "alpha"),
    [(student_t(1.5, 5000), 1.5), (burr(2.0, 5000), 2.0), (frechet(1.0, 5000), 1.0)],
)
@pytest.mark.parametrize("factor", ["qi", "danielsson"])
def test_the_size_gives_an_index_near_the_truth(x: Tensor, alpha: float, factor: Any) -> None:
    k = int(double_bootstrap(x, resamples=100, factor=factor))
    assert 50 < k < 4000
    assert float(hill(x, k).alpha) == pytest.approx(alpha, rel=0.15)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_size() -> None:
    x = student_t(1.5, 2000)
    first, second, other = (int(double_bootstrap(x, resamples=20, seed=seed)) for seed in (1, 1, 2))
    assert first == second != other
    assert int(choose_k(x, "double_bootstrap", seed=3)) == int(double_bootstrap(x, seed=3))


def test_a_small_sample_has_no_size() -> None:
    assert int(double_bootstrap(student_t(1.5, 499))) == 0
    assert int(double_bootstrap(torch.zeros(10_000))) == 0


def test_what_it_cannot_do_is_refused_by_name_and_value() -> None:
    with pytest.raises(ValueError, match=r"x must have at most 100000 .* got 100001"):
        double_bootstrap(torch.ones(100_001))
    with pytest.raises(ValueError, match="resamples must be at least 1, got 0"):
        double_bootstrap(torch.ones(1000), resamples=0)
    unknown: Any = "hall"
    with pytest.raises(ValueError, match=r"factor must be .* got 'hall'"):
        double_bootstrap(torch.ones(1000), factor=unknown)
