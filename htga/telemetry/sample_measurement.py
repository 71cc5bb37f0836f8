"""The measurement of a drawn sample, or of counts, on NumPy: a step must cost next to nothing.

On so few entries PyTorch spends more time on calling, and on waking its other threads, than on
computing; and those threads are the training's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from htga.tail import DrawnSample, TailStatus
from htga.tail.histogram.counting import MAGNITUDE, count_on_cpu, float32
from htga_client.statistics.hill import (
    MIN_TAIL,
    default_k,
    hill_at,
    hill_of_logs,
    moment_of_logs,
)
from htga_client.wire import Estimator
from htga_client.wire.histogram import n_bins

BITS = 3


@dataclass(frozen=True, slots=True)
class SampleMeasurement:
    """What a sample looks like.

    Attributes:
        numbers: Numbers by name, as in `htga.tail.Measurement`, and Hill's index at k / 4 and 4 k
            as `alpha_quarter` and `alpha_fourfold`.
        state: The counts, int64, as in `htga.tail.LogHistogram`.
    """

    numbers: dict[str, float]
    state: NDArray[np.int64]


def measure_sample(drawn: DrawnSample) -> SampleMeasurement:
    """Measure as `drawn.measure()` does, with float64 rounded to float32."""
    single = float32(drawn.entries)
    counted = torch.zeros(n_bins(BITS) + 2, dtype=torch.int64, device="cpu")
    count_on_cpu(single, BITS, counted)
    state = counted.numpy()
    n, n_nonfinite = int(state[:-2].sum()), int(drawn.n_nonfinite)
    k = default_k(n)
    pattern = single.numpy().view(np.uint32) & MAGNITUDE
    logs = _largest_logs(pattern, int(state[-1]), 4 * k + 1)
    alpha = hill_of_logs(logs, k)
    numbers = {
        "alpha_hat": alpha,
        "alpha_stderr": alpha / k**0.5 if k else np.nan,
        "xi": moment_of_logs(logs, k),
        "k": k,
        "n": n,
        "grad_norm": float(drawn.grad_norm),
        "n_zero": int(state[-2]),
        "n_nonfinite": n_nonfinite,
        "status": _status(alpha, k, n_nonfinite),
        "estimator": Estimator.HILL,
    }
    if k:
        quarter, fourfold = hill_of_logs(logs, k // 4), hill_of_logs(logs, 4 * k)
        numbers |= {"alpha_quarter": quarter, "alpha_fourfold": fourfold}
    return SampleMeasurement(numbers, state)


def measure_counts(state: NDArray[np.int64], bits: int, k: int) -> dict[str, float]:
    """The tail of a histogram by name, but for xi, which counts cannot tell well enough.

    Args:
        state: As in `SampleMeasurement`.
        bits: Mantissa bits of the bins.
        k: Requested size of the tail.
    """
    counts = state[:-2]
    quarter, tail, fourfold = (hill_at(counts, bits, size) for size in (k // 4, k, 4 * k))
    numbers = {
        "alpha_hat": tail.alpha,
        "alpha_stderr": tail.stderr,
        "k": tail.k or k,
        "n": int(counts.sum()),
        "n_zero": int(state[-2]),
        "status": _status(tail.alpha, k, int(state[-1])),
        "estimator": Estimator.BINNED_HILL,
    }
    if k:
        numbers |= {"alpha_quarter": quarter.alpha, "alpha_fourfold": fourfold.alpha}
    return numbers


def _status(alpha: float, k: int, n_nonfinite: int) -> int:
    if n_nonfinite:
        return int(TailStatus.NONFINITE)
    if k < MIN_TAIL:
        return int(TailStatus.TOO_FEW)
    return int(TailStatus.DEGENERATE if np.isnan(alpha) else TailStatus.OK)


def _largest_logs(pattern: NDArray[np.uint32], n_nonfinite: int, size: int) -> NDArray[np.float64]:
    """Logarithms of the `size` largest finite non-zero magnitudes, falling; or of all of them."""
    first = max(pattern.size - n_nonfinite - size, 0)
    largest = np.partition(pattern, first)[first:] if first else pattern
    finite = np.sort(largest)[: largest.size - n_nonfinite]
    falling = finite[finite > 0][::-1].view(np.float32)
    logs: NDArray[np.float64] = np.log(falling, dtype=np.float64)
    return logs
