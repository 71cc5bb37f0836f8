"""A test for light tails, by the moment estimator."""

from __future__ import annotations

from torch import Tensor

QUANTILE = 1.96
"""Two-sided 95 % quantile of the normal law."""


def moment_index(m1: Tensor, m2: Tensor) -> tuple[Tensor, Tensor]:
    """The extreme-value index, of either sign, from two moments of the log-excesses.

    xi = M_1 + 1 - (1/2) / (1 - M_1**2 / M_2), with variance (1 + xi**2) / k for xi >= 0
    (Dekkers, Einmahl and de Haan, Annals of Statistics 1989).

    Args:
        m1: Mean of ln(s_(i) / s_(k+1)) over the tail, float64.
        m2: Mean of its square, float64.

    Returns:
        xi, and 1 - M_1**2 / M_2, which is 0 up to rounding if all excesses are the same, and NaN if
        they are all zero.
    """
    spread = 1 - m1.square() / m2
    return m1 + 1 - 0.5 / spread, spread


def is_light(xi: Tensor, k: Tensor) -> Tensor:
    """Whether an index from `k` entries is not significantly positive, bool.

    Significant is at 95 %: xi > 1.96 sqrt((1 + xi**2) / k). NaN does not count as light.
    """
    return xi <= QUANTILE * ((1 + xi.square()) / k).sqrt()
