"""McCulloch's quantile estimator of a symmetric stable law."""

from __future__ import annotations

import torch
from torch import Tensor

from htga.tail.estimate import TailEstimate
from htga.tail.estimators.stable import WholeSample
from htga.tail.flat_tensors import Tensors

TABLE = (
    (0.50, 44.635118, 0.795),
    (0.55, 31.565569, 0.867),
    (0.60, 23.612189, 0.940),
    (0.65, 18.439617, 1.010),
    (0.70, 14.893767, 1.077),
    (0.75, 12.357522, 1.141),
    (0.80, 10.479083, 1.201),
    (0.85, 9.047016, 1.259),
    (0.90, 7.928492, 1.313),
    (0.95, 7.036866, 1.365),
    (1.00, 6.313752, 1.415),
    (1.05, 5.718676, 1.462),
    (1.10, 5.222869, 1.508),
    (1.15, 4.805423, 1.554),
    (1.20, 4.450851, 1.599),
    (1.25, 4.147494, 1.645),
    (1.30, 3.886470, 1.693),
    (1.35, 3.660946, 1.745),
    (1.40, 3.465625, 1.805),
    (1.45, 3.296352, 1.876),
    (1.50, 3.149795, 1.963),
    (1.55, 3.023170, 2.071),
    (1.60, 2.914029, 2.206),
    (1.65, 2.820128, 2.372),
    (1.70, 2.739382, 2.571),
    (1.75, 2.669882, 2.806),
    (1.80, 2.609914, 3.077),
    (1.85, 2.557985, 3.383),
    (1.90, 2.512818, 3.726),
    (1.95, 2.473342, 4.106),
    (2.00, 2.438664, 4.518),
)
"""alpha, the ratio of the 90 % to the 50 % quantile of |x|, and sqrt(n) times the standard error of
alpha; from the law's distribution and density functions."""


def stable_quantile(x: Tensors) -> TailEstimate:
    """Estimate the index of a stable law from the ratio of two quantiles of |x|.

    The ratio of the 90 % to the 50 % quantile of |x| (for a symmetric law that of the 95 % to the
    75 % quantile of x) determines alpha; a table inverts it, linearly in its logarithm (McCulloch,
    Communications in Statistics 1986). It uses the bulk and not the tail, so it is right only
    if the whole sample is stable and symmetric about zero: on a Laplace law it gives 1.45.

    Args:
        x: The sample, at least 500 entries; zeros and non-finite entries are left out.

    Returns:
        An estimate whose k and n are the number of entries used, and whose threshold is 0. Above
        the table's end, the Gaussian's 2, status is LIGHT; below 0.5 it is DEGENERATE.

    Raises:
        TypeError: `x` is neither a tensor nor a sequence of them.
        ValueError: `x` is not floating point.
    """
    sample = WholeSample.of(x)
    half, nine_tenths = sample.quantiles(0.5, 0.9)
    ratio = nine_tenths / half
    alpha, spread = (_interpolate(ratio, column) for column in (0, 2))
    return sample.conclude(
        alpha=alpha, stderr=spread / sample.n.sqrt(), defined=ratio <= TABLE[0][1]
    )


def _interpolate(ratio: Tensor, column: int) -> Tensor:
    """A column of the table at this ratio; beyond the last ratio, its last value."""
    table = torch.tensor(TABLE, dtype=torch.float64, device=ratio.device)
    at, value = -table[:, 1].log(), table[:, column]
    x = (-ratio.log()).clamp(max=at[-1])
    above = torch.searchsorted(at, x).clamp(1, len(TABLE) - 1)
    below = above - 1
    share = (x - at.take(below)) / (at.take(above) - at.take(below))
    return torch.lerp(value.take(below), value.take(above), share)
