from __future__ import annotations

import math

import pytest
import torch

from htga.experiments.levy.control import (
    Control,
    Escape,
    controls,
    escape,
    escape_rate,
    stable_noise,
)
from htga.experiments.levy.recorded import TAIL, gradient_noise, resampled

PARTICLES, STEPS = 5_000, 500


def run(control: Control, generator: torch.Generator) -> Escape:
    return escape(stable_noise(1.5, generator), control, particles=PARTICLES, steps=STEPS)


@pytest.mark.slow
def test_escapes_are_single_jumps_whose_tail_beta_moves_and_gamma_does_not(
    generator: torch.Generator,
) -> None:
    free, gamma, heavier, lighter = (
        run(control, generator) for control in controls((1.2, 1.8), "none")
    )
    assert gamma.update_alpha == pytest.approx(gamma.alpha_hat, rel=1e-6)
    assert heavier.update_alpha == pytest.approx(1.2, abs=1e-3)
    assert lighter.update_alpha == pytest.approx(1.8, abs=1e-3)
    for found in (free, gamma, heavier, lighter):
        assert found.narrow == pytest.approx(found.narrow_law, rel=0.25)
    assert heavier.narrow > 2 * free.narrow > 4 * lighter.narrow
    assert gamma.narrow == pytest.approx(free.narrow, rel=0.2)
    assert heavier.balance < free.balance < lighter.balance


@pytest.mark.slow
def test_no_control_by_rank_reaches_beyond_the_largest_entry(generator: torch.Generator) -> None:
    found = run(controls((4.0,), "none")[-1], generator)
    assert found.update_alpha > 3.9
    unlimited = escape_rate(1.0, alpha=1.5, beta=found.beta, gamma=1.0, particles=10**12)
    count = found.narrow_law * PARTICLES * STEPS / 2
    assert found.narrow_count == pytest.approx(count, abs=4 * math.sqrt(count))
    assert found.narrow > 10 * unlimited


def test_the_law_of_escapes_is_continuous_where_the_largest_entry_begins() -> None:
    # At the width that one entry in 10,000 jumps over.
    for beta in (-0.3, 0.2):
        rates = [
            escape_rate(width, alpha=1.5, beta=beta, gamma=1.0, particles=10_000)
            for width in torch.logspace(-1, 3, 400).tolist()
        ]
        steps = torch.tensor(rates).log().diff()
        assert float(steps.max()) < 0
        assert float(steps.min()) > -0.2


def test_without_escapes_nothing_is_claimed() -> None:
    still = escape(
        stable_noise(1.5, torch.Generator().manual_seed(0)),
        controls((4.0,), "none")[-1],
        particles=5_000,
        steps=2,
    )
    assert still.narrow_count == 0
    assert math.isnan(still.width_exponent)
    assert math.isnan(still.balance)
    assert still.share == pytest.approx(0.5)


def test_too_few_particles_or_steps_are_refused() -> None:
    source = stable_noise(1.5, torch.Generator())
    with pytest.raises(ValueError, match=r"particles must be at least .* got 100"):
        escape(source, controls((1.5,), "none")[0], particles=100, steps=10)
    with pytest.raises(ValueError, match="steps must be at least 2, got 1"):
        escape(source, controls((1.5,), "none")[0], particles=5_000, steps=1)


def test_recorded_noise_is_the_difference_from_the_full_gradient(
    generator: torch.Generator,
) -> None:
    told: list[int] = []
    noise = gradient_noise(seed=1, steps=3, records=4, progress=told.append)
    assert sum(told) == 7
    assert noise.shape == (4, 184_426)
    assert torch.equal(noise, gradient_noise(seed=1, steps=3, records=4))
    # Almost centred: an epoch of minibatches averages to the full gradient.
    whole = gradient_noise(seed=1, steps=0, records=21)
    assert float(whole.mean(0).norm()) < 0.5 * float(whole.norm(dim=1).mean())

    drawn = resampled(noise, alpha=1.5, generator=generator).draw(200_000)
    reference = stable_noise(1.5, generator).draw(200_000)
    share = TAIL * float((noise != 0).float().mean())
    level = drawn.abs().quantile(1 - share)
    exceeded = float((reference.abs() > level).double().mean())
    assert exceeded == pytest.approx(share, rel=0.2)


def test_noise_without_a_tail_is_refused(generator: torch.Generator) -> None:
    with pytest.raises(ValueError, match="no tail"):
        resampled(torch.zeros(5000), alpha=1.5, generator=generator)
