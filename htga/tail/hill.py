"""The Hill estimator on order statistics."""

from __future__ import annotations

from htga.tail.choose_k import K
from htga.tail.entries import Tensors
from htga.tail.estimate import TailEstimate, conclude
from htga.tail.order_statistics import OrderStatistics, order_statistics


def hill(x: Tensors, k: K = "auto") -> TailEstimate:
    """Estimate the tail index of |x| by the maximum likelihood of a Pareto tail.

    With s_(1) >= s_(2) >= ... the magnitudes, H = (1/k) sum_{i<=k} ln s_(i) - ln s_(k+1) and
    alpha = 1 / H, with variance alpha**2 / k (Hill, Annals of Statistics 1975). A finite value is
    no evidence of a power law: compare several k, and see `moment`.

    Args:
        x: The sample; zeros and non-finite entries are counted and left out.
        k: Tail size: a number, a fraction of the entries that remain, or "auto" for n**0.6.

    Raises:
        ValueError: `k` is out of range, or `x` is not floating point.
    """
    return hill_of(order_statistics(x, k))


def hill_of(top: OrderStatistics) -> TailEstimate:
    """`hill` of a sample whose order statistics have been taken already."""
    xi = top.excesses.sum() / top.k
    alpha = 1 / xi
    return conclude(
        alpha=alpha,
        xi=xi,
        stderr=alpha / top.k.double().sqrt(),
        k=top.k,
        n=top.n,
        threshold=top.threshold,
        n_zero=top.n_zero,
        n_nonfinite=top.n_nonfinite,
        enough=top.enough,
        degenerate=xi == 0,
    )
