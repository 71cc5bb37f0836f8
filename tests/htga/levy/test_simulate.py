from __future__ import annotations

from typing import Any

import pytest
import torch

from htga.levy import DoubleWell, Isotropic, Quadratic, Stable, recorded_noise, simulate

ORIGIN = torch.zeros(20_000, dtype=torch.float64)


@pytest.mark.parametrize("alpha", [1.2, 1.5, 2.0])
def test_an_ornstein_uhlenbeck_process_settles_on_its_stable_law(
    alpha: float, generator: torch.Generator
) -> None:
    path = simulate(
        Quadratic(2.0), Stable(alpha, 0.5), ORIGIN, h=0.02, steps=200, generator=generator
    )
    # Stationary, Euler's own: scale**alpha h / (1 - |1 - curvature h|**alpha) = S**alpha.
    power = 0.5**alpha * 0.02 / (1 - 0.96**alpha)
    assert float(path[-1].cos().mean()) == pytest.approx(
        float(torch.tensor(-power).exp()), abs=0.02
    )


def test_without_noise_a_particle_rolls_to_the_bottom() -> None:
    path = simulate(
        DoubleWell(), Stable(1.5, 0.0), torch.tensor([0.1, -3.0]), h=0.01, steps=2000, every=500
    )
    assert path.shape == (5, 2)
    assert path.dtype == torch.float64
    torch.testing.assert_close(path[0], torch.tensor([0.1, -3.0]).double())
    torch.testing.assert_close(path[-1], torch.tensor([1.0, -1.0], dtype=torch.float64))


def test_taming_holds_a_particle_that_a_large_jump_would_send_to_infinity() -> None:
    far = torch.tensor([1e3], dtype=torch.float64)
    wild = simulate(DoubleWell(), Stable(1.5, 0.0), far, h=0.01, steps=10)
    tame = simulate(DoubleWell(), Stable(1.5, 0.0), far, h=0.01, steps=2000, tamed=True)
    assert not wild.isfinite().all()
    assert float(tame[-1]) == pytest.approx(1, abs=1e-6)


def test_vectors_move_in_an_isotropic_noise(generator: torch.Generator) -> None:
    path = simulate(
        Quadratic(),
        Isotropic(1.5, 0.1),
        torch.zeros(100, 3, dtype=torch.float64),
        h=0.1,
        steps=10,
        generator=generator,
    )
    assert path.shape == (11, 100, 3)
    assert path[-1].isfinite().all()


def test_a_recorded_tail_index_drives_the_equation_step_by_step(
    generator: torch.Generator,
) -> None:
    noises = recorded_noise([1.2, 3.5], threshold=1.0, rate=0.02)
    path = simulate(Quadratic(0), noises, ORIGIN, h=1.0, steps=40, generator=generator)
    first, second = path[1:21] - path[:20], path[21:] - path[20:40]
    for moves, alpha in ((first, 1.2), (second, 3.5)):
        # Jumps above the threshold are as frequent in both, those above 10 by the index.
        beyond = float((moves.abs() > 10).double().mean())
        assert beyond == pytest.approx(0.02 * 10**-alpha, rel=0.15, abs=1e-5)


def test_the_same_seed_gives_the_same_path() -> None:
    paths = [
        simulate(
            Quadratic(),
            Stable(1.5),
            torch.zeros(10),
            h=0.1,
            steps=50,
            generator=torch.Generator().manual_seed(5),
        )
        for _ in range(2)
    ]
    assert torch.equal(*paths)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"h": 0.0}, "h=0"),
        ({"h": -0.1}, "h=-0.1"),
        ({"steps": 0}, "steps=0"),
        ({"every": 3}, "every=3"),
        ({"noise": []}, "0 noises"),
        ({"noise": [Stable(1.5)] * 3}, "3 noises"),
    ],
)
def test_an_impossible_schedule_is_refused(change: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {"noise": Stable(1.5), "h": 0.1, "steps": 10} | change
    with pytest.raises(ValueError, match=message):
        simulate(Quadratic(), start=torch.zeros(1), **arguments)
