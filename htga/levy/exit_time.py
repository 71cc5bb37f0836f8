"""Mean and first exit times of particles from a domain."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from htga.levy.domain import Domain
from htga.levy.noise import Noise
from htga.levy.potential import Potential
from htga.levy.simulate import blocks, check_step, drift

ROUND = 64
"""Number of steps after which particles that have left are removed."""


@dataclass(frozen=True, slots=True)
class ExitTime:
    """A mean exit time by the renewal rate.

    Attributes:
        total: Time that all particles spent together.
        exits: Number of exits.
    """

    total: float
    exits: int

    @property
    def mean(self) -> float:
        """The total time over the number of exits; infinite if none left."""
        return self.total / self.exits if self.exits else math.inf

    @property
    def stderr(self) -> float:
        """Standard error of the mean, for exponential exit times, as with small noise."""
        return self.mean / math.sqrt(self.exits) if self.exits else math.inf


def exit_time(
    potential: Potential,
    noise: Noise,
    domain: Domain,
    *,
    start: float | Tensor = 0.0,
    h: float = 0.02,
    paths: int = 20_000,
    steps: int = 2_000,
    tamed: bool = False,
    generator: torch.Generator | None = None,
    progress: Callable[[int], None] | None = None,
) -> ExitTime:
    """Estimate the mean time from `start` to the first state outside `domain`.

    Every particle that leaves begins again at `start`, for a fixed time: the mean is the total time
    over the number of exits, without waiting for stragglers. Exits are seen only at multiples of
    `h`, so the estimate is late by about `h`, and by the exits that happen unseen in between.

    Args:
        potential: The landscape.
        noise: The driving noise.
        domain: The domain to leave.
        start: A number, or a vector of shape [d] in d dimensions; its device is used.
        h: Step of time.
        paths: Number of particles.
        steps: Number of steps of each particle.
        tamed: See `drift`.
        generator: Source of randomness on the device of `start`.
        progress: Called with the number of particle-steps done since the last call.

    Raises:
        ValueError: `domain` does not hold `start`, or `h`, `paths` or `steps` is not positive.
    """
    origin, x = _launch(domain, start, paths)
    check_step(h, steps)
    exits = torch.zeros((), dtype=torch.int64, device=x.device)
    for increment in blocks(noise, x, h=h, steps=steps, generator=generator):
        x += drift(potential, x, h, tamed=tamed).add_(increment)
        left = domain.left(x)
        exits += left.sum()
        x = torch.where(left.view(-1, *(1,) * origin.ndim), origin, x)
        if progress is not None:
            progress(paths)
    return ExitTime(total=paths * steps * h, exits=int(exits))


def first_exits(
    potential: Potential,
    noise: Noise,
    domain: Domain,
    *,
    start: float | Tensor = 0.0,
    h: float = 0.02,
    paths: int = 1_000,
    steps: int = 1_000_000,
    tamed: bool = False,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Simulate until every particle has left once.

    The arguments are those of `exit_time`, except that `steps` is a limit.

    Returns:
        float64, shape [paths]: exit times in the order of the particles; infinite for those that
        are still inside after `steps` steps.

    Raises:
        ValueError: As `exit_time`.
    """
    _, x = _launch(domain, start, paths)
    check_step(h, steps)
    times = torch.full((paths,), math.inf, dtype=torch.float64, device=x.device)
    inside = torch.arange(paths, device=x.device)
    step = 0
    while len(inside) and step < steps:
        # The noise of particles that have left is unused until the next round.
        alive = torch.ones(len(inside), dtype=torch.bool, device=x.device)
        share = min(ROUND, steps - step)
        for increment in blocks(noise, x, h=h, steps=share, generator=generator):
            step += 1
            x += drift(potential, x, h, tamed=tamed).add_(increment)
            left = alive & domain.left(x)
            times[inside[left]] = step * h
            alive &= ~left
        inside, x = inside[alive], x[alive]
    return times


def _launch(domain: Domain, start: float | Tensor, paths: int) -> tuple[Tensor, Tensor]:
    """The starting point, and that many particles on it."""
    origin = torch.as_tensor(start, dtype=torch.float64)
    if paths < 1:
        raise ValueError(f"paths={paths} must be at least 1")
    if bool(domain.left(origin[None]).any()):
        raise ValueError(f"{domain} does not hold start={start}: take a point inside it")
    return origin, origin.expand(paths, *origin.shape).clone()
