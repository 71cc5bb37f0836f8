"""The Hill estimator on order statistics."""

from __future__ import annotations

from htga.tail.estimate import TailEstimate
from htga.tail.estimators.sample import order_statistics
from htga.tail.flat_tensors import Tensors
from htga.tail.order_statistics import OrderStatistics
from htga.tail.tail_size import K


def hill(x: Tensors, k: K = "auto") -> TailEstimate:
    """Estimate the tail index of |x| by the maximum likelihood of a Pareto tail.

    With s_(1) >= s_(2) >= ... the magnitudes, H = (1/k) sum_{i<=k} ln s_(i) - ln s_(k+1) and
    alpha = 1 / H, with variance alpha**2 / k (Hill, Annals of Statistics 1975). A finite value is
    not evidence of a power law: see the estimate's `light`, and compare several k.

    Args:
        x: The sample; zeros and non-finite entries are counted and left out.
        k: Tail size: a number, a fraction of the entries that remain, "power" for
            n**0.6, or "auto" for 1 %, at least 50.

    Raises:
        TypeError: `x` is neither a tensor nor a sequence of them.
        ValueError: `k` is out of range, or `x` is not floating point.
    """
    return hill_of(order_statistics(x, k))


def hill_of(top: OrderStatistics) -> TailEstimate:
    """`hill` of given order statistics."""
    alpha = 1 / top.m1
    return top.conclude(
        alpha=alpha, xi=top.m1, stderr=alpha / top.k.double().sqrt(), degenerate=top.m1 == 0
    )
