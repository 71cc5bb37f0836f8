"""The moving average of the tail index."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from htga.tail.estimate import TailStatus

SmoothingOf = Literal["alpha", "inv_alpha"]

ALPHA_RANGE = (0.1, 20.0)
"""Estimates are clamped to this range; a nearly degenerate step would dominate the average."""


def smooth(
    alpha_bar: Tensor, alpha_hat: Tensor, status: Tensor, smoothing: float, of: SmoothingOf
) -> Tensor:
    """One step of the exponential moving average, without waiting for the device.

    alpha_bar <- smoothing * alpha_bar + (1 - smoothing) * alpha_hat, or the same of the
    reciprocals. The first usable estimate starts the average; unusable ones do not change it.

    Args:
        alpha_bar: The average so far, float64, 0-d; NaN before the first usable estimate.
        alpha_hat: This step's estimate, float64, 0-d.
        status: Its `TailStatus`; only OK is usable.
        smoothing: lambda in [0, 1); 0 forgets everything but the last estimate.
        of: Average "alpha" itself, or "inv_alpha", whose sampling distribution is symmetric and
            which a nearly light step cannot dominate.
    """
    value = alpha_hat.clamp(*ALPHA_RANGE)
    if of == "alpha":
        mean = smoothing * alpha_bar + (1 - smoothing) * value
    else:
        mean = 1 / (smoothing / alpha_bar + (1 - smoothing) / value)
    mean = torch.where(alpha_bar.isnan(), value, mean)
    return torch.where(status == TailStatus.OK, mean, alpha_bar)
