"""A systematic sample of the entries of a model: every so many-th of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import gcd, prod
from typing import Any

import numpy as np
import torch
from torch import Tensor


def systematic(parts: Sequence[Tensor], stride: int, seed: int) -> Tensor:
    """Every `stride`-th entry of flat tensors laid end to end, beginning at `seed % stride`.

    Each entry has the same chance of 1 / stride under a random seed, and the seeds 0, 1, 2, ...
    look at every entry once before they look at any twice.

    Args:
        parts: At least one, of one dimension each.
        stride: At least 1.
        seed: Which of the samples.

    Returns:
        A flat copy in the widest type of the parts.
    """
    known = all(part.is_cpu and part.dtype != torch.bfloat16 for part in parts)
    start = seed % stride
    found: list[Any] = []
    for part in parts:
        found.append((part.numpy() if known else part)[start::stride])
        start = (start - part.numel()) % stride
    # NumPy stays on the calling thread: a parallel pass wakes threads that then spin.
    return torch.from_numpy(np.concatenate(found)) if known else torch.cat(found)


def fair_stride(at_most: int, shapes: Iterable[Sequence[int]]) -> int:
    """The largest stride up to `at_most` that has no factor in common with any dimension.

    So it does not visit the same columns of a matrix, or the same corner of every kernel, again
    and again.

    Args:
        at_most: At least 1.
        shapes: Those of the tensors to be sampled.
    """
    sizes = prod({size for shape in shapes for size in shape if size > 1})
    stride = at_most
    while gcd(stride, sizes) > 1:
        stride -= 1
    return stride
