"""Confidence intervals and tests over a few seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from htga_client.statistics.student_t import t_quantile


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean with its uncertainty.

    Attributes:
        mean: Mean of n values.
        half: Half the width of the 95 % interval; None for fewer than two values.
        n: Number of values.
        p: Two-sided p-value of a mean of zero; None for fewer than two values.
    """

    mean: float
    half: float | None
    n: int
    p: float | None


def interval(values: Sequence[float]) -> Interval | None:
    """The mean with its 95 % interval (Student's t), or None without any value."""
    n = len(values)
    if n < 2:
        return Interval(values[0], None, 1, None) if n else None
    mean, error = fmean(values), stdev(values) / math.sqrt(n)
    p = float(mean == 0) if error == 0 else p_value(mean / error, n - 1)
    return Interval(mean, t_quantile(n - 1) * error, n, p)


def p_value(t: float, degrees: int) -> float:
    """P(|T| >= |t|) of Student's t, exact (Abramowitz and Stegun 26.7.3 and 26.7.4)."""
    angle = math.atan(abs(t) / math.sqrt(degrees))
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = degrees % 2
    term = cosine if odd else 1.0
    total = 0.0
    for power in range(odd, degrees - 1, 2):
        total += term
        term *= cosine**2 * (power + 1) / (power + 2)
    within = 2 / math.pi * (angle + sine * total) if odd else sine * total
    return max(0.0, 1.0 - within)


def holm(ps: Sequence[float | None]) -> list[float | None]:
    """P-values adjusted for multiple tests; None stays None.

    Holm, A simple sequentially rejective multiple test procedure, 1979.
    """
    known = sorted((p, place) for place, p in enumerate(ps) if p is not None)
    adjusted: list[float | None] = [None] * len(ps)
    highest = 0.0
    for rank, (p, place) in enumerate(known):
        highest = max(highest, min(1.0, (len(known) - rank) * p))
        adjusted[place] = highest
    return adjusted
