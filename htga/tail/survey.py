"""A sample looked at once: its histogram, its largest magnitudes and its norm."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from htga.tail import binned
from htga.tail.counting import counted, float32
from htga.tail.entries import Tensors, blocks, flatten, pieces, widened
from htga.tail.log_histogram import LogHistogram
from htga.tail.norm import norm
from htga.tail.order_statistics import OrderStatistics
from htga.tail.tail_size import K, check_k, k_for

ROW = 32
"""Entries that share a peak. With one entry in a few hundred in the tail, most peaks are low."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What one look at a sample found.

    Attributes:
        histogram: Counts of all magnitudes.
        top: The largest.
        norm: l2 norm, float64, 0-d; NaN or infinite if an entry is.
    """

    histogram: LogHistogram
    top: OrderStatistics
    norm: Tensor


def survey(x: Tensors, k: K, bits: int = 3) -> Survey:
    """Count all magnitudes of `x`, take its `k` largest and one more, and its norm.

    Nothing waits for a device.

    Raises:
        TypeError: `x` is neither a tensor nor a sequence of them.
        ValueError: `k`, `bits` or the type of `x` is not acceptable.
    """
    check_k(k)
    parts = pieces(x)
    if not parts or parts[0].device.type == "cpu":
        return _on_cpu(parts, k, bits)
    histogram = LogHistogram(bits, parts[0].device).update(parts)
    flat = flatten(parts)
    return Survey(
        histogram=histogram,
        top=_on_device(flat, k),
        # Squares of float32 numbers above 1e19 would overflow where the norm itself does not.
        norm=torch.linalg.vector_norm(flat, dtype=torch.float64),
    )


def order_statistics(x: Tensors, k: K) -> OrderStatistics:
    """Take the `k` largest finite magnitudes of `x`, measured against the next one.

    Raises:
        TypeError: `x` is neither a tensor nor a sequence of them.
        ValueError: `k` or the type of `x` is not acceptable.
    """
    check_k(k)
    parts = pieces(x)
    if not parts or parts[0].device.type == "cpu":
        return _on_cpu(parts, k, bits=3).top
    return _on_device(flatten(parts), k)


def _on_cpu(parts: list[Tensor], k: K, bits: int) -> Survey:
    """Two passes, the second past most of the entries.

    The histogram of the first says where the tail begins, and the peak of each row whether
    anything in it is as large.
    """
    histogram = LogHistogram(bits)
    joined = blocks(parts)
    peaks = [_rows(magnitudes).amax(1) for magnitudes in counted(joined, bits, histogram.state)]
    k_tail = k_for(histogram.n, k)
    floor = float(_edge_below(histogram, int(k_tail) + 1))
    candidates = _not_below(floor, joined, peaks)
    return Survey(
        histogram=histogram,
        top=OrderStatistics.of(
            candidates.topk(min(int(k_tail) + 1, candidates.numel())).values,
            k=k_tail,
            n=histogram.n,
            n_zero=histogram.n_zero.clone(),
            n_nonfinite=histogram.n_nonfinite.clone(),
        ),
        norm=norm(joined),
    )


def _edge_below(histogram: LogHistogram, size: int) -> Tensor:
    """The highest edge with `size` entries at or above it; if there are fewer, above zero."""
    enough = binned.at_least(histogram.counts) >= size
    return histogram.edges.take((enough.sum() - 1).clamp(min=0)).clamp(min=binned.TINIEST)


def _rows(x: Tensor) -> Tensor:
    """A view of the most entries of a flat `x` that fill rows, [rows, ROW]."""
    return x[: x.numel() // ROW * ROW].view(-1, ROW)


def _not_below(floor: float, joined: list[Tensor], peaks: list[Tensor]) -> Tensor:
    """The finite magnitudes that the histogram counted at or above an edge, then a zero.

    Args:
        floor: The edge.
        joined: Flat tensors.
        peaks: The peaks of the rows of their chunks, in order.
    """
    by_block = torch.cat([torch.zeros(0), *peaks]).split([len(_rows(block)) for block in joined])
    found = [torch.zeros(1)]
    for block, peak in zip(joined, by_block, strict=True):
        # Not "peak >= floor": a row with a NaN must be looked into, too.
        high = (~(peak < floor)).nonzero().squeeze(1)
        if high.numel() * 4 * ROW < block.numel():
            found.append(_rows(block).index_select(0, high).view(-1))
            found.append(block[block.numel() // ROW * ROW :])
        else:
            found.append(block)
    magnitudes = torch.cat([part.to(widened(part.dtype)) for part in found]).abs_()
    single = float32(magnitudes)
    kept = magnitudes[(single >= floor) & (single < torch.inf)]
    return torch.cat([kept, kept.new_zeros(1)])


def _on_device(flat: Tensor, k: K) -> OrderStatistics:
    """A partial sort, which takes no decision that the host would have to wait for."""
    total = flat.numel()
    magnitudes = flat.abs().nan_to_num_(nan=0.0, posinf=0.0)
    n = torch.count_nonzero(magnitudes)
    n_nonfinite = total - torch.count_nonzero(flat.isfinite())
    # How many entries are zero is known on the device only. The tail of the whole sample is never
    # smaller than that of its non-zero part, so we take that many and mask the rest.
    at_most = min(int(k_for(torch.tensor(total), k)), total - 1)
    largest = magnitudes.topk(at_most + 1).values if total else flat.new_zeros(1)
    return OrderStatistics.of(
        largest, k=k_for(n, k), n=n, n_zero=total - n - n_nonfinite, n_nonfinite=n_nonfinite
    )
