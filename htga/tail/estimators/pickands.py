"""The Pickands estimator."""

from __future__ import annotations

from math import log

from htga.tail.estimate import TailEstimate
from htga.tail.estimators.sample import order_statistics
from htga.tail.flat_tensors import Tensors
from htga.tail.order_statistics import OrderStatistics
from htga.tail.tail_size import K


def pickands(x: Tensors, k: K = "auto") -> TailEstimate:
    """Estimate the extreme-value index of |x| from three order statistics alone.

    With m = k // 4, xi = log2((s_(m) - s_(2m)) / (s_(2m) - s_(4m))), whose variance is xi**2 (2**(2
    xi + 1) + 1) / (2 (2**xi - 1) ln 2)**2 / m (Pickands, Annals of Statistics 1975). It is the only
    estimator here that is invariant to a shift of |x| as well as to its scale, and xi may have
    either sign; but its standard error is about six times Hill's. Ties among the three make it
    degenerate. alpha is 1 / xi if xi > 0, and otherwise infinite with status LIGHT.

    Args:
        x: The sample; zeros and non-finite entries are counted and left out.
        k: Tail size: a number, a fraction of the entries that remain, "power" for
            n**0.6, or "auto" for 1 %, at least 50.

    Raises:
        TypeError: `x` is neither a tensor nor a sequence of them.
        ValueError: `k` is out of range, or `x` is not floating point.
    """
    return pickands_of(order_statistics(x, k))


def pickands_of(top: OrderStatistics) -> TailEstimate:
    """`pickands` of given order statistics."""
    m = top.k // 4
    last = top.largest.numel() - 1
    a, b, c = (top.largest.take((j * m - 1).clamp(0, last)) for j in (1, 2, 4))
    xi = ((a - b) / (b - c)).log2()
    growth = xi.exp2()
    # The limit at xi = 0, where growth - 1 vanishes with xi, is 3 / (2 ln(2)**2)**2.
    slope = (xi / (growth - 1)).where(xi != 0, 1 / log(2))
    stderr_xi = slope * (2 * growth.square() + 1).sqrt() / (2 * log(2)) / m.double().sqrt()
    alpha = 1 / xi
    return top.conclude(
        alpha=alpha,
        xi=xi,
        stderr=alpha.square() * stderr_xi,
        degenerate=~xi.isfinite(),
    )
