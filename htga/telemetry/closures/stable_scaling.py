"""The index of a stable law from how independent draws add up, coordinate by coordinate."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

MIN_DRAWS = 4
"""Minimum number of draws: with fewer, nothing tells how sure the index is."""

MIN_COORDINATES = 50
"""Minimum number of coordinates that are never zero."""

MAX_TERMS = 8
"""Maximum number of draws in a sum; about e**2 of them tell most (Mohammadi et al. 2015)."""


def terms(draws: int) -> int:
    """How many draws are added: the largest power of two up to half of them, and up to 8."""
    return min(MAX_TERMS, 1 << max(draws // 2, 1).bit_length() - 1)


def never_zero(draws: NDArray[np.float32]) -> NDArray[np.float32]:
    """The coordinates that are finite and not zero in any draw; shapes [n, d] and [n, up to d]."""
    return draws[:, (np.isfinite(draws) & (draws != 0)).all(axis=0)]


def stable_index(draws: NDArray[np.float32]) -> tuple[float, float]:
    """The index of a symmetric stable law, and its standard error.

    A sum of m independent draws of a strictly stable law is as large as m**(1/alpha) draws, so that
    1/alpha = (mean ln|sum| - mean ln|draw|) / ln m (Mohammadi, Mohammadpour and Ogata, Metrika
    2015), here with the sums of m = `terms(n)` consecutive draws, in a ring. Sums are of one
    coordinate, so each may have a scale of its own. The standard error is the jackknife's over
    draws, so the coordinates of a draw may depend on one another.

    It asks how draws average out. Gaussian draws give 2, draws that are anticorrelated more; other
    laws give what the sums of m of them look like: with finite variance 2 for large m.

    Args:
        draws: Independent draws of a vector, shape [n, d], such as differences of gradients.
            Coordinates that are ever zero are left out.

    Returns:
        Both NaN with fewer than `MIN_DRAWS` draws or `MIN_COORDINATES` coordinates, or where sums
        are not larger than what they are made of.
    """
    used = never_zero(draws)
    n, m = len(used), terms(len(used))
    if n < MIN_DRAWS or used.shape[1] < MIN_COORDINATES:
        return math.nan, math.nan
    alone = np.array([_mean_log(draw) for draw in used])
    ring = [np.arange(first, first + m) % n for first in range(n)]
    summed = np.array([_mean_log(used[places].sum(axis=0, dtype=np.float64)) for places in ring])
    inverse = (summed.mean() - alone.mean()) / math.log(m)
    if not inverse > 0:
        return math.nan, math.nan
    left_out = np.array(
        [
            (np.delete(summed, (place - np.arange(m)) % n).mean() - np.delete(alone, place).mean())
            / math.log(m)
            for place in range(n)
        ]
    )
    variance = (n - 1) / n * np.square(left_out - left_out.mean()).sum()
    return float(1 / inverse), float(math.sqrt(variance) / inverse**2)


def stable_scale(draws: NDArray[np.float32], alpha: float) -> float:
    """The scale of a symmetric stable law of this index with the same mean of ln|draw|.

    E ln|X| = ln(scale) + (1/alpha - 1) c, with c Euler's constant (Zolotarev 1986). It is the scale
    of a typical coordinate, a geometric mean over them; NaN if there is none.
    """
    used = never_zero(draws)
    if not used.size or not alpha > 0:
        return math.nan
    return float(math.exp(_mean_log(used) - (1 / alpha - 1) * np.euler_gamma))


def _mean_log(x: NDArray[np.floating]) -> float:
    sizes = np.abs(x.astype(np.float64, copy=False))
    return float(np.log(np.maximum(sizes, np.finfo(np.float64).tiny)).mean())
