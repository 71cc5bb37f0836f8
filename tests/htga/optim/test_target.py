"""What the optimizer is for: the tail index of the update is the target's."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.optim import SGD

from htga.optim import HTGA
from htga.optim.controller.controller import rank_constant
from htga.tail import hill
from tests.htga.distributions import gaussian, pareto, stable, student_t
from tests.htga.training import update_alpha

N = 100_000
LAWS: dict[str, Callable[[int], Tensor]] = {
    "pareto": partial(pareto, 1.5),
    "t": partial(student_t, 2.5),
    "stable": partial(stable, 1.5),
    "gaussian": gaussian,
}
FREE: dict[str, Any] = {"beta_bounds": (-2.0, 2.0), "max_coord_share": 1.0}


def update_of(gradient: Tensor, **arguments: Any) -> tuple[HTGA, Tensor]:
    parameter = torch.zeros_like(gradient)
    parameter.grad = gradient.clone()
    optimizer = HTGA(SGD([parameter], lr=1.0), **arguments)
    optimizer.step()
    return optimizer, -parameter


@pytest.mark.parametrize("ranks", ["exact", "fast"])
@pytest.mark.parametrize("target", [1.2, 1.5, 1.8, 3.0, 4.0])
@pytest.mark.parametrize("law", LAWS)
def test_beta_puts_the_tail_index_of_the_update_on_the_target(
    law: str, target: float, ranks: Any
) -> None:
    gradient = LAWS[law](N).float()
    optimizer, update = update_of(gradient, target_alpha=target, ranks=ranks, **FREE)
    tail = optimizer.tail
    assert tail is not None
    found = float(hill(update, int(tail.k)).alpha)
    # A negative exponent exchanges neighbours, which a positive one cannot.
    tolerance = 1e-6 if tail.beta > 0 else 1e-4
    assert found == pytest.approx(target, rel=tolerance)
    assert float(update_alpha(tail)) == pytest.approx(found, rel=1e-5)


@pytest.mark.parametrize("ranks", ["exact", "fast"])
@pytest.mark.parametrize("beta", [0.1, 0.5, 1.0])
@pytest.mark.parametrize("law", LAWS)
def test_an_exponent_adds_beta_times_the_rank_constant_to_the_reciprocal_index(
    law: str, beta: float, ranks: Any
) -> None:
    gradient = LAWS[law](N)
    _, update = update_of(
        gradient, actuator="none", beta=beta, ranks=ranks, normalize="l2", max_coord_share=1.0
    )
    for k in (10, 300, 1000):
        shift = 1 / hill(update, k).alpha - 1 / hill(gradient, k).alpha
        expected = beta * float(rank_constant(torch.tensor(k)))
        assert float(shift) == pytest.approx(expected, abs=1e-12 if ranks == "exact" else 1e-6)


def test_gamma_alone_moves_no_tail_index() -> None:
    gradient = student_t(1.8, 5000)
    optimizer, update = update_of(gradient, preset="seed", beta=0.0, gain=0.1)
    assert float(hill(update, 50).alpha) == pytest.approx(
        float(hill(gradient, 50).alpha), rel=1e-12
    )
    assert optimizer.tail is not None
    assert float(optimizer.tail.gamma) != 1
    assert float(optimizer.tail.norm_ratio) == pytest.approx(float(optimizer.tail.gamma))


def test_where_a_bound_holds_beta_back_the_state_says_by_how_much_the_target_is_missed() -> None:
    optimizer, update = update_of(gaussian(N).float(), preset="amplify", target_alpha=1.2)
    tail = optimizer.tail
    assert tail is not None
    assert float(tail.beta) == 0.3
    found = float(hill(update, int(tail.k)).alpha)
    assert float(update_alpha(tail)) == pytest.approx(found, rel=1e-5)
    assert found > 2


def test_a_capped_coordinate_shows_in_the_tail_index() -> None:
    gradient = pareto(1.2, 2000).float()
    gradient[gradient.argmax()] = gradient.max() * 0.999
    capped, update = update_of(
        gradient, target_alpha=0.5, max_coord_share=0.125, beta_bounds=(0, 2)
    )
    share = update.double().square().max() / update.double().square().sum()
    before = gradient.double().square().max() / gradient.double().square().sum()
    assert float(share) == pytest.approx(max(0.125, float(before)), rel=1e-3)
    assert capped.tail is not None
    assert float(update_alpha(capped.tail)) > 0.501


@given(
    st.floats(-0.5, 0.5),
    st.floats(0.5, 2.0),
    st.sampled_from(["none", "mean_one", "l2"]),
    st.sampled_from(["exact", "fast"]),
    st.sampled_from([0, 1]),
)
def test_signs_and_zeros_stay_and_sizes_are_what_normalisation_says(
    beta: float, gamma: float, normalize: Any, ranks: Any, law: int
) -> None:
    gradient = (student_t(1.5, 3000), gaussian(3000))[law].float()
    gradient[::7] = 0.0
    optimizer, update = update_of(
        gradient, actuator="none", beta=beta, fixed_gamma=gamma, normalize=normalize, ranks=ranks
    )
    assert torch.equal(update.sign(), gradient.sign())
    ratio = float(update.double().norm() / gradient.double().norm())
    assert optimizer.tail is not None
    assert float(optimizer.tail.norm_ratio) == pytest.approx(ratio, rel=1e-5)
    tolerance = 1e-6 if ranks == "exact" else 1.01e-3
    if normalize == "l2":
        assert ratio == pytest.approx(gamma, rel=tolerance)
    if normalize == "mean_one":
        weights = (update.double() / gradient.double())[gradient != 0]
        assert float(weights.mean()) == pytest.approx(gamma, rel=tolerance)
