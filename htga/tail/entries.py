"""The entries of one tensor or of many, as one flat vector."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

Tensors = Tensor | Sequence[Tensor]
"""One tensor of any shape, or several that together are one sample."""


def values(x: Tensor) -> Tensor:
    """The stored values of `x`, detached; duplicate indices of a sparse tensor are summed first.

    Raises:
        ValueError: `x` is not floating point.
    """
    if not x.is_floating_point():
        raise ValueError(f"x must be floating point, got {x.dtype}; convert it with x.float()")
    x = x.detach()
    return x.coalesce().values() if x.is_sparse else x


def flatten(x: Tensors) -> Tensor:
    """All entries of `x` in float32 or wider, shape [d], on the device of the first tensor.

    Half precision is widened here, before anyone takes a logarithm or a power. The result may
    share memory with `x`.

    Raises:
        ValueError: A tensor is not floating point.
    """
    tensors = [x] if isinstance(x, Tensor) else x
    if not tensors:
        return torch.empty(0)
    parts = [values(tensor).reshape(-1) for tensor in tensors]
    dtype = torch.float32
    for part in parts:
        dtype = torch.promote_types(dtype, part.dtype)
    parts = [part.to(parts[0].device, dtype) for part in parts]
    return parts[0] if len(parts) == 1 else torch.cat(parts)
