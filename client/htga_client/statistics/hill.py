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

LEAST_DERIVED = 50
"""No k below it is derived from the size of a sample."""

STEPS = 4
"""Of Newton's method: from so near a start the third gives the last bit, even on a Gaussian."""


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


def default_k(n: int) -> int:
    """The tail size for `n` entries: n**0.6, at least 50, at most n // 10; 0 below 500 entries."""
    return 0 if n < 10 * LEAST_DERIVED else min(max(round(n**0.6), LEAST_DERIVED), n // 10)


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
    """Hill's index of every tail of `LEAST` entries or more, each from its lowest edge on.

    Args:
        edges: Increasing, not negative, shape [B + 1].
        counts: Entries from each edge up to the next, shape [B].
    """
    usable = edges[:-1] > 0
    lower, upper, n = edges[:-1][usable], edges[1:][usable], counts[usable].astype(np.float64)
    above = n[::-1].cumsum()[::-1]
    # Among bins without entries the tail begins just above the next smaller magnitude; where there
    # is none, with its own lowest.
    begins = np.append(False, n[:-1] > 0) if n.size else np.zeros(0, np.bool_)
    begins |= np.arange(n.size) == np.argmax(n > 0) if n.any() else False
    starts = np.flatnonzero(begins & (above >= LEAST))
    logs, widths = np.log(lower), np.log(upper) - np.log(lower)
    weights = np.where(np.arange(n.size) >= starts[:, None], n, 0.0)
    distance = (weights * (logs - logs[starts][:, None])).sum(axis=1)
    spread = distance > 0  # otherwise all of the tail is in one bin, and has no index
    alpha, stderr = grouped_pareto(weights[spread], widths, distance[spread])
    starts = starts[spread]
    return HillPlot(
        threshold=lower[starts], k=above[starts].astype(np.int64), alpha=alpha, stderr=stderr
    )


def grouped_pareto(counts: Floats, widths: Floats, distance: Floats) -> tuple[Floats, Floats]:
    """The maximum likelihood of Pareto tails seen in bins, and its standard error, shape [T] each.

    With h_j the logarithm of a bin's upper edge over its lower, and t_j that of its lower edge over
    the threshold, alpha solves sum_j n_j h_j / (exp(alpha h_j) - 1) = sum_j n_j t_j.

    Args:
        counts: n, a row for each tail, shape [T, B].
        widths: h, shape [B].
        distance: The right side, positive, shape [T].
    """
    size = counts.sum(axis=1)
    width = (counts * widths).sum(axis=1) / size
    alpha = np.log1p(width * size / distance) / width  # exact if all bins were equally wide
    information = np.ones_like(alpha)
    for _ in range(STEPS):
        growth = np.expm1(alpha[:, None] * widths)
        information = (counts * widths**2 * (growth + 1) / growth**2).sum(axis=1)
        alpha = alpha + ((counts * widths / growth).sum(axis=1) - distance) / information
    return alpha, 1 / np.sqrt(information)
