from math import inf, nan
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from htga.optim import PRESETS
from htga.optim.controller.controller import (
    advance,
    exact_beta,
    integral_gamma,
    proportional_gamma,
    rank_constant,
    relative_error,
    start,
)
from htga.optim.settings import Settings, resolve
from htga.optim.weights.by_sorting import amplify
from htga.tail import hill, measure
from tests.htga.distributions import gaussian, pareto, stable, student_t

CPU = torch.device("cpu")
LAWS = [pareto(1.5, 5000), student_t(3, 5000), stable(1.2, 5000), gaussian(5000)]
alphas = st.floats(0.1, 20)


def number(value: float) -> Tensor:
    return torch.tensor(value, dtype=torch.float64)


def gamma_at(alpha_bar: float, *, gain: float = 0.1, direction: Any = "as_written") -> float:
    error = relative_error(number(alpha_bar), 1.5, direction)
    return float(proportional_gamma(error, gain, (0.5, 2.0)))


def seed(**changes: Any) -> Settings:
    return resolve("seed", changes)


@given(alphas, st.floats(0, 5))
def test_gamma_stays_within_its_bounds_and_below_one_plus_gain(alpha: float, gain: float) -> None:
    assert 0.5 <= gamma_at(alpha, gain=gain) <= min(2.0, 1 + gain)


@given(alphas, alphas)
def test_gamma_as_written_falls_as_alpha_rises_and_the_other_way_when_regulating(
    one: float, other: float
) -> None:
    low, high = sorted((one, other))
    assert gamma_at(low) >= gamma_at(high)
    assert gamma_at(low, direction="regulating") <= gamma_at(high, direction="regulating")


@pytest.mark.parametrize("direction", ["as_written", "regulating"])
def test_gamma_is_one_on_target(direction: str) -> None:
    assert gamma_at(1.5, direction=direction) == 1.0


def test_gamma_is_what_the_proposal_says_of_a_gaussian_gradient() -> None:
    assert gamma_at(4.72) == pytest.approx(1 - 0.1 * (4.72 / 1.5 - 1))


def test_integral_gamma_adds_up_errors_and_comes_off_its_bound_at_once() -> None:
    gamma = number(1.0)
    for _ in range(3):
        gamma = integral_gamma(gamma, number(0.2), 0.1, (0.5, 2.0))
    assert float(gamma.log()) == pytest.approx(3 * 0.02)
    for _ in range(500):
        gamma = integral_gamma(gamma, number(0.2), 0.1, (0.5, 2.0))
    assert float(gamma) == 2.0
    assert float(integral_gamma(gamma, number(-0.2), 0.1, (0.5, 2.0))) < 2.0


@pytest.mark.parametrize(
    ("k", "c_k"), [(10, 0.887454), (100, 0.977727), (1000, 0.996627), (10000, 0.999548)]
)
def test_the_rank_constant_has_its_known_values(k: int, c_k: float) -> None:
    assert float(rank_constant(torch.tensor(k))) == pytest.approx(c_k, abs=1e-6)


@pytest.mark.parametrize("x", LAWS)
@pytest.mark.parametrize("beta", [0.1, 0.5, 1.0])
@pytest.mark.parametrize("k", [10, 300])
def test_rank_weights_add_beta_times_the_rank_constant_to_the_reciprocal_index(
    x: Tensor, beta: float, k: int
) -> None:
    after = amplify(x, beta=number(beta), gamma=number(1), ties="average", normalize="none")
    shift = 1 / hill(after, k).alpha - 1 / hill(x, k).alpha
    assert float(shift) == pytest.approx(beta * float(rank_constant(torch.tensor(k))), abs=1e-12)


@pytest.mark.parametrize("x", LAWS)
@pytest.mark.parametrize("target", [0.8, 1.1])
def test_exact_beta_puts_the_index_of_the_amplified_gradient_on_target(
    x: Tensor, target: float
) -> None:
    seen = hill(x, 300)
    beta = exact_beta(seen.alpha, seen.k, target, (-5.0, 5.0))
    after = amplify(x, beta=beta, gamma=number(1), ties="average", normalize="l2")
    assert float(hill(after, 300).alpha) == pytest.approx(target, rel=1e-10)


@given(alphas, st.integers(10, 10**6), st.floats(0.2, 10))
def test_beta_stays_within_its_bounds(alpha: float, k: int, target: float) -> None:
    assert -0.5 <= float(exact_beta(number(alpha), torch.tensor(k), target, (-0.5, 0.3))) <= 0.3


def test_tempering_stops_short_of_turning_the_order_round() -> None:
    assert float(exact_beta(number(3.0), torch.tensor(10), 1e6, (-5.0, 5.0))) == -0.9 / 3


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("law", ["proportional", "integral"])
@pytest.mark.parametrize("x", [torch.ones(1000), torch.ones(3), torch.tensor([inf, nan] * 500)])
def test_an_unusable_estimate_moves_nothing(x: Tensor, law: Any, preset: str) -> None:
    settings = resolve(preset, {"actuator": "both", "law": law})
    for controller in (
        start(settings, CPU),
        advance(start(settings, CPU), measure(pareto(1.2, 5000)), settings),
    ):
        after = advance(controller, measure(x), settings)
        assert torch.equal(after.gamma, controller.gamma)
        assert torch.equal(after.beta, controller.beta)
        assert torch.equal(after.alpha_bar.nan_to_num(), controller.alpha_bar.nan_to_num())


def test_each_actuator_moves_its_own_variable_only() -> None:
    seen = measure(pareto(1.2, 5000))
    moved = {}
    for actuator in ("none", "gamma", "beta", "both"):
        settings = seed(actuator=actuator)
        after = advance(start(settings, CPU), seen, settings)
        moved[actuator] = (float(after.gamma) != 1, float(after.beta) != settings.beta)
    assert moved == {
        "none": (False, False),
        "gamma": (True, False),
        "beta": (False, True),
        "both": (True, True),
    }


def test_a_fixed_gamma_overrules_the_controller() -> None:
    settings = seed(fixed_gamma=3.0)
    after = advance(start(settings, CPU), measure(pareto(1.2, 5000)), settings)
    assert float(after.gamma) == 3.0
