"""The numbers that describe the noise between minibatches, from differences of their gradients."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from htga.telemetry.closures.stable_scaling import stable_index, stable_scale
from htga_client.statistics.hill import MIN_TAIL, default_k, hill_of_logs

Floats = NDArray[np.float64]
Differences = NDArray[np.float32]
"""(g_1 - g_2) / sqrt(2) of pairs of minibatch gradients, shape [pairs, coordinates].

It has the covariance of the noise of one minibatch, and is symmetric whatever the noise is."""

NORM_TAIL = 0.1
"""Share of the norms that count as their tail; there are few of them."""

LEVEL = 0.05
"""Share of coordinates with Gaussian noise that are not called light."""

NORMAL = 1.96
"""Two-sided 95 % quantile of the normal law."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseNumbers:
    """The noise of a minibatch gradient; NaN is what these minibatches cannot tell.

    Attributes:
        noise_alpha: Index of the stable law by which the noise averages out over minibatches, see
            `stable_index`; 2 for Gaussian noise.
        noise_stderr: Its standard error.
        noise_sigma: Scale of that law for a typical coordinate of one minibatch's noise, see
            `stable_scale`.
        noise_hill: Hill's index of the entries of the noise, all coordinates and pairs together:
            what `alpha_hat` is for a gradient.
        noise_norm: Root mean square of the noise's norm.
        noise_norm_alpha: Hill's index of the norm over minibatches, of its upper tenth, at least 10
            of them; needs 20 pairs.
        noise_slope: Slope of ln(norm of the mean of b minibatches' noise) over ln b: -1/2 where
            the noise has a finite variance, 1/alpha - 1 where it is stable.
        noise_scale: Gradient noise scale, in samples; infinite where the mean gradient cannot be
            told from zero, NaN without the size of a minibatch.
        noise_share: Share of coordinates whose noise looks no heavier than Gaussian, at a level of
            5 %: 0.95 if all of it is Gaussian.
    """

    noise_alpha: float
    noise_stderr: float
    noise_sigma: float
    noise_hill: float
    noise_norm: float
    noise_norm_alpha: float
    noise_slope: float
    noise_scale: float
    noise_share: float

    @property
    def is_light(self) -> bool:
        """Whether the interval of `noise_alpha` reaches 2, so that the noise may be Gaussian."""
        return self.noise_alpha + NORMAL * self.noise_stderr >= 2

    @property
    def known(self) -> dict[str, float]:
        """The numbers that there are."""
        return {name: number for name, number in asdict(self).items() if not math.isnan(number)}

    @classmethod
    def of(cls, differences: Differences, norms: Floats, *, noise_scale: float) -> NoiseNumbers:
        """The numbers of a sample of coordinates, and of norms over all coordinates.

        Args:
            differences: Of the sample.
            norms: Norm of the whole difference of each pair, shape [pairs].
            noise_scale: See `gradient_noise_scale`.
        """
        with np.errstate(all="ignore"):
            alpha, stderr = stable_index(differences)
            return cls(
                noise_alpha=alpha,
                noise_stderr=stderr,
                # The difference of two stable numbers, over sqrt(2), has another scale than one.
                noise_sigma=stable_scale(differences, alpha) * 2 ** (0.5 - 1 / alpha),
                noise_hill=entry_index(differences),
                noise_norm=float(np.sqrt(np.square(norms).mean())) if norms.size else math.nan,
                noise_norm_alpha=norm_index(norms),
                noise_slope=norm_slope(differences),
                noise_scale=noise_scale,
                noise_share=light_share(differences),
            )


