"""Intervals and tests of a few seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from htga_client.statistics.student_t import t_quantile


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean and what is known of it.

    Attributes:
        mean: Of n values.
        half: Half the width of its 95 % interval, or None for fewer than two values.
        n: How many.
        p: Of the mean being zero, two-sided, or None for fewer than two values.
    """

    mean: float
    half: float | None
    n: int
    p: float | None


def interval(values: Sequence[float]) -> Interval | None:
    """The mean of values with its 95 % interval, as if they were Gaussian; None of no value."""
    n = len(values)
    if n < 2:
        return Interval(values[0], None, 1, None) if n else None
    mean, error = fmean(values), stdev(values) / math.sqrt(n)
    p = float(mean == 0) if error == 0 else p_value(mean / error, n - 1)
    return Interval(mean, t_quantile(n - 1) * error, n, p)


def p_value(t: float, degrees: int) -> float:
    """That |T| is at least |t|, exactly (Abramowitz and Stegun 26.7.3 and 26.7.4)."""
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
    """P-values of several tests, each raised so that all together err as seldom as one.

    Holm, A simple sequentially rejective multiple test procedure, 1979.
    """
    known = sorted((p, place) for place, p in enumerate(ps) if p is not None)
    raised: list[float | None] = [None] * len(ps)
    most = 0.0
    for rank, (p, place) in enumerate(known):
        most = max(most, min(1.0, (len(known) - rank) * p))
        raised[place] = most
    return raised
