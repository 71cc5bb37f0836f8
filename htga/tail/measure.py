"""Everything that telemetry and the optimizer want to know of one step's gradient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from htga.tail.choose_k import K
from htga.tail.entries import Tensors, flatten
from htga.tail.hill import hill_of
from htga.tail.log_histogram import LogHistogram
from htga.tail.moment import moment_of
from htga.tail.order_statistics import order_statistics

Estimator = Literal["hill", "moment"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What one gradient looks like; every number a 0-d tensor on its device.

    Attributes:
        alpha_hat: Tail index, float64.
        alpha_stderr: Its standard error, float64.
        xi: Extreme-value index by the moment estimator, float64; not positive if the tail is light.
        k: Size of the tail, int64.
        n: Number of finite non-zero entries, int64.
        grad_norm: l2 norm over all entries, float64; NaN or infinite if an entry is.
        n_zero: Number of exact zeros, int64.
        n_nonfinite: Number of NaNs and infinities, int64.
        status: `TailStatus` of alpha_hat, int8.
        histogram: Counts of the magnitudes.
    """

    alpha_hat: Tensor
    alpha_stderr: Tensor
    xi: Tensor
    k: Tensor
    n: Tensor
    grad_norm: Tensor
    n_zero: Tensor
    n_nonfinite: Tensor
    status: Tensor
    histogram: LogHistogram


def measure(
    tensors: Tensors, *, k: K = "auto", bits: int = 3, estimator: Estimator = "hill"
) -> Measurement:
    """Measure gradients as one sample, without waiting for the device.

    Args:
        tensors: One gradient, or those of all parameters.
        k: Tail size, see `hill`.
        bits: Resolution of the histogram.
        estimator: Where alpha_hat comes from: "hill" on the order statistics, or "moment". xi is
            always the moment estimator's, which alone can call a tail light.

    Raises:
        ValueError: An argument is out of range, or a tensor is not floating point.
    """
    flat = flatten(tensors)
    top = order_statistics(flat, k)
    by_moment = moment_of(top)
    estimate = hill_of(top) if estimator == "hill" else by_moment
    return Measurement(
        alpha_hat=estimate.alpha,
        alpha_stderr=estimate.stderr,
        xi=by_moment.xi,
        k=estimate.k,
        n=estimate.n,
        # Squares of float32 numbers above 1e19 would overflow where the norm itself does not.
        grad_norm=torch.linalg.vector_norm(flat, dtype=torch.float64),
        n_zero=estimate.n_zero,
        n_nonfinite=estimate.n_nonfinite,
        status=estimate.status,
        histogram=LogHistogram(bits, flat.device).update(flat),
    )
