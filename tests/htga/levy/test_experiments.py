from __future__ import annotations

import math

import pytest
import torch

from htga.experiments.levy.exit_times import experiments, memoryless
from htga.experiments.levy.point import (
    Experiment,
    Measured,
    Point,
    Verdict,
    log_log_slope,
    measure,
)
from htga.levy import ExitTime, Interval, Quadratic, Stable

EXITS = {"E1": 600, "E2": 400, "E3": 150, "E4": 400, "E5": 150, "E7": 200, "E8": 150}


@pytest.mark.slow
@pytest.mark.parametrize("experiment", experiments(), ids=lambda e: e.name)
def test_the_law_holds_in_simulation(experiment: Experiment, generator: torch.Generator) -> None:
    measured = [
        measure(point, exits=EXITS[experiment.name], generator=generator)
        for point in experiment.points
    ]
    verdicts = experiment.judge(measured)
    assert verdicts
    assert [v for v in verdicts if not v.holds] == []


@pytest.mark.slow
def test_exit_times_are_exponential(generator: torch.Generator) -> None:
    times, verdict = memoryless(paths=1000, generator=generator)
    assert verdict.holds
    assert torch.equal(times, times.sort().values)


def measured(x: float, total: float, exits: int) -> Measured:
    point = Point(
        curve="alpha=1.5",
        x=x,
        potential=Quadratic(),
        noise=Stable(1.5),
        domain=Interval(-1, 1),
        expected=2.0,
    )
    return Measured(point, ExitTime(total=total, exits=exits))


def test_a_power_law_has_its_slope_and_points_without_exits_weigh_nothing() -> None:
    points = [measured(x, 100 * x**-1.5, 100) for x in (0.01, 0.02, 0.04)]
    slope, stderr = log_log_slope([*points, measured(0.001, 5.0, 0)])
    assert slope == pytest.approx(-1.5)
    # Weighted least squares: 1 / sqrt(sum of weights times squared distances from the mean).
    assert stderr == pytest.approx(0.1 / (math.sqrt(2) * math.log(2)))


def test_a_verdict_holds_within_its_range_only() -> None:
    def verdict(measured: float) -> Verdict:
        return Verdict(
            experiment="E2",
            quantity="slope",
            measured=measured,
            stderr=0.01,
            expected=-1.5,
            low=-1.6,
            high=-1.4,
        )

    assert verdict(-1.55).holds
    assert not verdict(-1.65).holds
    assert not verdict(math.nan).holds


def test_a_measured_level_far_from_its_law_is_not_waved_through() -> None:
    fourth = next(e for e in experiments() if e.name == "E4")
    (verdict,) = fourth.judge([measured(0.5, 300.0, 100)])
    assert verdict.measured == pytest.approx(1.5)
    assert not verdict.holds
