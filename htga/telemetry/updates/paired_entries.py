"""The entries of tensors of the same parameters in the same order, and their inner products."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from htga.tail.histogram.sketch import DEVICE_CHUNK
from htga.telemetry.ranks import own_part

CHUNK = 2**16
"""Number of entries that a CPU works on at a time: few enough to stay in its cache."""

ROW = 256
"""Number of entries of which NumPy adds the products at a time, too few to wake its threads."""


EXACT_ABOVE = 1e-20
"""Sum of squares below which the squares that float32 cannot hold could matter."""


def real_view(x: Tensor) -> Tensor:
    """The tensor; a complex one as real numbers, of which its norm and its angles are the same."""
    return torch.view_as_real(x) if x.is_complex() else x


def own_entries(x: Tensor, device: torch.device, *, sharded: bool = False) -> Tensor:
    """What this process counts of a tensor: dense, real, detached, in its own shape.

    Args:
        x: A parameter, or what belongs to one. A sparse tensor becomes a dense copy.
        device: Where the entries are wanted.
        sharded: Whether all processes count together, each entry once.
    """
    x = x.detach()
    if sharded:
        x = own_part(x)
    elif hasattr(x, "to_local"):
        x = x.to_local()
    return real_view(x if x.layout == torch.strided else x.to_dense()).to(device)


def flat_as(x: Tensor, parameter: Tensor) -> Tensor:
    """The entries of `x`, flat, in the order in which those of `parameter` lie in memory.

    Both have the same shape. Where both lie alike, as they nearly always do, nothing is copied.
    """
    if not (x.is_contiguous() and parameter.is_contiguous()):
        x = x.permute(sorted(range(x.dim()), key=parameter.stride, reverse=True))
    return x.reshape(-1)


def joined(parts: Sequence[Tensor]) -> Tensor:
    """A flat copy of flat tensors of one device, at least one, in float32 or float64."""
    if parts[0].is_cpu:
        # On one thread: a parallel copy wakes threads, which then spin on the training's cores.
        return torch.from_numpy(np.concatenate([_wide(part).numpy() for part in parts]))
    flat = torch.cat([part if part.element_size() > 1 else part.float() for part in parts])
    return _wide(flat)


def subtract(flat: Tensor, parts: Sequence[Tensor]) -> None:
    """Subtract flat tensors, laid end to end, from what `joined` returned, in place."""
    end = 0
    for part in parts if flat.is_cpu else _joined_parts(parts):
        begin, end = end, end + part.numel()
        if flat.is_cpu:
            array = flat[begin:end].numpy()
            np.subtract(array, _wide(part).numpy(), out=array)
        else:
            flat[begin:end].sub_(part)


def inner_products(xs: Sequence[Tensor], ys: Sequence[Tensor], device: torch.device) -> Tensor:
    """x.x, x.y and y.y over all entries of flat tensors in pairs, float64 [3]; never waits.

    On a CPU the products of short rows of float32 are added in float32, the sums of the rows in
    float64, so a heavy tail costs no digits; what float32 cannot hold is done in float64.
    """
    if device.type == "cpu":
        with np.errstate(invalid="ignore", over="ignore"):
            return torch.from_numpy(
                sum((_on_cpu(x, y) for x, y in _pairs(xs, ys, CHUNK)), np.zeros(3))
            )
    total = torch.zeros(3, dtype=torch.float64, device=device)
    for x, y in _pairs(xs, ys, DEVICE_CHUNK):
        a, b = x.double(), y.double()
        total += torch.stack([a.dot(a), a.dot(b), b.dot(b)])
    return total


def _on_cpu(x: Tensor, y: Tensor) -> NDArray[np.float64]:
    if x.dtype == y.dtype == torch.float32:
        found = _three(x.numpy(), y.numpy())
        if min(found[0], found[2]) > EXACT_ABOVE and np.isfinite(found).all():
            return found
    return _three(x.double().numpy(), y.double().numpy())


def _three(a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.float64]:
    return np.array([_dot(a, a), _dot(a, b), _dot(b, b)])


def _dot(a: NDArray[Any], b: NDArray[Any]) -> float:
    end = a.size // ROW * ROW
    rows = np.vecdot(a[:end].reshape(-1, ROW), b[:end].reshape(-1, ROW))
    rest = a[end:].astype(np.float64) @ b[end:].astype(np.float64)
    return float(rows.sum(dtype=np.float64) + rest)


def _pairs(
    xs: Sequence[Tensor], ys: Sequence[Tensor], size: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Pairs of at most `size` entries, where small tensors are joined."""
    for several in _groups([x.numel() for x in xs], size):
        x, y = (s[several] for s in (xs, ys))
        one, other = (same[0] if len(same) == 1 else torch.cat(list(same)) for same in (x, y))
        yield from zip(one.split(size), other.split(size), strict=True)


def _joined_parts(parts: Sequence[Tensor]) -> Iterator[Tensor]:
    for several in _groups([part.numel() for part in parts], DEVICE_CHUNK):
        yield torch.cat(list(parts[several]))


def _groups(sizes: Sequence[int], most: int) -> Iterator[slice]:
    """Neighbours that together have at most so many entries; a larger one is alone."""
    begin, held = 0, 0
    for place, size in enumerate(sizes):
        if held and held + size > most:
            yield slice(begin, place)
            begin, held = place, 0
        held += size
    if begin < len(sizes):
        yield slice(begin, len(sizes))


def _wide(part: Tensor) -> Tensor:
    return part if part.element_size() >= 4 else part.float()
