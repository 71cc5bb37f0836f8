"""A systematic sample of the entries of a model: every n-th entry."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import gcd, prod
from typing import Any

import numpy as np
import torch
from torch import Tensor


def systematic(parts: Sequence[Tensor], stride: int, seed: int) -> Tensor:
    """Every `stride`-th entry of flat tensors laid end to end, beginning at `seed % stride`.

    With a random seed each entry has the same chance of 1 / stride, and the seeds 0, 1, 2, ...
    visit every entry once before any entry twice.

    Args:
        parts: Tensors of one dimension, at least one.
        stride: At least 1.
        seed: Number of the sample.

    Returns:
        A flat copy in the widest type of the parts.
    """
    known = all(part.is_cpu and part.dtype != torch.bfloat16 for part in parts)
    start = seed % stride
    found: list[Any] = []
    for part in parts:
        found.append((part.numpy() if known else part)[start::stride])
        start = (start - part.numel()) % stride
    # NumPy stays on the calling thread; a parallel pass would wake threads that then spin.
    return torch.from_numpy(np.concatenate(found)) if known else torch.cat(found)


def fair_stride(limit: int, shapes: Iterable[Sequence[int]]) -> int:
    """The largest stride up to `limit` that has no factor in common with any dimension.

    So it does not keep visiting the same columns of a matrix, or the same corner of every kernel.

    Args:
        limit: At least 1.
        shapes: Shapes of the tensors to sample.
    """
    sizes = prod({size for shape in shapes for size in shape if size > 1})
    stride = limit
    while gcd(stride, sizes) > 1:
        stride -= 1
    return stride
