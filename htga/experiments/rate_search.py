"""The search for a learning rate: a grid that grows until its best is not at an edge."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

MAX_EXTENSIONS = 4
"""Steps by which the grid may grow at each end."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The outcome of a search.

    Attributes:
        rate: The learning rate with the smallest loss.
        losses: Loss of every rate that was tried, by the rate.
        interior: Whether a smaller and a larger rate were tried.
    """

    rate: float
    losses: dict[float, float]
    interior: bool


def rate(step: int) -> float:
    """The learning rates 1, 3, 10, 30, ...: 10**(step / 2), with 3 for its root; 1 at step 0."""
    return float(f"{(1, 3)[step % 2]}e{step // 2}")


def search(losses: Callable[[Sequence[float]], Iterable[float]], first: range) -> Choice:
    """Find the rate of the smallest loss.

    Args:
        losses: Validation losses of learning rates. Called with the first ones, then with one more
            at a time.
        first: Steps of `rate` to begin with, at least one.
    """
    known = dict(zip(first, losses([rate(step) for step in first]), strict=True))
    for _ in range(2 * MAX_EXTENSIONS):
        best = min(known, key=known.__getitem__)
        if best == min(known) and best > first[0] - MAX_EXTENSIONS:
            step = best - 1
        elif best == max(known) and best < first[-1] + MAX_EXTENSIONS:
            step = best + 1
        else:
            break
        (known[step],) = losses([rate(step)])
    best = min(known, key=known.__getitem__)
    by_rate = {rate(step): known[step] for step in sorted(known)}
    return Choice(rate(best), by_rate, min(known) < best < max(known))
