"""Hill's estimate at other tail sizes, from counts that are on the host already.

In NumPy, for on tensors of two thousand entries PyTorch spends ten times as long on calling as on
computing.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from htga.tail.histogram.binned import TINIEST
from htga.tail.tail_size import MIN_K
from htga_client.statistics.hill import grouped_pareto
from htga_client.wire.histogram import edges, n_bins


def hill_at(counts: NDArray[np.int64], bits: int, k: int) -> float:
    """The tail index of the edge with a number of entries above it nearest to `k`, or NaN.

    Args:
        counts: All bins, int64 of shape [255 * 2**bits].
        bits: Mantissa bits of the bins.
        k: Wanted size of the tail.
    """
    above = counts[::-1].cumsum()[::-1]
    n = int(above[0])
    if k < MIN_K or n <= k:
        return np.nan
    distance = np.where(above < MIN_K, n + k, np.abs(above - k))
    subnormal = 1 << bits
    first = max(int(distance[subnormal:].argmin()) + subnormal, int((above == n).sum()) - 1)
    filled = first + np.flatnonzero(counts[first:])
    tail, logs = counts[filled].astype(np.float64), _log_edges(bits)
    size, spread = tail.sum(), (tail * (logs[filled] - logs[first])).sum()
    if size < MIN_K or spread == 0:
        return np.nan
    widths = logs[filled + 1] - logs[filled]
    alpha, _ = grouped_pareto(tail[None], widths, np.array([spread]))
    return float(alpha[0])


@lru_cache(maxsize=9)
def _log_edges(bits: int) -> NDArray[np.float64]:
    return np.log(np.maximum(edges(bits, 0, n_bins(bits)), TINIEST))
