"""The entries of one tensor or of many as flat tensors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor

Tensors = Tensor | Sequence[Tensor]
"""One tensor of any shape, or several that together are one sample."""

CHUNK = 2**18
"""Number of entries that a CPU works on at a time: few enough to stay in its cache."""

TRITON_DTYPES = (torch.float32, torch.float16, torch.bfloat16)
"""Types that the Triton kernels read without conversion, and widen to float32 losslessly."""


def values(x: Tensor) -> Tensor:
    """The stored values of `x` on this process, detached.

    A sparse tensor gives the values that it stores, with duplicate indices summed first; a
    distributed tensor gives the local shard.

    Raises:
        TypeError: `x` is not a tensor.
        ValueError: `x` is not floating point.
    """
    if not isinstance(x, Tensor):
        raise TypeError(
            f"x must be a torch tensor or a sequence of them, got {type(x).__name__}; "
            "convert it with torch.as_tensor(x)"
        )
    if not x.is_floating_point():
        remedy = "take x.abs() first" if x.is_complex() else "convert it with x.float()"
        raise ValueError(f"x must be floating point, got {x.dtype}; {remedy}")
    if x.requires_grad:
        x = x.detach()
    # A DTensor, whose module a single process need not import.
    if type(x) is not Tensor and hasattr(x, "to_local"):
        x = x.to_local()
    if x.layout == torch.strided:
        return x
    return x.coalesce().values() if x.layout == torch.sparse_coo else x.values()


def flatten(x: Tensors) -> Tensor:
    """All entries of `x` in float32 or wider, shape [d], on the device of the first tensor.

    Half precision is widened before any logarithm or power is taken. The result may share memory
    with `x`.

    Raises:
        TypeError: `x` is neither a tensor nor a sequence of them.
        ValueError: A tensor is not floating point.
    """
    parts = [values(tensor).reshape(-1) for tensor in _listed(x)]
    if not parts:
        return torch.empty(0, dtype=torch.float32, device="cpu")
    dtype = torch.float32
    for part in parts:
        dtype = torch.promote_types(dtype, widened(part.dtype))
    parts = [part.to(parts[0].device, dtype) for part in parts]
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def pieces(x: Tensors) -> list[Tensor]:
    """The entries of each tensor, flat in the order of memory, on the device of the first.

    Unlike `flatten` this copies almost nothing: types are kept (except those of eight bits, which
    few operations support), and a tensor that is dense in another order than its indices' (channels
    last) is not rearranged.

    Raises:
        TypeError: `x` is neither a tensor nor a sequence of them.
        ValueError: A tensor is not floating point.
    """
    parts = [_in_memory_order(values(tensor)) for tensor in _listed(x)]
    parts = [part if part.element_size() > 1 else part.float() for part in parts]
    return [part if part.device == parts[0].device else part.to(parts[0].device) for part in parts]


def blocks(parts: Iterable[Tensor], size: int = CHUNK) -> Iterator[Tensor]:
    """Flat tensors with the same entries, where small tensors are joined up to `size` entries.

    So a few operations on each block serve a model of many small tensors.
    """
    group: list[Tensor] = []
    room = size
    for part in parts:
        if part.numel() > room:
            yield from _joined(group)
            group, room = [], size
        group.append(part)
        room -= part.numel()
    yield from _joined(group)


def cut(part: Tensor, size: int) -> Sequence[Tensor]:
    """A flat tensor in pieces of at most `size` entries."""
    return [part] if part.numel() <= size else part.split(size)


def widened(dtype: torch.dtype) -> torch.dtype:
    """float64 stays, everything else becomes float32, which holds it exactly."""
    return dtype if dtype == torch.float64 else torch.float32


def _listed(x: Tensors) -> Sequence[Tensor]:
    if isinstance(x, Tensor):
        return [x]
    return x if isinstance(x, Sequence) else [x]


def _in_memory_order(x: Tensor) -> Tensor:
    if not x.is_contiguous():
        x = x.permute(sorted(range(x.dim()), key=x.stride, reverse=True))
    return x.reshape(-1)


def _joined(group: list[Tensor]) -> list[Tensor]:
    return [torch.cat(group)] if len(group) > 1 else group
