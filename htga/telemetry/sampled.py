"""A sample measured where a step must cost next to nothing.

In NumPy and from the largest entries alone, for on so few PyTorch spends more on calling, and on
waking its other threads, than on computing; those threads are the training's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from htga.tail import Draw, TailStatus
from htga.tail.histogram.counting import MAGNITUDE, count_on_cpu, float32
from htga.tail.tail_size import MIN_K
from htga_client.statistics.hill import default_k
from htga_client.wire.histogram import n_bins

BITS = 3


@dataclass(frozen=True, slots=True)
class Sampled:
    """What a drawn sample looks like.

    Attributes:
        numbers: By name, as in `htga.tail.Measurement`, and `alpha_quarter` and `alpha_fourfold`:
            Hill's index from a quarter of the k largest, and from four times as many.
        state: The counts, int64, as in `htga.tail.LogHistogram`.
    """

    numbers: dict[str, float]
    state: NDArray[np.int64]


def sampled(draw: Draw) -> Sampled:
    """What `draw.measure()` tells, with float64 rounded to float32."""
    single = float32(draw.entries)
    counted = torch.zeros(n_bins(BITS) + 2, dtype=torch.int64)
    count_on_cpu(single, BITS, counted)
    state = counted.numpy()
    n, n_nonfinite = int(state[:-2].sum()), int(draw.n_nonfinite)
    k = default_k(n)
    pattern = single.numpy().view(np.uint32) & MAGNITUDE
    logs = _tail(pattern, int(state[-1]), 4 * k + 1)
    alpha = _hill(logs, k)
    status = TailStatus.OK
    if n_nonfinite:
        status = TailStatus.NONFINITE
    elif k < MIN_K:
        status = TailStatus.TOO_FEW
    elif np.isnan(alpha):
        status = TailStatus.DEGENERATE
    numbers = {
        "alpha_hat": alpha,
        "alpha_stderr": alpha / k**0.5 if k else np.nan,
        "xi": _moment(logs, k),
        "k": k,
        "n": n,
        "grad_norm": float(draw.grad_norm),
        "n_zero": int(state[-2]),
        "n_nonfinite": n_nonfinite,
        "status": int(status),
    }
    if k:
        numbers |= {"alpha_quarter": _hill(logs, k // 4), "alpha_fourfold": _hill(logs, 4 * k)}
    return Sampled(numbers, state)


def _tail(pattern: NDArray[np.uint32], n_nonfinite: int, size: int) -> NDArray[np.float64]:
    """Logarithms of the `size` largest finite magnitudes, falling; fewer where fewer are not 0."""
    first = max(pattern.size - n_nonfinite - size, 0)
    largest = np.partition(pattern, first)[first:] if first else pattern
    finite = np.sort(largest)[: largest.size - n_nonfinite]
    falling = finite[finite > 0][::-1].view(np.float32)
    logs: NDArray[np.float64] = np.log(falling, dtype=np.float64)
    return logs


def _hill(logs: NDArray[np.float64], k: int) -> float:
    """Hill's index of the `k` largest; NaN for too few of them, or a tail without spread."""
    if k < MIN_K or logs.size <= k:
        return np.nan
    mean = float((logs[:k] - logs[k]).mean())
    return 1 / mean if mean > 0 else np.nan


def _moment(logs: NDArray[np.float64], k: int) -> float:
    """The moment estimator's index of the `k` largest, see `htga.tail.moment`; or NaN."""
    if k < MIN_K or logs.size <= k:
        return np.nan
    excesses = logs[:k] - logs[k]
    m1, m2 = float(excesses.mean()), float(np.square(excesses).mean())
    spread = 1 - m1**2 / m2 if m2 else 0.0
    return m1 + 1 - 0.5 / spread if spread > 1e-12 else np.nan
