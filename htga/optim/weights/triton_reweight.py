"""Reweighting of many CUDA tensors in one launch of a Triton kernel.

Imported only where Triton works.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import triton
import triton.language as tl
from torch import Tensor

from htga.optim.constants import TABLE_BITS
from htga.optim.weights.rank_weights import RankWeights
from htga.tail.histogram.triton_segments import pointer, segments_of
from htga.tail.triton.launch import launch

BLOCK = 1024
"""Number of entries that a program holds at a time."""


def reweight_by_triton(
    parts: Sequence[Tensor], weights: RankWeights, scales: Tensor | None
) -> Tensor:
    """`reweight.reweight` of parts whose type is one of `TRITON_DTYPES`."""
    segments = segments_of(parts)
    programs = [some.programs for some in segments]
    sums = torch.empty((sum(programs), 2), dtype=torch.float64, device=parts[0].device)
    for some, own in zip(segments, sums.split(programs), strict=True):
        launch(
            reweight_kernel,
            some.programs,
            some.table,
            some.programs,
            sums if scales is None else scales,
            weights.level,
            weights.rise,
            weights.largest,
            weights.exact,
            weights.largest.numel(),
            own,
            DTYPE=some.dtype,
            SCALED=scales is not None,
            SHIFT=23 - TABLE_BITS,
            HALVINGS=weights.largest.numel().bit_length(),
            BLOCK=BLOCK,
        )
    return sums.sum(0)


def multiply_by_triton(parts: Sequence[Tensor], factor: Tensor, unless: Tensor) -> None:
    """`reweight.multiply` of parts whose type is one of `TRITON_DTYPES`.

    If the factor is 1, as it usually is, the kernel reads and writes nothing.
    """
    for some in segments_of(parts):
        launch(
            multiply_kernel,
            some.programs,
            some.table,
            some.programs,
            factor,
            unless,
            DTYPE=some.dtype,
            BLOCK=BLOCK,
        )


def reciprocal_rms(sizes: Tensor, squares: Tensor) -> Tensor:
    """`samples.reciprocal_rms` as a kernel."""
    scales = torch.empty_like(squares, dtype=torch.float32)
    n = scales.numel()
    launch(reciprocal_kernel, -(-n // BLOCK), sizes, squares, scales, n, BLOCK=BLOCK)
    return scales


@triton.jit  # type: ignore[untyped-decorator] # Triton has no types
def reciprocal_kernel(
    sizes: tl.tensor,
    squares: tl.tensor,
    scales: tl.tensor,
    n: tl.tensor,
    BLOCK: tl.constexpr,  # noqa: N803 (Triton's custom for constants)
) -> None:
    """Root of size over squares; 1 if that is not a positive finite float32."""
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    size = tl.load(sizes + at, mask=at < n, other=1.0)
    scale = tl.sqrt(size / tl.load(squares + at, mask=at < n, other=1.0)).to(tl.float32)
    scale = tl.where((scale > 0) & (scale < float("inf")), scale, 1.0)
    tl.store(scales + at, scale, mask=at < n)


@triton.jit  # type: ignore[untyped-decorator] # Triton has no types
def reweight_kernel(  # noqa: PLR0917 (Triton binds by position)
    table: tl.tensor,
    n_segments: tl.tensor,
    scales: tl.tensor,
    level: tl.tensor,
    rise: tl.tensor,
    largest: tl.tensor,
    exact: tl.tensor,
    n_largest: tl.tensor,
    sums: tl.tensor,
    DTYPE: tl.constexpr,  # noqa: N803 (Triton's custom for constants)
    SCALED: tl.constexpr,  # noqa: N803
    SHIFT: tl.constexpr,  # noqa: N803
    HALVINGS: tl.constexpr,  # noqa: N803
    BLOCK: tl.constexpr,  # noqa: N803
) -> None:
    """Weight the segment of this program, and store its sums."""
    segment = tl.program_id(0)
    length = tl.load(table + n_segments + segment).to(tl.int32)
    x = pointer(table, DTYPE)
    floor = tl.load(largest).to(tl.float32)
    lane = tl.arange(0, BLOCK)
    squares = tl.zeros([BLOCK], dtype=tl.float64)
    total = tl.zeros([BLOCK], dtype=tl.float64)
    for start in range(0, length, BLOCK):
        inside = start + lane < length
        value = tl.load(x + start + lane, mask=inside, other=0.0)
        wide = value.to(tl.float32)
        magnitude = tl.abs(wide)
        if SCALED:
            magnitude = magnitude * tl.load(scales + tl.load(table + 2 * n_segments + segment))
        pattern = magnitude.to(tl.int32, bitcast=True)
        entry = pattern >> SHIFT
        fraction = (pattern & ((1 << SHIFT) - 1)).to(tl.float32)
        weight = tl.load(level + entry) + tl.load(rise + entry) * fraction
        hot = inside & (magnitude > floor)
        if tl.max(hot.to(tl.int32), 0) > 0:
            low = tl.zeros([BLOCK], dtype=tl.int32)
            high = low + n_largest
            for _ in tl.static_range(HALVINGS):
                middle = (low + high) // 2
                open_ = hot & (low < high)
                there = tl.load(largest + middle, mask=open_, other=0.0).to(tl.float32)
                below = open_ & (there < magnitude)
                low = tl.where(below, middle + 1, low)
                high = tl.where(open_ & (below == 0), middle, high)
            low = tl.minimum(low, n_largest - 1)
            known = tl.load(exact + low, mask=hot, other=0.0).to(tl.float32)
            weight = tl.where(hot, known, weight)
        weight = tl.where(inside, weight, 0.0)
        product = (wide * weight).to(value.dtype)
        tl.store(x + start + lane, product, mask=inside)
        written = product.to(tl.float64)
        squares += written * written
        total += weight.to(tl.float64)
    tl.store(sums + 2 * segment, tl.sum(squares))
    tl.store(sums + 2 * segment + 1, tl.sum(total))


@triton.jit  # type: ignore[untyped-decorator] # Triton has no types
def multiply_kernel(  # noqa: PLR0917 (Triton binds by position)
    table: tl.tensor,
    n_segments: tl.tensor,
    factor: tl.tensor,
    unless: tl.tensor,
    DTYPE: tl.constexpr,  # noqa: N803 (Triton's custom for constants)
    BLOCK: tl.constexpr,  # noqa: N803
) -> None:
    """Multiply the segment of this program by a number, or fill it with zeros."""
    times = tl.load(factor).to(tl.float32)
    none = tl.load(unless)
    if (times != 1.0) | none:
        length = tl.load(table + n_segments + tl.program_id(0)).to(tl.int32)
        x = pointer(table, DTYPE)
        lane = tl.arange(0, BLOCK)
        for start in range(0, length, BLOCK):
            inside = start + lane < length
            value = tl.load(x + start + lane, mask=inside, other=0.0)
            product = tl.where(none, 0.0, value.to(tl.float32) * times)
            tl.store(x + start + lane, product.to(value.dtype), mask=inside)
