"""The double bootstrap for the tail size."""

from __future__ import annotations

from math import log
from typing import Literal

import torch
from torch import Tensor

from htga.tail.flat_tensors import Tensors, flatten
from htga_client.statistics.hill import MIN_SAMPLE, MIN_TAIL

MAX_N = 100_000
ATTEMPTS = 10


def double_bootstrap(
    x: Tensors,
    *,
    seed: int = 0,
    resamples: int = 500,
    factor: Literal["qi", "danielsson"] = "qi",
) -> Tensor:
    """The tail size at which Hill's estimator has the least mean squared error, by resampling.

    For n1 and n2 = n1**2 / n, the k1 and k2 are found that minimise the mean over resamples of
    (M_2 - 2 M_1**2)**2, whose minimiser moves with the sample size as that of Hill's error does;
    then k = k1**2 / k2 * rho (Danielsson, de Haan, Peng and de Vries, Journal of Multivariate
    Analysis 2001; rho also after Qi 2008). n1 = n**e with e = (1 + ln(n/2) / ln n) / 2.

    For offline use: it takes seconds, runs on the CPU and waits for the device.

    Args:
        x: The sample, 500 to 100,000 finite non-zero entries.
        seed: The same seed gives the same result.
        resamples: Number of resamples of each size.
        factor: Whose rho to use.

    Returns:
        int64, 0-d, on the CPU; 0 if the sample is too small, or if k2 was not below k1 in any of
        ten attempts, so that no size can be recommended.

    Raises:
        TypeError: `x` is neither a tensor nor a sequence of them.
        ValueError: The sample is too large, an argument is out of range, or `x` is not floating
            point.
    """
    if resamples < 1:
        raise ValueError(f"resamples must be at least 1, got {resamples}")
    if factor not in {"qi", "danielsson"}:
        raise ValueError(f"factor must be 'qi' or 'danielsson', got {factor!r}")
    flat = flatten(x).cpu().double().abs()
    logs = flat[flat.isfinite() & (flat > 0)].log()
    n = logs.numel()
    if n > MAX_N:
        raise ValueError(
            f"x must have at most {MAX_N} finite non-zero entries, got {n}; take a random part, or "
            "k by the power rule"
        )
    if n < MIN_SAMPLE:
        return torch.tensor(0, device="cpu")
    n1 = round(n ** ((1 + log(n / 2) / log(n)) / 2))
    n2 = round(n1**2 / n)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(ATTEMPTS):
        k1, k2 = (_best_k(logs, size, resamples, generator) for size in (n1, n2))
        if MIN_TAIL <= k2 < k1:
            k = round(k1**2 / k2 * _rho(k1, n1, factor))
            return torch.tensor(min(max(k, MIN_TAIL), n - 1), device="cpu")
    return torch.tensor(0, device="cpu")


def _rho(k1: int, n1: int, factor: str) -> float:
    if factor == "qi":
        return float((2 * (log(n1) / log(k1) - 1)) ** (log(k1) / log(n1) - 1))
    ratio = log(k1) / (2 * log(n1) - log(k1))
    return float(ratio ** (2 * (log(n1) - log(k1)) / log(n1)))


def _best_k(logs: Tensor, size: int, resamples: int, generator: torch.Generator) -> int:
    """The k from 10 that minimises the mean of (M_2 - 2 M_1**2)**2 over resamples."""
    total = torch.zeros(size - 1, dtype=torch.float64, device="cpu")
    for _ in range(resamples):
        chosen = torch.randint(logs.numel(), (size,), generator=generator, device="cpu")
        m1, m2 = moments(logs.take(chosen).sort(descending=True).values)
        total += (m2 - 2 * m1.square()).square()
    return int(total[MIN_TAIL - 1 :].argmin()) + MIN_TAIL


def moments(logs: Tensor) -> tuple[Tensor, Tensor]:
    """M_1 and M_2 of the log-excesses for every tail size k = 1 to n - 1.

    They are built up from one k to the next by sums of non-negative terms, because differences of
    large cumulative sums would cancel.

    Args:
        logs: In descending order, float64 of shape [n].

    Returns:
        float64 of shape [n - 1] each.
    """
    k = torch.arange(1, logs.numel(), dtype=torch.float64, device="cpu")
    gap = -logs.diff()
    first = (k * gap).cumsum(0)
    before = torch.cat([first.new_zeros(1), first[:-1]])
    second = (2 * gap * before + k * gap.square()).cumsum(0)
    return first / k, second / k
