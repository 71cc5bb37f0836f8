"""The largest magnitudes of a sample, in descending order."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from htga.tail.choose_k import MIN_K, K, check_k, k_for
from htga.tail.entries import Tensors, flatten


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderStatistics:
    """The top of a sample, and how many entries of which kind there are.

    Attributes:
        excesses: ln(s_(i) / s_(k+1)) for i = 1 to k and zeros after, float64 of shape [m], m > k.
        threshold: s_(k+1), float64, 0-d.
        k: Size of the tail, int64, 0-d.
        n: Number of finite non-zero entries, int64, 0-d.
        n_zero: Number of exact zeros, int64, 0-d.
        n_nonfinite: Number of NaNs and infinities, int64, 0-d.
    """

    excesses: Tensor
    threshold: Tensor
    k: Tensor
    n: Tensor
    n_zero: Tensor
    n_nonfinite: Tensor

    @property
    def enough(self) -> Tensor:
        """Whether the sample has an order statistic below the tail, and the tail is usable."""
        return (self.k >= MIN_K) & (self.n > self.k)


def order_statistics(x: Tensors, k: K) -> OrderStatistics:
    """Take the `k` largest finite magnitudes of `x`, measured against the next one.

    Raises:
        ValueError: `k` or the type of `x` is not acceptable.
    """
    check_k(k)
    flat = flatten(x)
    total = flat.numel()
    magnitudes = flat.abs().nan_to_num_(nan=0.0, posinf=0.0)
    n = torch.count_nonzero(magnitudes)
    n_nonfinite = total - torch.count_nonzero(flat.isfinite())

    # How many entries are zero is known on the device only. The tail of the whole sample is never
    # smaller than that of its non-zero part, so we take that many and mask the rest: no waiting.
    at_most = min(int(k_for(torch.tensor(total), k)), total - 1)
    largest = magnitudes.topk(at_most + 1).values.double() if total else flat.new_zeros(1).double()
    size = k_for(n, k)
    threshold = largest.take(size.clamp(max=largest.numel() - 1))
    in_tail = torch.arange(largest.numel(), device=flat.device) < size
    return OrderStatistics(
        # A ratio, because scaling the sample by a power of two then changes no bit of it.
        excesses=torch.where(in_tail, (largest / threshold).log(), 0.0),
        threshold=threshold,
        k=size,
        n=n,
        n_zero=total - n - n_nonfinite,
        n_nonfinite=n_nonfinite,
    )
