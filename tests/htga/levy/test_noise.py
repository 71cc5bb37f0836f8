from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from htga.levy import Isotropic, Noise, ParetoJumps, Stable, Tempered, Truncated, jump_rate
from htga.levy.stable import tail_constant
from htga.tail import hill


@pytest.mark.parametrize("noise", [Stable(1.5, 0.8), Isotropic(1.5, 0.8)])
def test_increments_over_time_add_up_to_the_same_law(
    noise: Noise, generator: torch.Generator
) -> None:
    whole = noise.increments(0.5, (200_000, 1), generator=generator)
    parts = noise.increments(0.05, (10, 200_000, 1), generator=generator).sum(0)
    law = math.exp(-0.5 * 0.8**1.5)
    assert float(whole.cos().mean()) == pytest.approx(law, abs=8e-3)
    assert float(parts.cos().mean()) == pytest.approx(law, abs=8e-3)


@pytest.mark.parametrize("xi", [0.5, 2.0])
def test_tempered_increments_have_the_tempered_levy_measure(
    xi: float, generator: torch.Generator
) -> None:
    alpha, rate, h = 1.5, 1.0, 1e-3
    x = Tempered(alpha, rate).increments(h, (4_000_000,), generator=generator)
    # ln phi(xi) = 2 c Gamma(-alpha) ((rate**2 + xi**2)**(alpha/2) cos(alpha atan(xi/rate))
    # - rate**alpha) with c = alpha C / 2.
    power = (rate**2 + xi**2) ** (alpha / 2) * math.cos(alpha * math.atan(xi / rate))
    exponent = alpha * tail_constant(alpha) * math.gamma(-alpha) * (power - rate**alpha)
    measured = math.log(float((xi * x).cos().mean())) / h
    assert measured == pytest.approx(exponent, rel=0.05)


def test_tempering_by_nothing_changes_nothing(generator: torch.Generator) -> None:
    state = generator.get_state()
    tempered = Tempered(1.5, 0.0, 0.3).increments(0.1, (1000,), generator=generator)
    generator.set_state(state)
    assert torch.equal(tempered, Stable(1.5, 0.3).increments(0.1, (1000,), generator=generator))


@given(st.floats(0.2, 1.9), st.floats(1e-3, 1e3))
def test_truncated_increments_never_exceed_their_bound_and_agree_below_it(
    alpha: float, bound: float
) -> None:
    cut, whole = (
        noise.increments(1.0, (500,), generator=torch.Generator().manual_seed(1))
        for noise in (Truncated(alpha, bound), Stable(alpha))
    )
    assert float(cut.abs().max()) <= bound
    small = whole.abs() < bound
    assert torch.equal(cut[small], whole[small])


@pytest.mark.parametrize("alpha", [1.2, 2.5, 4.0])
def test_pareto_jumps_come_at_their_rate_with_their_index(
    alpha: float, generator: torch.Generator
) -> None:
    noise = ParetoJumps(alpha, rate=0.5, threshold=2.0)
    x = noise.increments(0.02, (1000, 1000), generator=generator).flatten()
    jumps = x[x != 0].abs()
    assert len(jumps) == pytest.approx(1e6 * -math.expm1(-0.01), rel=0.03)
    single = jumps[jumps >= 2]
    assert float(hill(single, 0.5).alpha) == pytest.approx(alpha, rel=0.06)
    assert float((x > 0).sum()) == pytest.approx(float((x < 0).sum()), rel=0.05)
    beyond = float((single > 4).sum()) / (1e6 * 0.02)
    assert beyond == pytest.approx(jump_rate(noise, 4.0), rel=0.2)


def test_the_small_part_of_pareto_jumps_is_gaussian(generator: torch.Generator) -> None:
    noise = ParetoJumps(3.0, rate=0.0, threshold=1.0, deviation=0.7)
    x = noise.increments(0.25, (200_000,), generator=generator)
    assert float(x.std()) == pytest.approx(0.35, rel=0.01)


def test_the_jump_rate_of_stable_noise_is_its_tail_over_a_short_time(
    generator: torch.Generator,
) -> None:
    noise = Stable(1.3, 0.4)
    x = noise.increments(0.01, (3_000_000,), generator=generator)
    assert float((x.abs() > 2).double().mean()) / 0.01 == pytest.approx(
        jump_rate(noise, 2.0), rel=0.06
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Stable(2.5), "alpha=2.5"),
        (lambda: Stable(1.5, -1), "scale=-1"),
        (lambda: Isotropic(0), "alpha=0 is not in"),
        (lambda: Tempered(2, 1.0), "which has no jumps"),
        (lambda: Tempered(1.5, -1.0), "rate=-1"),
        (lambda: Truncated(2, 1.0), "Brownian"),
        (lambda: Truncated(1.5, 0.0), "bound=0"),
        (lambda: ParetoJumps(0, 1, 1), "alpha=0 must"),
        (lambda: ParetoJumps(3, -2, 1), "rate=-2"),
        (lambda: ParetoJumps(3, 1, 0), "threshold=0"),
        (lambda: jump_rate(Stable(1.5), 0), "size=0"),
        (lambda: jump_rate(ParetoJumps(3, 1, 1), 0.5), "below the threshold"),
    ],
)
def test_impossible_noise_is_refused_by_name(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
