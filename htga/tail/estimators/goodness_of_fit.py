"""The distance of a tail from the Pareto law fitted to it."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from htga.tail.estimators.sample import order_statistics
from htga.tail.flat_tensors import Tensors
from htga_client.statistics.hill import MIN_TAIL

CANDIDATES = 200


def ks_distance(x: Tensors, k: int) -> Tensor:
    """The Kolmogorov-Smirnov distance of the `k` largest magnitudes from their Pareto law.

    The largest difference between the distribution function of s_(1) to s_(k) and that of the
    Pareto law that begins at s_(k+1) with Hill's index.

    Args:
        x: The sample; zeros and non-finite entries are left out.
        k: Tail size.

    Returns:
        float64, 0-d; NaN where the sample is too small.

    Raises:
        TypeError: `x` is neither a tensor nor a sequence of them.
        ValueError: `k` is out of range, or `x` is not floating point.
    """
    top = order_statistics(x, k)
    distance = _distance(top.excesses[:k])
    return distance.masked_fill((top.n <= k) | (top.m1 == 0), torch.nan)


def ks_minimum(x: Tensors, candidates: Iterable[int] | None = None) -> Tensor:
    """The tail size whose tail is nearest to a Pareto law (Clauset, Shalizi and Newman 2009).

    For offline use: it sorts the sample and waits for the device. It tends to choose a tail that is
    too short, and so a noisier index (Drees et al. 2020).

    Args:
        x: The sample; zeros and non-finite entries are left out.
        candidates: The sizes to try; by default 200, evenly spaced in their logarithm, from 10 to
            all but one of the entries.

    Returns:
        int64, 0-d, on the device of `x`; 0 if no candidate is between 10 and n - 1, or no tail has
        any spread.

    Raises:
        TypeError: `x` is neither a tensor nor a sequence of them.
        ValueError: `x` is not floating point.
    """
    n = int(order_statistics(x, MIN_TAIL).n)
    if candidates is None:
        exponents = torch.linspace(0, 1, CANDIDATES, dtype=torch.float64, device="cpu")
        spaced = MIN_TAIL * (max(n - 1, MIN_TAIL) / MIN_TAIL) ** exponents
        candidates = spaced.round().long().unique().tolist()
    usable = [k for k in candidates if MIN_TAIL <= k < n]
    if not usable:
        return order_statistics(x, MIN_TAIL).n.new_zeros(())
    logs = order_statistics(x, max(usable)).largest.log()
    distances = torch.stack([_distance(logs[:k] - logs[k]) for k in usable]).nan_to_num(nan=2.0)
    best = torch.tensor(usable, device=logs.device).take(distances.argmin())
    return best.masked_fill(distances.min() > 1, 0)


def _distance(excesses: Tensor) -> Tensor:
    """KS distance of log-excesses, in descending order, from the exponential law of their mean."""
    k = excesses.numel()
    above = (-excesses / excesses.mean()).exp()
    step = torch.arange(k + 1, device=excesses.device).double() / k
    return torch.maximum((above - step[:-1]).abs(), (above - step[1:]).abs()).max()
