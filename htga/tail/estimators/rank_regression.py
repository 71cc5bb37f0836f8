"""The log-rank regression of Gabaix and Ibragimov."""

from __future__ import annotations

import torch
from torch import Tensor

from htga.tail.estimate import TailEstimate
from htga.tail.estimators.sample import order_statistics
from htga.tail.flat_tensors import Tensors
from htga.tail.order_statistics import OrderStatistics
from htga.tail.tail_size import K


def rank_regression(x: Tensors, k: K = "auto") -> TailEstimate:
    """Estimate the tail index of |x| as the slope of log-rank against log-size.

    alpha is minus the slope of the least-squares line of ln(r - 1/2) on ln s_(r), r = 1 to k. The
    shift by 1/2 removes the leading bias, and the standard error is alpha sqrt(2/k): that of
    ordinary least squares would be far too small (Gabaix and Ibragimov, Journal of Business and
    Economic Statistics 2011).

    Args:
        x: The sample; zeros and non-finite entries are counted and left out.
        k: Tail size: a number, a fraction of the entries that remain, "power" for
            n**0.6, or "auto" for 1 %, at least 50.

    Raises:
        TypeError: `x` is neither a tensor nor a sequence of them.
        ValueError: `k` is out of range, or `x` is not floating point.
    """
    return rank_regression_of(order_statistics(x, k))


def rank_regression_of(top: OrderStatistics) -> TailEstimate:
    """`rank_regression` of given order statistics."""
    rank = torch.arange(top.excesses.numel(), device=top.k.device).double() + 1
    alpha = -slope(top.excesses, (rank - 0.5).log(), top.in_tail)
    return top.conclude(
        alpha=alpha,
        xi=1 / alpha,
        stderr=alpha * (2 / top.k).sqrt(),
        degenerate=~alpha.isfinite(),
    )


def slope(x: Tensor, y: Tensor, among: Tensor) -> Tensor:
    """Slope of the least-squares line of `y` on `x`, over the entries where `among` is true."""
    n = among.sum()
    dx = torch.where(among, x - torch.where(among, x, 0).sum() / n, 0)
    dy = torch.where(among, y - torch.where(among, y, 0).sum() / n, 0)
    return (dx * dy).sum() / dx.square().sum()
