"""Samples whose tail index is known, float64, made by inversion of numpy's uniform numbers.

Each function draws from a fresh generator, so a sample depends on its arguments alone.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy import stats
from torch import Tensor


def pareto_grid(alpha: float, n: int) -> Tensor:
    """The quantiles of a Pareto law at (i - 1/2) / n, i = 1 to n, largest first: no randomness."""
    return torch.from_numpy(((np.arange(1, n + 1) - 0.5) / n) ** (-1 / alpha))


def pareto(alpha: float, n: int, seed: int = 12345) -> Tensor:
    uniform = np.random.default_rng(seed).random(n)
    return torch.from_numpy((1 - uniform) ** (-1 / alpha))


def student_t(alpha: float, n: int, seed: int = 12345) -> Tensor:
    """As many degrees of freedom as the tail index."""
    return torch.from_numpy(stats.t.ppf(np.random.default_rng(seed).random(n), alpha))


def stable(alpha: float, n: int, seed: int = 12345) -> Tensor:
    """Symmetric, scale 1, by Chambers, Mallows and Stuck."""
    generator = np.random.default_rng(seed)
    u = np.pi * (generator.random(n) - 0.5)
    w = -np.log1p(-generator.random(n))
    x = np.sin(alpha * u) / np.cos(u) ** (1 / alpha)
    return torch.from_numpy(x * (np.cos((1 - alpha) * u) / w) ** ((1 - alpha) / alpha))


def gaussian(n: int, seed: int = 12345) -> Tensor:
    """No power law: the extreme-value index is 0."""
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(n))


def uniform(n: int, seed: int = 12345) -> Tensor:
    """A bounded law: the extreme-value index is -1."""
    return torch.from_numpy(np.random.default_rng(seed).random(n))


def frechet(alpha: float, n: int, seed: int = 12345) -> Tensor:
    """Extreme values of index alpha; a power law in the tail alone."""
    return torch.from_numpy(stats.invweibull.ppf(np.random.default_rng(seed).random(n), alpha))


def burr(alpha: float, n: int, seed: int = 12345) -> Tensor:
    """Burr XII with c = 2, so that its tail index c * d is alpha."""
    return torch.from_numpy(stats.burr12.ppf(np.random.default_rng(seed).random(n), 2, alpha / 2))


def laplace(n: int, seed: int = 12345) -> Tensor:
    """No power law: the extreme-value index is 0."""
    return torch.from_numpy(stats.laplace.ppf(np.random.default_rng(seed).random(n)))


def layers(count: int, n: int, seed: int = 12345) -> Tensor:
    """Gaussian layers of n entries each whose scales spread over three decades, end to end."""
    generator = np.random.default_rng(seed)
    scales = 10 ** generator.uniform(-3, 0, count)
    return torch.from_numpy((scales[:, None] * generator.standard_normal((count, n))).ravel())
