"""Tests and intervals over a few paired differences that suppose no distribution."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

MAX_EXACT = 20
"""Up to so many values all signs are tried: a million."""

DRAWS = 10_000


def sign_flip_p(values: Sequence[float], *, seed: int = 0) -> float:
    """Two-sided p-value of a mean of zero, if each value could as well have the other sign.

    The share of all 2**n choices of signs whose mean is at least as far from zero as that of the
    values. Beyond 20 values it is the share of 9,999 random choices, and the values themselves.

    Args:
        values: Finite differences, at least one.
        seed: Of the random choices.

    Raises:
        ValueError: There is no value, or one is not finite.
    """
    x = _checked(values)
    n = len(x)
    if n <= MAX_EXACT:
        sums = np.zeros(1)
        for value in x:
            sums = np.concatenate([sums - value, sums + value])
    else:
        signs = np.random.default_rng(seed).choice([-1.0, 1.0], size=(DRAWS - 1, n))
        sums = np.concatenate([signs @ x, [x.sum()]])
    # Sums in another order differ by rounding.
    nearly = abs(x.sum()) * (1 - 1e-9) - 1e-12 * np.abs(x).sum()
    return float((np.abs(sums) >= nearly).mean())


def bootstrap_interval(
    values: Sequence[float], *, level: float = 0.95, draws: int = DRAWS, seed: int = 0
) -> tuple[float, float]:
    """The percentile bootstrap interval of the mean (Efron 1979).

    With few values it is too narrow: at 95 % it holds the mean of a normal law 85 % of the time
    with five values, 93 % with sixteen.

    Args:
        values: Finite numbers, at least one.
        level: In (0, 1).
        draws: Number of samples with replacement.
        seed: Of these.

    Raises:
        ValueError: There is no value, or one is not finite.
    """
    x = _checked(values)
    chosen = np.random.default_rng(seed).integers(0, len(x), size=(draws, len(x)))
    low, high = np.quantile(x[chosen].mean(1), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _checked(values: Sequence[float]) -> np.ndarray:
    x = np.asarray(values, dtype=np.float64)
    if not len(x) or not np.isfinite(x).all():
        raise ValueError(f"values must be at least one finite number, got {list(values)}")
    return x
