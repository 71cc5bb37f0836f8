"""The driving noise that matches a measured tail, by equal jump measures.

A sample with tail index alpha, of which a share of p exceeds the threshold u, has
P(|g| > x) = p (x / u)**-alpha. The stable law with the same jumps has scale**alpha C = p u**alpha.
"""

from __future__ import annotations

from collections.abc import Iterable

from htga.levy.laws import check_positive
from htga.levy.noise import Noise, ParetoJumps, Stable, check_jumps
from htga.levy.stable import tail_constant


def matched_scale(alpha: float, *, threshold: float, rate: float) -> float:
    """sigma(alpha) = threshold (rate / C(alpha))**(1 / alpha), with C of `tail_constant`.

    The process sigma L then has `rate` jumps larger than `threshold` per unit of time, for any
    alpha. Near 2 there are hardly any jumps in a stable law, and sigma grows without bound.

    Args:
        alpha: Tail index in (0, 2).
        threshold: Size of jumps, positive; for a Hill estimate its `threshold`.
        rate: Jumps larger than that per unit of time, positive; for a Hill estimate k / n per step.

    Raises:
        ValueError: An argument is out of range.
    """
    check_jumps(alpha)
    check_positive(threshold=threshold, rate=rate)
    return float(threshold * (rate / tail_constant(alpha)) ** (1 / alpha))


def matched_noise(
    alpha: float,
    *,
    threshold: float,
    rate: float,
    deviation: float = 0.0,
    stable_below: float = 1.95,
) -> Noise:
    """The noise with given jumps: stable, or above `stable_below` Pareto jumps and a Gaussian.

    Args:
        alpha: Tail index, positive.
        threshold: See `matched_scale`.
        rate: See `matched_scale`.
        deviation: Standard deviation, over a unit of time, of the part below the threshold; stable
            noise has its own small jumps instead.
        stable_below: Index from which no stable law is used. They end at 2, and lose their jumps
            before.

    Raises:
        ValueError: An argument is out of range.
    """
    check_positive(alpha=alpha, threshold=threshold, rate=rate)
    if alpha < min(stable_below, 2):
        return Stable(alpha, matched_scale(alpha, threshold=threshold, rate=rate))
    return ParetoJumps(alpha, rate=rate, threshold=threshold, deviation=deviation)


def recorded_noise(
    alpha_bar: Iterable[float], *, threshold: float, rate: float, deviation: float = 0.0
) -> list[Noise]:
    """One noise for each value of a recorded tail index, as `simulate` takes them.

    The rate of jumps larger than `threshold` is constant, so that only the index changes. The
    arguments are those of `matched_noise`.

    Raises:
        ValueError: An index is not positive and finite, like those before a run's first estimate.
    """
    return [
        matched_noise(alpha, threshold=threshold, rate=rate, deviation=deviation)
        for alpha in alpha_bar
    ]
