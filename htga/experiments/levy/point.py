"""One simulated exit time, and the claim it bears on."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from htga.levy import Domain, ExitTime, Noise, Potential, exit_time


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """What to simulate.

    Attributes:
        curve: Which curve of the experiment's figure the point is on.
        x: What varies along the curve.
        expected: The mean exit time by theory; None where theory gives an order only.
        precision: How many times as many exits as elsewhere the claim needs.
        paths: Number of particles. Few of them run for long, which the renewal rate needs where
            exit times are not exponential.
    """

    curve: str
    x: float
    potential: Potential
    noise: Noise
    domain: Domain
    expected: float | None
    start: float | tuple[float, ...] = 0.0
    h: float = 0.02
    tamed: bool = False
    precision: float = 1.0
    paths: int = 10_000

    def steps(self, exits: int) -> int:
        """Steps of every path for about so many exits, within 4e6 to 4e7 particle-steps.

        Where no time is expected, it is taken to be 30,000 steps.
        """
        each = 30_000 if self.expected is None else self.expected / self.h
        wanted = self.precision * exits * each
        return round(min(max(wanted, 4e6), 4e7) / self.paths)


@dataclass(frozen=True, slots=True)
class Measured:
    """A point and what came out."""

    point: Point
    time: ExitTime

    @property
    def ratio(self) -> float:
        """Measured over expected; NaN where nothing is expected."""
        expected = self.point.expected
        return math.nan if expected is None else self.time.mean / expected


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A number that a claim is about, and the range it must lie in.

    Attributes:
        experiment: E1 to E8.
        quantity: What the number is.
        measured: The number.
        stderr: Its standard error; NaN where there is none.
        expected: What theory says.
        low, high: The range.
    """

    experiment: str
    quantity: str
    measured: float
    stderr: float
    expected: float
    low: float
    high: float

    @property
    def holds(self) -> bool:
        """Whether the number lies in the range."""
        return self.low <= self.measured <= self.high


@dataclass(frozen=True, slots=True)
class Experiment:
    """Points, and how to judge them.

    Attributes:
        name: E1 to E8.
        claim: A sentence.
        points: What to simulate.
        judge: From the measured points, in their order, to verdicts.
    """

    name: str
    claim: str
    points: Sequence[Point]
    judge: Callable[[Sequence[Measured]], Sequence[Verdict]]


def measure(
    point: Point,
    *,
    exits: int,
    generator: torch.Generator,
    progress: Callable[[int], None] | None = None,
) -> Measured:
    """Simulate a point for about `exits` exits; `progress` gets particle-steps done."""
    time = exit_time(
        point.potential,
        point.noise,
        point.domain,
        start=torch.tensor(point.start, dtype=torch.float64, device=generator.device),
        h=point.h,
        paths=point.paths,
        steps=point.steps(exits),
        tamed=point.tamed,
        generator=generator,
        progress=progress,
    )
    return Measured(point, time)


def log_log_slope(measured: Sequence[Measured]) -> tuple[float, float]:
    """Slope of ln mean over ln x by least squares, weighted by exits, and its standard error.

    The variance of ln mean is 1 / exits.
    """
    weights = torch.tensor([m.time.exits for m in measured], dtype=torch.float64)
    x = torch.tensor([m.point.x for m in measured], dtype=torch.float64).log()
    y = torch.tensor([m.time.mean for m in measured], dtype=torch.float64).log()
    centred = x - (weights * x).sum() / weights.sum()
    spread = (weights * centred.square()).sum()
    # A point without exits has weight 0, and an infinite mean that must not count.
    slope = (weights * centred * y.where(weights > 0, 0)).sum() / spread
    return float(slope), float(spread.rsqrt())
