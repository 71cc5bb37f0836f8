from __future__ import annotations

import math

import pytest
import torch

from htga.levy import Ball, Interval, Isotropic, Quadratic, Stable, exit_time, first_exits


def test_the_renewal_rate_and_waiting_for_every_particle_agree(
    generator: torch.Generator,
) -> None:
    landscape, noise, domain = Quadratic(), Stable(1.2, 0.2), Interval(-1, 1)
    rate = exit_time(landscape, noise, domain, paths=500, steps=2000, generator=generator)
    times = first_exits(landscape, noise, domain, paths=4000, generator=generator)
    assert times.isfinite().all()
    assert rate.mean == pytest.approx(float(times.mean()), rel=0.06)
    assert rate.stderr == pytest.approx(rate.mean / math.sqrt(rate.exits))
    assert rate.total == pytest.approx(500 * 2000 * 0.02)


def test_particles_that_stay_have_an_infinite_exit_time(generator: torch.Generator) -> None:
    still = Stable(1.5, 0.0)
    found = exit_time(Quadratic(), still, Interval(-1, 1), paths=10, steps=10, generator=generator)
    assert (found.exits, found.mean, found.stderr) == (0, math.inf, math.inf)
    times = first_exits(Quadratic(), still, Interval(-1, 1), paths=5, steps=100)
    assert torch.equal(times, torch.full((5,), math.inf, dtype=torch.float64))


def test_a_particle_that_leaves_begins_again_at_the_start() -> None:
    # Downhill all the way: from 0.5 each flight takes the same number of steps.
    found = exit_time(
        Quadratic(-1.0), Stable(1.5, 0.0), Interval(-1, 1), start=0.5, h=0.1, paths=3, steps=80
    )
    assert found.exits == 3 * 10  # 0.5 * 1.1**8 > 1
    assert found.mean == pytest.approx(0.8)


def test_vectors_leave_a_ball_from_any_start(generator: torch.Generator) -> None:
    start = torch.tensor([0.5, 0.0], dtype=torch.float64)
    near, far = (
        exit_time(
            Quadratic(0),
            Isotropic(1.5),
            Ball(1),
            start=point,
            h=0.005,
            paths=500,
            steps=1000,
            generator=generator,
        )
        for point in (start, torch.zeros(2, dtype=torch.float64))
    )
    # Getoor: (r**2 - |x|**2)**(alpha/2) times a constant, so 0.75**0.75 = 0.806 of the centre's.
    assert near.mean / far.mean == pytest.approx(0.75**0.75, rel=0.06)


def test_progress_is_told_of_every_particle_step() -> None:
    told: list[int] = []
    exit_time(Quadratic(), Stable(1.5), Interval(-1, 1), paths=7, steps=11, progress=told.append)
    assert sum(told) == 77


@pytest.mark.parametrize("start", [1.0, -1.0, 2.0, math.nan])
def test_an_interval_that_does_not_hold_the_start_is_refused(start: float) -> None:
    for estimate in (exit_time, first_exits):
        with pytest.raises(ValueError, match="does not hold start"):
            estimate(Quadratic(), Stable(1.5), Interval(-1, 1), start=start)


def test_a_ball_that_does_not_hold_the_start_is_refused() -> None:
    with pytest.raises(ValueError, match="does not hold start"):
        exit_time(Quadratic(), Isotropic(1.5), Ball(1), start=torch.tensor([0.8, 0.8]))


def test_empty_domains_and_empty_crowds_are_refused() -> None:
    with pytest.raises(ValueError, match="low=1"):
        Interval(1, -1)
    with pytest.raises(ValueError, match="radius=0"):
        Ball(0)
    with pytest.raises(ValueError, match="paths=0"):
        exit_time(Quadratic(), Stable(1.5), Interval(-1, 1), paths=0)
    with pytest.raises(ValueError, match="h=0"):
        exit_time(Quadratic(), Stable(1.5), Interval(-1, 1), h=0)
