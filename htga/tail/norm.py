"""The l2 norm of a sample, accurate for any scale and any tail."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from htga.tail.flat_tensors import CHUNK, blocks, cut

ROW = 256
"""Number of entries whose squares are added in float32 before the sum goes on in float64."""

SMALL = 2**12
"""Number of entries below which calling costs more than computing, so tensors are joined."""

EXACT_ABOVE = 1e-10
"""Below this the squares that float32 cannot hold could matter."""


def norm(parts: Iterable[Tensor]) -> Tensor:
    """The norm of all entries of flat tensors on a CPU, float64, 0-d; NaN or infinite if one is.

    A running sum of squares in float32 loses four digits on a million entries of a heavy tail,
    and one in float64 takes twice as long. Short rows in float32 are accurate to 1e-8. If their
    squares overflow or vanish, everything is done in float64.
    """
    total = math.hypot(*(_norm(block) for block in blocks(parts, SMALL)))
    return torch.tensor(total, dtype=torch.float64, device="cpu")


def _norm(x: Tensor) -> float:
    if x.dtype != torch.float64 and x.numel() >= SMALL:
        narrow = x.element_size() < 4  # widened a chunk at a time
        chunks = [chunk.float() for chunk in cut(x, CHUNK)] if narrow else [x]
        with np.errstate(over="ignore", invalid="ignore"):
            total = math.hypot(*(_by_rows(chunk.numpy()) for chunk in chunks))
        if EXACT_ABOVE < total < math.inf:
            return total
    return float(_in_double(x))


def _by_rows(x: NDArray[np.float32]) -> float:
    # In NumPy, on one thread: a parallel pass wakes threads, which then spin for a while on cores
    # that the training could use.
    rows = x[: x.size // ROW * ROW].reshape(-1, ROW)
    rest = x[rows.size :].astype(np.float64)
    return math.sqrt(float(np.vecdot(rows, rows).sum(dtype=np.float64)) + float(rest @ rest))


def _in_double(x: Tensor) -> Tensor:
    norm: Tensor = torch.linalg.vector_norm(x, dtype=torch.float64)
    return norm


def sum_of_squares(parts: Sequence[Tensor]) -> Tensor:
    """The sum of squares of flat tensors on one device, at least one, float64, 0-d; never waits."""
    if parts[0].is_cpu:
        return norm(parts).square()
    return sums_of_squares(parts).sum()


def sums_of_squares(parts: Sequence[Tensor]) -> Tensor:
    """The sum of squares of each flat tensor on one device, float64 [P]; never waits.

    It takes a few microseconds for a small tensor, of which a model has hundreds.
    """
    if parts[0].is_cpu:
        norms = [_norm(x) for x in parts]
        return torch.tensor(norms, dtype=torch.float64, device="cpu").square()
    return torch.stack([_in_double(x) for x in parts]).square()
