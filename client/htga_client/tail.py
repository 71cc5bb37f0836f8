"""The tail of a histogram of magnitudes: how much lies beyond, and Hill's index at every edge.

Pure functions of numpy arrays, for whoever reads histograms back and has no torch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LEAST = 10
"""No index is estimated from fewer entries: its standard error would exceed 30 %."""

STEPS = 25
"""Of Newton's method, which converges from below for this convex, falling function."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HillPlot:
    """Hill's index for every tail that begins at an edge; all arrays of one length, k falling.

    Attributes:
        threshold: Where the tail begins.
        k: Entries in it.
        alpha: Its index.
        stderr: Of alpha, as if the entries were independent.
    """

    threshold: Floats
    k: NDArray[np.int64]
    alpha: Floats
    stderr: Floats

    def nearest(self, k: int) -> int | None:
        """Place of the tail whose size is nearest to `k`; None where there is no tail."""
        return int(np.abs(self.k - k).argmin()) if len(self.k) else None


def survival(edges: Floats, counts: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """The share of entries at or above each edge that any are above.

    Args:
        edges: Increasing, not negative, shape [B + 1].
        counts: Entries from each edge up to the next, shape [B].

    Returns:
        Those edges that are positive, and the shares, which fall.
    """
    above = counts[::-1].cumsum()[::-1]
    shown = (above > 0) & (edges[:-1] > 0)
    return edges[:-1][shown], above[shown] / max(int(above[0]) if len(above) else 0, 1)


def hill_plot(edges: Floats, counts: NDArray[np.int64]) -> HillPlot:
    """The maximum likelihood of a Pareto tail on bins, for every edge with `LEAST` entries above.

    For the tail from edge J on, with h_j the logarithm of a bin's upper edge over its lower and
    t_j that of its lower edge over edge J, alpha solves
    sum_j n_j h_j / (exp(alpha h_j) - 1) = sum_j n_j t_j.

    Args:
        edges: Increasing, not negative, shape [B + 1].
        counts: Entries from each edge up to the next, shape [B].
    """
    usable = edges[:-1] > 0
    lower, upper, n = edges[:-1][usable], edges[1:][usable], counts[usable].astype(np.float64)
    above = n[::-1].cumsum()[::-1]
    # A bin without entries begins the same tail as the next one, but further below its entries.
    starts = np.flatnonzero((above >= LEAST) & (n > 0))
    logs, widths = np.log(lower), np.log(upper) - np.log(lower)
    inside = np.arange(len(n)) >= starts[:, None]
    weights = np.where(inside, n, 0.0)
    distance = (weights * (logs - logs[starts][:, None])).sum(axis=1)
    spread = distance > 0  # otherwise all of the tail is in one bin, and has no index
    starts, weights, distance = starts[spread], weights[spread], distance[spread]
    size = weights.sum(axis=1)
    width = (weights * widths).sum(axis=1) / np.maximum(size, 1)
    alpha = np.log1p(width * size / distance) / width
    information = np.ones_like(alpha)
    for _ in range(STEPS):
        growth = np.expm1(alpha[:, None] * widths)
        slope = (weights * widths / growth).sum(axis=1) - distance
        information = (weights * widths**2 * (growth + 1) / growth**2).sum(axis=1)
        alpha = np.maximum(alpha + slope / information, alpha / 2)
    return HillPlot(
        threshold=lower[starts],
        k=above[starts].astype(np.int64),
        alpha=alpha,
        stderr=1 / np.sqrt(information),
    )
