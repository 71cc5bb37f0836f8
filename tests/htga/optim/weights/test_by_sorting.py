from typing import Any, Literal

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import rankdata
from torch import Tensor

from htga.optim.weights.by_sorting import amplify, normalized, ranks
from tests.htga.distributions import gaussian, pareto, student_t

finite = hnp.arrays(
    st.sampled_from([np.float32, np.float64]),
    st.integers(1, 50),
    elements=st.floats(-60000, 60000, width=16),
)


def number(value: float) -> Tensor:
    return torch.tensor(value, dtype=torch.float64)


def amplified(
    x: Tensor, beta: float, gamma: float = 1.0, normalize: Any = "none", ties: Any = "average"
) -> Tensor:
    return amplify(x, beta=number(beta), gamma=number(gamma), ties=ties, normalize=normalize)


@given(finite, st.sampled_from(["ordinal", "average"]))
def test_ranks_are_those_of_scipy(x: np.ndarray, ties: Literal["ordinal", "average"]) -> None:
    found = ranks(torch.from_numpy(x).abs(), ties)
    assert found.tolist() == rankdata(-np.abs(x), method=ties).tolist()


def test_the_hand_example_of_four_entries_is_weighted_as_written() -> None:
    x = torch.tensor([0.5, -4.0, 1.0, 2.0], dtype=torch.float64)
    w = torch.tensor([1.0, 2.0, 2 / 3**0.5, 2**0.5], dtype=torch.float64)
    assert torch.allclose(amplified(x, 0.5, ties="ordinal"), w * x, rtol=1e-15)


def test_equal_magnitudes_get_equal_weights_by_average_ranks() -> None:
    x = torch.tensor([1.0, -1.0, 1.0, -1.0])
    assert len(set(amplified(x, 0.7).abs().tolist())) == 1
    assert len(set(amplified(x, 0.7, ties="ordinal").abs().tolist())) == 4


@given(
    x=finite,
    beta=st.floats(0, 1),
    gamma=st.floats(0.5, 2),
    normalize=st.sampled_from(["none", "mean_one", "l2"]),
)
def test_amplification_keeps_signs_zeros_and_the_order_of_magnitudes(
    x: np.ndarray, beta: float, gamma: float, normalize: str
) -> None:
    before = torch.from_numpy(x)
    after = amplified(before, beta, gamma, normalize)
    assert torch.equal(after.sign(), before.sign())
    in_order = after.abs()[before.abs().argsort()]
    assert bool((in_order.diff() >= -1e-6 * in_order[1:]).all())


@pytest.mark.parametrize("x", [student_t(1.5, 5000), gaussian(5000).float()])
@pytest.mark.parametrize("beta", [-0.05, 0.3, 1.0])
def test_l2_keeps_the_length_up_to_gamma(x: Tensor, beta: float) -> None:
    after = amplified(x, beta, 1.25, "l2")
    assert float(after.norm() / x.norm()) == pytest.approx(1.25, rel=1e-6)


def test_mean_one_makes_the_mean_weight_of_the_non_zero_entries_one() -> None:
    x = torch.cat([student_t(1.5, 500), torch.zeros(500, dtype=torch.float64)])
    weights = normalized((ranks(x.abs(), "average") / 1000).pow(-0.5), x, "mean_one")
    assert float(weights[:500].mean()) == pytest.approx(1, rel=1e-12)


@pytest.mark.parametrize("normalize", ["none", "mean_one", "l2"])
def test_no_rank_exponent_and_no_gain_change_no_bit(normalize: str) -> None:
    x = student_t(1.5, 5000).float()
    assert torch.equal(amplified(x, 0.0, normalize=normalize), x)


@pytest.mark.parametrize("normalize", ["none", "mean_one", "l2"])
@pytest.mark.parametrize("x", [torch.zeros(5), torch.empty(0)])
def test_a_gradient_of_nothing_stays_nothing(x: Tensor, normalize: str) -> None:
    assert torch.equal(amplified(x, 0.5, normalize=normalize), x)


def test_float32_and_float64_weigh_alike() -> None:
    x = pareto(1.5, 20_000).float()
    assert torch.allclose(amplified(x, 0.5).double(), amplified(x.double(), 0.5), rtol=1e-6)
