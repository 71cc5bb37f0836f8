"""Estimates from the counts of a `LogHistogram`.

Pure functions of `counts`, int64 or float64 of shape [255 * 2**bits]; bin i holds the magnitudes
from `edges(bits)[i]` up to the next edge. Nothing here waits for the device.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from htga.tail.estimate import TailEstimate, conclude
from htga.tail.light_tail import is_light, moment_index
from htga.tail.tail_size import K, check_k, k_for
from htga_client.statistics.hill import MIN_TAIL
from htga_client.wire.histogram import edges as bin_edges
from htga_client.wire.histogram import n_bins

NEWTON_STEPS = 3  # From so near a start the third gives the last bit, even on a Gaussian.
TINIEST = 2.0**-149


@lru_cache(maxsize=32)
def edges(bits: int, device: torch.device) -> Tensor:
    """Lower edges of the bins and the upper edge of the last, float64 [255 * 2**bits + 1]."""
    return torch.from_numpy(bin_edges(bits, 0, n_bins(bits))).to(device)


@lru_cache(maxsize=32)
def log_edges(bits: int, device: torch.device) -> Tensor:
    """Logarithms of the edges; the first edge, zero, counts as the smallest number above it."""
    return edges(bits, device).clamp(min=TINIEST).log()


def at_least(counts: Tensor) -> Tensor:
    """Number of entries in each bin and above."""
    return counts.flip(0).cumsum(0).flip(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tail:
    """The bins of a tail.

    Attributes:
        first: Index of its lowest bin, int64, 0-d.
        wanted: Requested number of entries, int64, 0-d.
    """

    first: Tensor
    wanted: Tensor


def tail_of(counts: Tensor, bits: int, k: K) -> Tail:
    """The tail that begins at the edge with a number of entries above it nearest to `k`.

    Raises:
        ValueError: `k` is out of range.
    """
    check_k(k)
    wanted = k_for(counts.sum().round().long(), k)
    return Tail(first=nearest_edge(counts, bits, wanted), wanted=wanted)


def hill(
    counts: Tensor, bits: int, tail: Tail, *, n_zero: Tensor, n_nonfinite: Tensor
) -> TailEstimate:
    """The tail index by the maximum likelihood of a binned Pareto tail."""
    n = counts.sum()
    in_tail = counts * (torch.arange(counts.numel(), device=counts.device) >= tail.first)
    size = in_tail.sum()
    logs = log_edges(bits, counts.device) - log_edges(bits, counts.device).take(tail.first)
    octaves = in_tail.view(-1, 1 << bits)
    # Within an octave the bins differ in width, but all octaves are alike.
    widths = logs.diff()[-(1 << bits) :]
    distance = (in_tail * logs[:-1]).sum()
    alpha, information = grouped_pareto(octaves.sum(0).double(), widths, distance)
    middle = (logs[:-1] + logs[1:]) / 2
    xi, _ = moment_index((in_tail * middle).sum() / size, (in_tail * middle.square()).sum() / size)
    return conclude(
        alpha=alpha,
        xi=1 / alpha,
        stderr=information.rsqrt(),
        k=size.round().long(),
        n=n.round().long(),
        threshold=edges(bits, counts.device).take(tail.first),
        n_zero=n_zero,
        n_nonfinite=n_nonfinite,
        light=is_light(xi, size),
        enough=(size >= MIN_TAIL) & (tail.wanted >= MIN_TAIL) & (n > tail.wanted),
        degenerate=distance == 0,
    )


def nearest_edge(counts: Tensor, bits: int, wanted: Tensor) -> Tensor:
    """Index of the normal bin with a number of entries at or above it nearest to `wanted`.

    Bins with fewer than `MIN_TAIL` entries at or above them are taken only if there are no others,
    and so is the highest bin that has any: entries of a single bin have no index.
    """
    above = at_least(counts)
    farthest = above[0] + wanted
    is_highest = torch.arange(counts.numel(), device=counts.device) == (above > 0).sum() - 1
    distance = torch.where((above < MIN_TAIL) | is_highest, farthest, (above - wanted).abs())
    # Empty bins make several minima. Take the lowest, just above the next smaller magnitude, or the
    # lowest filled bin if there is no smaller magnitude.
    subnormal = 1 << bits
    normal = distance[subnormal:]
    lowest = (normal == normal.min()).long().argmax() + subnormal
    return lowest.maximum((above == above[0]).sum() - 1)


def grouped_pareto(counts: Tensor, widths: Tensor, distance: Tensor) -> tuple[Tensor, Tensor]:
    """Maximise sum_j n_j ln(t_j**-a - t_(j+1)**-a) over a; returns a and its information.

    The derivative is sum_c counts_c h_c / (exp(a h_c) - 1) - distance, convex and falling in a.

    Args:
        counts: Entries by kind of bin, float64 [C].
        widths: h, the logarithm of a bin's upper edge over its lower, float64 [C].
        distance: sum_j n_j ln t_j, float64, 0-d.
    """
    size = counts.sum()
    width = (counts * widths).sum() / size
    alpha = (width * size / distance).log1p() / width  # Exact if all bins were equally wide.
    for _ in range(NEWTON_STEPS):
        growth = (alpha * widths).expm1()
        information = (counts * widths.square() * (growth + 1) / growth.square()).sum()
        alpha = alpha + ((counts * widths / growth).sum() - distance) / information
    return alpha, information


def quantile(counts: Tensor, bits: int, q: Tensor) -> Tensor:
    """Quantiles of the magnitudes, linear within a bin, float64 shaped like `q`."""
    below = counts.cumsum(0)
    rank = q * below[-1]
    # The bin that holds this rank; at q = 0, the first that holds anything.
    first = (below == 0).sum()
    index = torch.searchsorted(below, rank).maximum(first).clamp(max=below.numel() - 1)
    count = counts.take(index)
    fraction = (rank - (below.take(index) - count)) / count
    at = edges(bits, counts.device)
    lower, upper = at.take(index), at.take(index + 1)
    return lower + fraction * (upper - lower)


def ranks(counts: Tensor, bits: int, magnitudes: Tensor) -> Tensor:
    """Rank of each magnitude among those counted, 1 for the largest, by interpolation.

    ln(rank) is taken as linear in ln|x| from (entries above the bin + entries in it + 1/2) at
    the lower edge to (entries above the bin + 1/2) at the upper. A zero has the lowest rank
    of all, n + 1/2; NaN and infinity have the rank NaN.

    Args:
        counts: The bins.
        bits: Their mantissa bits.
        magnitudes: float32, not negative or NaN, any shape.

    Returns:
        float64, shaped like `magnitudes`.
    """
    above = at_least(counts).double()
    top = above.new_zeros(1)
    # Of the n entries at or above an edge the lowest has rank n: the edge is at n + 1/2.
    log_rank = (torch.cat([above, top]) + 0.5).log()
    logs = log_edges(bits, counts.device)
    slope = log_rank.diff() / logs.diff()
    index = (magnitudes.view(torch.int32) >> (23 - bits)).long().clamp(max=counts.numel() - 1)
    lower = logs.take(index)
    rise = magnitudes.double().clamp(min=TINIEST).log() - lower
    rank = (log_rank.take(index) + slope.take(index) * rise).exp()
    return rank.where(magnitudes.isfinite(), torch.nan)


def shifted(counts: Tensor, bits: int, octaves: Tensor) -> Tensor:
    """The counts of the same sample multiplied by 2**octaves.

    Counts that would leave the range of the bins stay in the first or the last. The result is exact
    otherwise, except for subnormal numbers, whose bins have one width.

    Args:
        counts: The bins.
        bits: Their mantissa bits.
        octaves: int64, 0-d.
    """
    index = torch.arange(counts.numel(), device=counts.device) + (octaves << bits)
    return torch.zeros_like(counts).index_add_(0, index.clamp(0, counts.numel() - 1), counts)
