"""The moment estimator of Dekkers, Einmahl and de Haan."""

from __future__ import annotations

from htga.tail.choose_k import K
from htga.tail.entries import Tensors
from htga.tail.estimate import TailEstimate, conclude
from htga.tail.order_statistics import OrderStatistics, order_statistics


def moment(x: Tensors, k: K = "auto") -> TailEstimate:
    """Estimate the extreme-value index of |x|, whatever its sign, so that light tails show.

    With M_j = (1/k) sum_{i<=k} (ln s_(i) - ln s_(k+1))**j,
    xi = M_1 + 1 - (1/2) / (1 - M_1**2 / M_2), whose variance is (1 + xi**2) / k for xi >= 0
    (Dekkers, Einmahl and de Haan, Annals of Statistics 1989). alpha is 1 / xi with the standard
    error of the delta method where xi > 0, and otherwise infinite with status LIGHT.

    Args:
        x: The sample; zeros and non-finite entries are counted and left out.
        k: Tail size: a number, a fraction of the entries that remain, or "auto" for n**0.6.

    Raises:
        ValueError: `k` is out of range, or `x` is not floating point.
    """
    return moment_of(order_statistics(x, k))


def moment_of(top: OrderStatistics) -> TailEstimate:
    """`moment` of a sample whose order statistics have been taken already."""
    m1 = top.excesses.sum() / top.k
    m2 = top.excesses.square().sum() / top.k
    spread = 1 - m1.square() / m2
    xi = m1 + 1 - 0.5 / spread
    alpha = 1 / xi
    return conclude(
        alpha=alpha,
        xi=xi,
        stderr=alpha * (alpha.square() + 1).sqrt() / top.k.double().sqrt(),
        k=top.k,
        n=top.n,
        threshold=top.threshold,
        n_zero=top.n_zero,
        n_nonfinite=top.n_nonfinite,
        enough=top.enough,
        # Zero up to rounding where all excesses are the same; NaN where they are all zero.
        degenerate=~(spread > 1e-12),
    )
