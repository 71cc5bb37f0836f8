"""Hill's index on NumPy: of sorted magnitudes, and of every tail of a histogram.

The torch side has the same formulas in `htga.tail`. These serve readers without torch, and samples
so small that PyTorch would spend more time on calling than on computing.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from htga_client.wire.histogram import edges as bin_edges
from htga_client.wire.histogram import n_bins

Floats = NDArray[np.float64]

MIN_TAIL = 10
"""Minimum number of entries of a tail: with fewer, the standard error exceeds 30 %."""

MIN_AUTO_K = 50
"""Minimum tail size that a rule derives from the size of a sample."""

TAIL_FRACTION = 0.01
"""Share of a sample that its tail has by default, so that samples of any size can be compared."""

MIN_SAMPLE = 10 * MIN_AUTO_K
"""Minimum size of a sample from which a rule derives a tail size, which is a tenth at most."""

TINIEST = 2.0**-149
"""The smallest positive float32, in place of the lower edge of the first bin, which is zero."""

NEWTON_STEPS = 4
"""From so near a start the third step gives the last bit, even on a Gaussian."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HillPlot:
    """Hill's index of every tail that begins at an edge; arrays of one length, with k falling.

    Attributes:
        threshold: Lower end of the tail, float64.
        k: Number of entries in it, int64.
        alpha: Tail index, float64.
        stderr: Standard error of alpha, as if the entries were independent, float64.
    """

    threshold: Floats
    k: NDArray[np.int64]
    alpha: Floats
    stderr: Floats

    def nearest(self, k: int) -> int | None:
        """Index of the tail whose size is nearest to `k`; None if there is no tail."""
        return int(np.abs(self.k - k).argmin()) if len(self.k) else None


def default_k(n: int) -> int:
    """The tail size for `n` entries: 1 % of them, at least 50; 0 below 500 entries."""
    return 0 if n < MIN_SAMPLE else max(round(n * TAIL_FRACTION), MIN_AUTO_K)


