"""Confidence intervals of a tail index."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from htga.tail.estimate import TailEstimate

NEWTON_STEPS = 4


def confidence_interval(
    estimate: TailEstimate,
    *,
    level: float = 0.95,
    method: Literal["normal", "exact"] = "normal",
) -> tuple[Tensor, Tensor]:
    """Bounds of alpha, without waiting for the device.

    * "normal": alpha -+ z stderr, for any estimate. With an estimate by `jackknife` it allows for
      entries that depend on one another.
    * "exact": for Hill's estimate of independent Pareto entries, where 2 k alpha / alpha_hat has
      the chi-square law with 2 k degrees of freedom.

    Args:
        estimate: Any estimate; for "exact", one by `hill`.
        level: Probability that the bounds contain alpha, in (0, 1).
        method: As above.

    Returns:
        Lower and upper bound, float64, 0-d; NaN if there is no estimate.

    Raises:
        ValueError: `level` or `method` is unknown or out of range.
    """
    if not 0 < level < 1:
        raise ValueError(f"level must be in (0, 1), got {level}")
    device = estimate.alpha.device
    p = torch.tensor([(1 - level) / 2, (1 + level) / 2], dtype=torch.float64, device=device)
    if method == "normal":
        lower, upper = estimate.alpha + torch.special.ndtri(p) * estimate.stderr
    elif method == "exact":
        k = estimate.k.double()
        lower, upper = estimate.alpha * _gamma_quantile(k, p) / k
    else:
        raise ValueError(f"method must be 'normal' or 'exact', got {method!r}")
    return lower, upper


def _gamma_quantile(k: Tensor, p: Tensor) -> Tensor:
    """Quantiles of the gamma law of shape `k`, half those of chi-square with 2 k degrees."""
    ninth = 1 / (9 * k)
    x: Tensor = k * (1 - ninth + torch.special.ndtri(p) * ninth.sqrt()) ** 3  # Wilson and Hilferty
    for _ in range(NEWTON_STEPS):
        density = ((k - 1) * x.log() - x - torch.lgamma(k)).exp()
        x = x - (torch.special.gammainc(k.expand_as(x), x) - p) / density
    return x
