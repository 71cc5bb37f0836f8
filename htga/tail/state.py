"""The measurements of an optimizer step, for telemetry to read."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from htga.tail.histogram.log_histogram import LogHistogram


@dataclass(frozen=True, slots=True, kw_only=True)
class TailState:
    """A snapshot of one step of a controller, every number a 0-d tensor on the gradient's device.

    It is of the sample that the optimizer controls, before amplification: the entries of its scope,
    in the units of its scope, of the gradient or of the base's update. Telemetry measures the raw
    gradient as it does for any other optimizer.

    Later steps do not write to its tensors, so they can be read at any time.

    Attributes:
        control_alpha: Tail index of the sample, float64.
        control_alpha_bar: Its moving average, float64; NaN before the first usable estimate.
        control_stderr: Standard error of control_alpha, float64.
        xi: Extreme-value index by the moment estimator, float64.
        k: Size of the tail, int64.
        n: Number of finite non-zero entries, int64.
        gamma: Factor on the gradient, float64.
        beta: Exponent of the rank weights, float64.
        target_alpha: Target of the controller, float64.
        update_alpha: Tail index of what was applied, float64: of the amplified gradient, before it
            is rounded to the type of a gradient in half precision, or of the amplified update. None
            where the gradient is amplified and the optimizer makes something else of it, of which
            nothing is measured.
        grad_norm: l2 norm of the raw gradient, float64; NaN or infinite if an entry is.
        norm_ratio: l2 norm of the amplified gradient over that of the raw one, float64.
        n_zero: Number of exact zeros, int64.
        n_nonfinite: Number of NaNs and infinities, int64.
        status: `TailStatus` of control_alpha, int8.
        skipped: Steps skipped so far because a number was not finite, this one included, int64.
        histogram: Counts of the sample's magnitudes.
    """

    control_alpha: Tensor
    control_alpha_bar: Tensor
    control_stderr: Tensor
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
