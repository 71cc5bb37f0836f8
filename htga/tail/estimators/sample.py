"""The summary of a sample from one pass: histogram, largest magnitudes and norm."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from htga.tail.flat_tensors import Tensors, pieces
from htga.tail.histogram.log_histogram import LogHistogram
from htga.tail.histogram.sketch import Sketch
from htga.tail.order_statistics import OrderStatistics
from htga.tail.tail_size import K, check_k, max_tail_size


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleSummary:
    """The summary of a sample.

    Attributes:
        histogram: Counts of all magnitudes.
        top: The largest magnitudes.
        norm: l2 norm, float64, 0-d; NaN or infinite if an entry is.
    """

    histogram: LogHistogram
    top: OrderStatistics
    norm: Tensor


def summarize(x: Tensors, k: K, bits: int = 3) -> SampleSummary:
    """Count all magnitudes of `x`, take its `k` largest and one more, and its norm.

    Nothing waits for a device.

    Raises:
        TypeError: `x` is neither a tensor nor a sequence of them.
        ValueError: `k` or `bits` is out of range, or `x` is not floating point.
    """
    check_k(k)
    sketch = sketch_for(pieces(x), k, bits)
    return SampleSummary(
        histogram=sketch.histogram, top=sketch.order_statistics(k), norm=sketch.squares.sqrt()
    )


def order_statistics(x: Tensors, k: K) -> OrderStatistics:
    """Take the `k` largest finite magnitudes of `x`, measured against the next one.

    Raises:
        TypeError: `x` is neither a tensor nor a sequence of them.
        ValueError: `k` is out of range, or `x` is not floating point.
    """
    return summarize(x, k).top


def sketch_for(parts: list[Tensor], k: K, bits: int) -> Sketch:
    """A sketch of flat tensors that keeps as many of the largest magnitudes as its tail may need.

    The number of zeros is not known yet. The tail of all entries is never smaller than that of the
    non-zero ones, so its size is taken.
    """
    parts = parts or [torch.empty(0, dtype=torch.float32, device="cpu")]
    return Sketch.of(parts, tail_room(sum(part.numel() for part in parts), k), bits=bits)


def tail_room(total: int, k: K) -> int:
    """How many of the largest magnitudes a tail of so many entries may need, with its threshold."""
    return min(max_tail_size(total, k), max(total - 1, 0)) + 1
