"""The estimator of a symmetric stable law from its characteristic function."""

from __future__ import annotations

from math import log

from htga.tail.estimate import TailEstimate
from htga.tail.estimators.stable import WholeSample
from htga.tail.flat_tensors import Tensors

POINTS = (0.2, 0.8)
"""Points of the characteristic function, for a sample whose median magnitude is 1."""


def stable_ecf(x: Tensors) -> TailEstimate:
    """Estimate the index of a stable law from two points of its characteristic function.

    A symmetric stable law has phi(t) = exp(-|scale t|**alpha), so alpha =
    ln(ln phi(t_1) / ln phi(t_2)) / ln(t_1 / t_2), with phi(t) the mean of cos(t x / median|x|) at
    t = 0.2 and 0.8 (Press, Journal of the American Statistical Association 1972). The standard
    error is the delta method's. The most exact of all where the whole sample is stable and
    symmetric about zero, and wrong where it is not.

    Args:
        x: The sample, 500 entries at least; zeros and non-finite ones are left out.

    Returns:
        k and n are the entries used, threshold is 0. Where alpha reaches 2, the Gaussian, status
        is LIGHT.

    Raises:
        TypeError: `x` is neither a tensor nor a sequence of them.
        ValueError: `x` is not floating point.
    """
    sample = WholeSample.of(x)
    (median,) = sample.quantiles(0.5)
    first, second = ((t * sample.x / median).cos() for t in POINTS)
    phi_1, phi_2 = sample.mean(first), sample.mean(second)
    alpha = (phi_1.log() / phi_2.log()).log() / log(POINTS[0] / POINTS[1])
    # The influence of each entry on alpha.
    influence = (first - phi_1) / (phi_1 * phi_1.log()) - (second - phi_2) / (phi_2 * phi_2.log())
    variance = sample.mean(influence.square()) / sample.n
    return sample.conclude(
        alpha=alpha,
        stderr=variance.sqrt() / abs(log(POINTS[0] / POINTS[1])),
        defined=(phi_1 > 0) & (phi_1 < 1) & (phi_2 > 0) & (phi_2 < 1) & alpha.isfinite(),
    )
