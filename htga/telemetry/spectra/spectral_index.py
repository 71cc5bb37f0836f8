"""The tail index of a matrix's eigenvalues, and that of a random matrix of its shape."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from htga_client.statistics.hill import MIN_TAIL, hill_of_logs

Floats = NDArray[np.float64]

MIN_SIDE = 2 * MIN_TAIL + 2
"""Minimum number of rows and of columns of a matrix with an index."""

MAX_SIDE = 4096
"""Maximum number of them, whichever is less: the time grows with its cube."""

POINTS = 4096
"""Number of points at which the law of random eigenvalues is computed."""


def is_matrix(weights: Tensor) -> bool:
    """Whether weights are a matrix, or the kernels of a convolution, large enough for an index."""
    return weights.dim() >= 2 and MIN_SIDE <= min(weights.shape[:2]) <= MAX_SIDE


def spectral_index(weights: Tensor) -> float:
    """1 + Hill's index of the upper half of the eigenvalues of W' W.

    1 + k / sum_i ln(l_i / l_(k+1)) of the k = n // 2 largest of n eigenvalues l, the exponent of
    their density, as `PL_Alpha_Hill` of TempBalance and AlphaDecay. Of a convolution every place of
    the kernel is a matrix [out, in], and the eigenvalues of all are one sample, as they have it.

    Args:
        weights: Shape [rows, columns, ...], on the CPU.

    Returns:
        NaN where an entry is not finite, or the eigenvalues have no tail, as of zeros.
    """
    matrices = weights.detach().flatten(2) if weights.dim() > 2 else weights.detach()[..., None]
    wide = matrices.permute(2, 0, 1).to(torch.float64)
    if not wide.isfinite().all():
        return np.nan
    if wide.shape[1] < wide.shape[2]:
        wide = wide.mT
    # Squares lose small singular values, of which the upper half has none that matters.
    found = torch.linalg.eigvalsh(wide.mT @ wide).flatten().numpy()
    return _index(found)


@lru_cache(maxsize=1024)
def random_index(rows: int, columns: int, matrices: int = 1) -> float:
    """`spectral_index` of random matrices with independent entries of one variance, in the limit.

    Of eigenvalues at the quantiles of the law of Marchenko and Pastur (1967). A square matrix has
    2.12 whatever its size; the farther from square, the higher.

    Args:
        rows, columns: Shape of a matrix.
        matrices: Number of matrices whose eigenvalues are one sample.
    """
    ratio = min(rows, columns) / max(rows, columns)
    low, high = (1 - ratio**0.5) ** 2, (1 + ratio**0.5) ** 2
    angle = np.linspace(np.pi, 0, POINTS + 1)
    at = (low + high) / 2 + (high - low) / 2 * np.cos(angle)
    middle = (at[1:] + at[:-1]) / 2
    mass = np.sin((angle[1:] + angle[:-1]) / 2) ** 2 / middle
    share = np.concatenate([[0.0], np.cumsum(mass)])
    n = min(rows, columns) * matrices
    return _index(np.interp((np.arange(n) + 0.5) / n, share / share[-1], at))


def _index(eigenvalues: Floats) -> float:
    k = eigenvalues.size // 2
    largest = np.sort(eigenvalues)[::-1][: k + 1]
    positive = largest[largest > largest[0] * 1e-14] if largest[0] > 0 else largest[:0]
    return 1 + hill_of_logs(np.log(positive), k)
