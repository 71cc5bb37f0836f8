"""Confidence intervals of a tail index."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from htga.tail.estimate import TailEstimate


def confidence_interval(
    estimate: TailEstimate,
    *,
    level: float = 0.95,
    method: Literal["normal", "exact"] = "normal",
) -> tuple[Tensor, Tensor]:
    """Bounds of alpha, without waiting for the device.

    * "normal": alpha -+ z stderr, of any estimate. Give it one of `jackknife` and it allows for
      entries that depend on one another.
    * "exact": of Hill's estimate of independent Pareto entries, where 2 k alpha / alpha_hat has
      the chi-square law with 2 k degrees of freedom. The quantiles are those of Wilson and
      Hilferty (1931), right to 0.1 % from k = 10 on.

    Args:
        estimate: Any estimate; for "exact", one of `hill`.
        level: Probability that the bounds contain alpha, in (0, 1).
        method: As above.

    Returns:
        Lower and upper bound, float64, 0-d; NaN where there is no estimate.

    Raises:
        ValueError: `level` or `method` is unknown or out of range.
    """
    if not 0 < level < 1:
        raise ValueError(f"level must be in (0, 1), got {level}")
    z = torch.special.ndtri(
        torch.tensor([(1 - level) / 2, (1 + level) / 2], dtype=torch.float64)
    ).to(estimate.alpha.device)
    if method == "normal":
        lower, upper = estimate.alpha + z * estimate.stderr
    elif method == "exact":
        ninth = 2 / (9 * 2 * estimate.k.double())
        lower, upper = estimate.alpha * (1 - ninth + z * ninth.sqrt()) ** 3
    else:
        raise ValueError(f"method must be 'normal' or 'exact', got {method!r}")
    return lower, upper