def survival(edges: Floats, counts: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """The share of entries at or above each edge, for the edges with any entries above them.

    Args:
        edges: Increasing, not negative, shape [B + 1].
        counts: Entries from each edge up to the next, shape [B].

    Returns:
        The edges that are positive, and the shares, which fall.
    """
    above = counts[::-1].cumsum()[::-1]
    shown = (above > 0) & (edges[:-1] > 0)
    return edges[:-1][shown], above[shown] / max(int(above[0]) if len(above) else 0, 1)


def hill_plot(edges: Floats, counts: NDArray[np.int64]) -> HillPlot:
    """Hill's index of every tail of at least `MIN_TAIL` entries, each from its lowest edge on.

    Args:
        edges: Increasing, not negative, shape [B + 1].
        counts: Entries from each edge up to the next, shape [B].
    """
    usable = edges[:-1] > 0
    lower, upper, n = edges[:-1][usable], edges[1:][usable], counts[usable].astype(np.float64)
    above = n[::-1].cumsum()[::-1]
    # Empty bins make several edges equivalent: take the one just above the next smaller magnitude,
    # or the lowest filled bin if there is no smaller magnitude.
    begins = np.append(False, n[:-1] > 0) if n.size else np.zeros(0, np.bool_)
    begins |= np.arange(n.size) == np.argmax(n > 0) if n.any() else False
    starts = np.flatnonzero(begins & (above >= MIN_TAIL))
    logs, widths = np.log(lower), np.log(upper) - np.log(lower)
    weights = np.where(np.arange(n.size) >= starts[:, None], n, 0.0)
    distance = (weights * (logs - logs[starts][:, None])).sum(axis=1)
    spread = distance > 0  # a tail within a single bin has no index
    alpha, stderr = grouped_pareto(weights[spread], widths, distance[spread])
    starts = starts[spread]
    return HillPlot(
        threshold=lower[starts], k=above[starts].astype(np.int64), alpha=alpha, stderr=stderr
    )


class TailIndex(NamedTuple):
    """Hill's index of a tail, its standard error, and the number of entries of the tail."""

    alpha: float
    stderr: float
    k: int


def hill_at(counts: NDArray[np.int64], bits: int, k: int) -> TailIndex:
    """Hill's index of the `k` largest, interpolated in ln k between the edges around them.

    So the tails of two histograms have the same size, although their edges lie elsewhere. If the
    `k` largest lie in one bin, which has no index, the tail begins at the next edge below, and the
    answer says how large it is.

    Args:
        counts: Counts of all bins, int64 of shape [255 * 2**bits].
        bits: Mantissa bits of the bins.
        k: Requested tail size.

    Returns:
        The index; NaN with k = 0 if there is none.
    """
    above = counts[::-1].cumsum()[::-1]
    n = int(above[0])
    nothing = TailIndex(np.nan, np.nan, 0)
    if k < MIN_TAIL or n <= k:
        return nothing
    highest = int(np.count_nonzero(above)) - 1
    place = max(int(np.count_nonzero(above >= k)) - 1, 1 << bits)
    if place == highest and counts[place - 1]:
        place -= 1
    size = int(above[place])
    if size < MIN_TAIL:
        return nothing
    lower = _hill_above(counts, bits, _lowest_edge(above, place, bits))
    upper = _hill_above(counts, bits, place + 1) if above[place + 1] >= MIN_TAIL else nothing
    if size <= k or np.isnan(upper.alpha):
        return lower
    way = np.log(k / upper.k) / np.log(lower.k / upper.k)
    alpha, stderr = (
        float((1 - way) * high + way * low) for high, low in zip(upper[:2], lower[:2], strict=True)
    )
    return TailIndex(alpha, stderr, k)


def _lowest_edge(above: NDArray[np.int64], place: int, bits: int) -> int:
    """The lowest edge with the same entries above it: just above the next smaller magnitude.

    If there is no smaller magnitude, it is that of the lowest filled bin.
    """
    if above[place] == above[0]:
        return int(np.count_nonzero(above == above[0])) - 1
    return max(int(np.count_nonzero(above > above[place])), 1 << bits)


def _hill_above(counts: NDArray[np.int64], bits: int, first: int) -> TailIndex:
    filled = first + np.flatnonzero(counts[first:])
    tail, logs = counts[filled].astype(np.float64), _log_edges(bits)
    spread = (tail * (logs[filled] - logs[first])).sum()
    if spread == 0:
        return TailIndex(np.nan, np.nan, 0)
    widths = logs[filled + 1] - logs[filled]
    alpha, stderr = grouped_pareto(tail[None], widths, np.array([spread]))
    return TailIndex(float(alpha[0]), float(stderr[0]), int(tail.sum()))


@lru_cache(maxsize=9)
def _log_edges(bits: int) -> Floats:
    return np.log(np.maximum(bin_edges(bits, 0, n_bins(bits)), TINIEST))


def hill_of_logs(logs: Floats, k: int) -> float:
    """Hill's index of the `k` largest of the logarithms, which fall; NaN if it has none.

    That is where there are too few of them, or where the tail has no spread.
    """
    if k < MIN_TAIL or logs.size <= k:
        return np.nan
    mean = float((logs[:k] - logs[k]).mean())
    return 1 / mean if mean > 0 else np.nan


def moment_of_logs(logs: Floats, k: int) -> float:
    """The moment estimator's xi of the `k` largest, see `htga.tail.moment`; NaN if it has none."""
    if k < MIN_TAIL or logs.size <= k:
        return np.nan
    excesses = logs[:k] - logs[k]
    m1, m2 = float(excesses.mean()), float(np.square(excesses).mean())
    spread = 1 - m1**2 / m2 if m2 else 0.0
    return m1 + 1 - 0.5 / spread if spread > 1e-12 else np.nan


def grouped_pareto(counts: Floats, widths: Floats, distance: Floats) -> tuple[Floats, Floats]:
    """The maximum-likelihood index of binned Pareto tails, and its standard error, shape [T] each.

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
    for _ in range(NEWTON_STEPS):
        growth = np.expm1(alpha[:, None] * widths)
        information = (counts * widths**2 * (growth + 1) / growth**2).sum(axis=1)
        alpha = alpha + ((counts * widths / growth).sum(axis=1) - distance) / information
    return alpha, 1 / np.sqrt(information)
