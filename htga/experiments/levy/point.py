"""One simulated exit time, and the claim that it tests."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from htga.levy import Domain, ExitTime, Noise, Potential, exit_time


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A simulation to run.

    Attributes:
        curve: Which curve of the experiment's figure the point is on.
        x: Coordinate along the curve.
        expected: The mean exit time by theory; None if theory gives only an order.
        precision: Factor on the number of exits, for claims that need more than others.
        paths: Number of particles. Few particles run for long, which the renewal rate needs if
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

        Without an expected time, an exit is assumed to take 30,000 steps.
        """
        each = 30_000 if self.expected is None else self.expected / self.h
        wanted = self.precision * exits * each
        return round(min(max(wanted, 4e6), 4e7) / self.paths)


@dataclass(frozen=True, slots=True)
class Measured:
    """A point and its measured exit time."""

    point: Point
    time: ExitTime

    @property
    def ratio(self) -> float:
        """The measured over the expected time; NaN without an expected time."""
        expected = self.point.expected
        return math.nan if expected is None else self.time.mean / expected


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A number that a claim is about, and the range it must lie in.

    Attributes:
        experiment: E1 to E8.
        quantity: Description of the number.
        measured: The number.
        stderr: Its standard error; NaN if there is none.
        expected: The number by theory.
        low, high: Range within which the claim holds.
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
    """Points to simulate, and how to judge them.

    Attributes:
        name: E1 to E8.
        claim: One sentence.
        points: The simulations.
        judge: Maps the measured points, in order, to verdicts.
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
    """Simulate a point for about `exits` exits; `progress` is called with particle-steps done."""
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
    # A point without exits has weight 0; its infinite mean must not count.
    slope = (weights * centred * y.where(weights > 0, 0)).sum() / spread
    return float(slope), float(spread.rsqrt())
