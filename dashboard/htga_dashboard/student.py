"""Student's t, for intervals and tests of a few seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean, stdev

T_TABLE = (12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281)
"""The 97.5 % quantile of Student's t for 1 to 10 degrees of freedom."""


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


def t_quantile(degrees: int) -> float:
    """The 97.5 % quantile of Student's t (Abramowitz and Stegun 26.7.5 above the table)."""
    if degrees <= len(T_TABLE):
        return T_TABLE[degrees - 1]
    z = NormalDist().inv_cdf(0.975)
    return (
        z
        + (z**3 + z) / (4 * degrees)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * degrees**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * degrees**3)
    )
