"""A sample drawn where a step must cost next to nothing.

In NumPy, on the calling thread alone: a parallel pass of PyTorch's wakes the training's other
threads, which then spin for a while on the cores that the thread that measures could use.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from htga.tail import Draw, draw
from htga.tail.norm import EXACT_ABOVE, ROW
from htga.tail.systematic import fair_stride

SMALL = 2**12
"""Entries below which a call costs more than what it computes, so tensors are joined."""

_fair_stride = lru_cache(fair_stride)


def drawn(gradients: Sequence[Tensor], sample: int, seed: int) -> Draw:
    """What `htga.tail.draw` gives: the same entries, and the norm to 1e-8.

    It reads single precision, contiguous, on a CPU; whatever else there is, and a norm that single
    precision cannot tell, is left to `htga.tail.draw`.
    """
    if not all(map(_is_readable, gradients)):
        return draw(gradients, sample, seed)
    parts = [gradient.detach().numpy().ravel() for gradient in gradients]
    grad_norm = _norm(parts)
    if not EXACT_ABOVE < grad_norm < np.inf:
        return draw(gradients, sample, seed)
    total = sum(part.size for part in parts)
    stride = _fair_stride(max(1, total // sample), tuple(x.shape for x in gradients))
    return Draw(
        entries=torch.from_numpy(_systematic(parts, stride, seed)),
        grad_norm=torch.tensor(grad_norm, dtype=torch.float64),
        n_nonfinite=torch.zeros((), dtype=torch.int64),
    )


def _is_readable(x: Tensor) -> bool:
    return type(x) is Tensor and x.is_cpu and x.dtype == torch.float32 and x.is_contiguous()


def _norm(parts: Sequence[NDArray[np.float32]]) -> float:
    """Short rows in single precision and their sum in double, as `htga.tail.norm`."""
    large = [part for part in parts if part.size >= SMALL]
    small = [part for part in parts if part.size < SMALL]
    squares = 0.0
    with np.errstate(over="ignore", invalid="ignore"):
        for part in [*large, np.concatenate(small)] if small else large:
            rows = part[: part.size // ROW * ROW].reshape(-1, ROW)
            rest = part[rows.size :].astype(np.float64)
            squares += float(np.vecdot(rows, rows).sum(dtype=np.float64)) + float(rest @ rest)
    return math.sqrt(squares)


def _systematic(
    parts: Sequence[NDArray[np.float32]], stride: int, seed: int
) -> NDArray[np.float32]:
    start, found = seed % stride, []
    for part in parts:
        found.append(part[start::stride])
        start = (start - part.size) % stride
    return np.concatenate(found)
