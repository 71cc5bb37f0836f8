"""A sample looked at once: its histogram, its largest magnitudes and its norm."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from htga.tail.entries import Tensors, flatten, pieces
from htga.tail.log_histogram import LogHistogram
from htga.tail.order_statistics import OrderStatistics
from htga.tail.sketch import Sketch
from htga.tail.tail_size import K, check_k, k_for


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
    """One sketch, whose histogram says how large the tail is, and so how much of it to keep."""
    parts = parts or [torch.empty(0)]
    sketch = Sketch.of(parts, lambda found: int(k_for(found.n, k).minimum(found.n)) + 1, bits=bits)
    return Survey(
        histogram=sketch.histogram, top=sketch.order_statistics(k), norm=sketch.squares.sqrt()
    )


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
