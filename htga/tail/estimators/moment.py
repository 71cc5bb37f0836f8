"""The moment estimator of Dekkers, Einmahl and de Haan."""

from __future__ import annotations

from htga.tail.estimate import TailEstimate
from htga.tail.estimators.sample import order_statistics
from htga.tail.flat_tensors import Tensors
from htga.tail.light_tail import moment_index
from htga.tail.order_statistics import OrderStatistics
from htga.tail.tail_size import K


def moment(x: Tensors, k: K = "auto") -> TailEstimate:
    """Estimate the extreme-value index of |x|, of either sign, so that light tails are detected.

    With M_j = (1/k) sum_{i<=k} (ln s_(i) - ln s_(k+1))**j,
    xi = M_1 + 1 - (1/2) / (1 - M_1**2 / M_2), whose variance is (1 + xi**2) / k for xi >= 0
    (Dekkers, Einmahl and de Haan, Annals of Statistics 1989). alpha is 1 / xi with the standard
    error of the delta method if xi > 0, and otherwise infinite with status LIGHT.

    Args:
        x: The sample; zeros and non-finite entries are counted and left out.
        k: Tail size: a number, a fraction of the entries that remain, "power" for
            n**0.6, or "auto" for 1 %, at least 50.

    Raises:
        TypeError: `x` is neither a tensor nor a sequence of them.
        ValueError: `k` is out of range, or `x` is not floating point.
    """
    return moment_of(order_statistics(x, k))


def moment_of(top: OrderStatistics) -> TailEstimate:
    """`moment` of given order statistics."""
    xi, spread = moment_index(top.m1, top.m2)
    alpha = 1 / xi
    return top.conclude(
        alpha=alpha,
        xi=xi,
        stderr=alpha * (alpha.square() + 1).sqrt() / top.k.double().sqrt(),
        degenerate=~(spread > 1e-12),
    )
