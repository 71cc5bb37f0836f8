"""The QQ estimator of Kratz and Resnick."""

from __future__ import annotations

import torch

from htga.tail.estimate import TailEstimate
from htga.tail.estimators.rank_regression import slope
from htga.tail.estimators.sample import order_statistics
from htga.tail.flat_tensors import Tensors
from htga.tail.order_statistics import OrderStatistics
from htga.tail.tail_size import K


def qq(x: Tensors, k: K = "auto") -> TailEstimate:
    """Estimate the tail index of |x| as the slope of its quantile plot against a Pareto law's.

    xi is the slope of the least-squares line of ln s_(r) on -ln(r / (k + 1)), r = 1 to k, with
    variance 2 xi**2 / k (Kratz and Resnick, Stochastic Models 1996). It is easy to read
    off a plot; at the same k it is more biased than `rank_regression`.

    Args:
        x: The sample; zeros and non-finite entries are counted and left out.
        k: Tail size: a number, a fraction of the entries that remain, "power" for
            n**0.6, or "auto" for 1 %, at least 50.

    Raises:
        TypeError: `x` is neither a tensor nor a sequence of them.
        ValueError: `k` is out of range, or `x` is not floating point.
    """
    return qq_of(order_statistics(x, k))


def qq_of(top: OrderStatistics) -> TailEstimate:
    """`qq` of given order statistics."""
    rank = torch.arange(top.excesses.numel(), device=top.k.device).double() + 1
    xi = slope(-(rank / (top.k + 1)).log(), top.excesses, top.in_tail)
    alpha = 1 / xi
    return top.conclude(alpha=alpha, xi=xi, stderr=alpha * (2 / top.k).sqrt(), degenerate=xi == 0)
