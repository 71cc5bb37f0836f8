"""The measurements of an optimizer step, for telemetry to read."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from htga.tail.histogram.log_histogram import LogHistogram


@dataclass(frozen=True, slots=True, kw_only=True)
class TailState:
    """A snapshot of one step, every number a 0-d tensor on the gradient's device.

    Later steps do not write to its tensors, so they can be read at any time.

    Attributes:
        alpha_hat: Tail index of the raw gradient, float64.
        alpha_bar: Its moving average, float64; NaN before the first usable estimate.
        alpha_stderr: Standard error of alpha_hat, float64.
        xi: Extreme-value index by the moment estimator, float64.
        k: Size of the tail, int64.
        n: Number of finite non-zero entries, int64.
        gamma: Factor on the gradient, float64.
        beta: Exponent of the rank weights, float64.
        target_alpha: Target of the controller, float64.
        update_alpha: Tail index of what was applied, float64: of the amplified gradient, or of the
            amplified update. None where the gradient is amplified and the optimizer makes something
            else of it, of which nothing is measured.
        grad_norm: l2 norm of the raw gradient, float64; NaN or infinite if an entry is.
        norm_ratio: l2 norm of the amplified gradient over that of the raw one, float64.
        n_zero: Number of exact zeros, int64.
        n_nonfinite: Number of NaNs and infinities, int64.
        status: `TailStatus` of alpha_hat, int8.
        skipped: Steps skipped so far because a number was not finite, this one included, int64.
        histogram: Counts of the raw gradient's magnitudes.
    """

    alpha_hat: Tensor
    alpha_bar: Tensor
    alpha_stderr: Tensor
    xi: Tensor
    k: Tensor
    n: Tensor
    gamma: Tensor
    beta: Tensor
    target_alpha: Tensor
    update_alpha: Tensor | None
    grad_norm: Tensor
    norm_ratio: Tensor
    n_zero: Tensor
    n_nonfinite: Tensor
    status: Tensor
    skipped: Tensor
    histogram: LogHistogram