def gradient_noise_scale(
    mean_square: float, square_of_mean: float, batches: int, batch_size: int | None
) -> float:
    """tr(Sigma) / |G|**2 (McCandlish et al. 2018), each without bias from minibatch gradients.

    With S the mean of the squares and M the square of the mean of N minibatches of b samples,
    tr(Sigma) / b = (S - M) N / (N - 1) and |G|**2 = (N M - S) / (N - 1).

    Args:
        mean_square: Mean of |g|**2 over the minibatches.
        square_of_mean: |mean g|**2.
        batches: N, at least 2.
        batch_size: b; None if it is not known.

    Returns:
        In samples; infinite where the estimate of |G|**2 is not positive, so that more minibatches
        are needed to tell; 0 without noise; NaN without `batch_size` or a gradient.
    """
    if batch_size is None or not math.isfinite(mean_square) or mean_square == 0:
        return math.nan
    noise = max((mean_square - square_of_mean) * batches / (batches - 1), 0.0)
    signal = (batches * square_of_mean - mean_square) / (batches - 1)
    return batch_size * noise / signal if signal > 0 else math.inf


def entry_index(differences: Differences) -> float:
    """Hill's index of the largest 1 % of all entries; NaN where they are too few."""
    sizes = np.abs(differences[np.isfinite(differences) & (differences != 0)]).astype(np.float64)
    k = default_k(sizes.size)
    if not k:
        return math.nan
    largest = np.partition(sizes, sizes.size - k - 1)[sizes.size - k - 1 :]
    return hill_of_logs(np.log(np.sort(largest)[::-1]), k)


def norm_index(norms: Floats) -> float:
    """Hill's index of the largest tenth of the norms, at least 10; NaN of fewer than 20 norms."""
    k = max(MIN_TAIL, round(NORM_TAIL * norms.size))
    usable = norms[np.isfinite(norms) & (norms > 0)]
    if usable.size < 2 * MIN_TAIL:
        return math.nan
    return hill_of_logs(np.log(np.sort(usable)[::-1]), k)


def norm_slope(differences: Differences) -> float:
    """Least-squares slope of the mean of ln(norm) over ln b, for means of b = 1, 2, 4, ... pairs.

    Each b that leaves two means or more counts by their number; NaN with fewer than four pairs.
    """
    pairs = len(differences)
    sizes, logs, weights = [], [], []
    size = 1
    while pairs // size >= 2:
        groups = pairs // size
        means = (
            differences[: groups * size].reshape(groups, size, -1).mean(axis=1, dtype=np.float64)
        )
        sizes.append(math.log(size))
        logs.append(float(np.log(np.linalg.norm(means, axis=1)).mean()))
        weights.append(groups)
        size *= 2
    if len(sizes) < 2 or not np.isfinite(logs).all():
        return math.nan
    x, w = np.array(sizes), np.array(weights)
    x = x - np.average(x, weights=w)
    return float((w * x * np.array(logs)).sum() / (w * x**2).sum())


def light_share(differences: Differences) -> float:
    """The share of coordinates whose kurtosis is below the 95 % quantile of Gaussian noise.

    The kurtosis about zero of n numbers, n sum x**4 / (sum x**2)**2, has a law of its own for each
    n, so that 95 % of coordinates with Gaussian noise pass whatever n is. NaN with fewer than four
    pairs, or where no coordinate has noise.
    """
    pairs = len(differences)
    if pairs < 4:
        return math.nan
    largest = np.abs(differences).max(axis=0)
    used = (
        differences[:, np.isfinite(largest) & (largest > 0)]
        / largest[np.isfinite(largest) & (largest > 0)]
    )
    return float((_kurtosis(used) < _gaussian_limit(pairs)).mean()) if used.size else math.nan


def _kurtosis(x: NDArray[np.floating]) -> Floats:
    squares = np.square(x.astype(np.float64, copy=False))
    found: Floats = len(x) * np.square(squares).sum(axis=0) / np.square(squares.sum(axis=0))
    return found


@lru_cache(maxsize=16)
def _gaussian_limit(pairs: int) -> float:
    """The 95 % quantile of `_kurtosis` of Gaussian numbers, by draws that are always the same."""
    draws = min(max(4_000_000 // pairs, 1_000), 40_000)
    return float(
        np.quantile(_kurtosis(np.random.default_rng(0).standard_normal((pairs, draws))), 1 - LEVEL)
    )
