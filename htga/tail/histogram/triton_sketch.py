"""A sketch of many CUDA tensors from one read of them, by Triton kernels.

Imported only where Triton works.

To keep the m largest magnitudes in the same read, the kernel needs a floor that slightly more than
m magnitudes exceed. A sample of a few hundred thousand entries gives one that is nearly always
right. Where it is not, for instance where most entries are the same number, the m-th largest
magnitude is found digit by digit, with one read for each. The host does not know which case it is,
so the kernels for this are always launched, and return at once if there is nothing to do.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, sqrt

import torch
from torch import Tensor

from htga.tail.histogram.triton_counting import LAST, PRIVATE_BINS, SCRATCH_SIZE
from htga.tail.histogram.triton_counting import kernel as counting_kernel
from htga.tail.histogram.triton_segments import BLOCK, Segments, segments_of, sum_kernel
from htga.tail.histogram.triton_top_k import (
    DIGIT,
    collect_kernel,
    digit_kernel,
    floor_kernel,
    verdict_kernel,
)
from htga.tail.triton.launch import launch
from htga_client.wire.histogram import n_bins

SAMPLE = 2**18
"""Number of entries that the floor is estimated from."""

ROOM = 8
"""Capacity for large magnitudes, in multiples of m. One bin may hold many if the tail is light."""


def scan(
    parts: Sequence[Tensor], size: int, bits: int, scales: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Counts, the largest magnitudes, and the sum of squares of flat tensors of one device.

    Args:
        parts: At least one; float32, float16 or bfloat16, contiguous.
        size: m, the number of the largest magnitudes.
        bits: Resolution of the counts.
        scales: Factors on the parts, float32 [P]; the sketch is of the products.

    Returns:
        The counts, a state of `htga.tail.histogram.counting`; the largest magnitudes, float64 [m],
        falling, zeros where there are fewer; and the sum of squares, float64, 0-d.
    """
    device, d = parts[0].device, sum(part.numel() for part in parts)
    segments = segments_of(parts)
    state, sampled = torch.zeros((2, n_bins(bits) + 2), dtype=torch.int64, device=device).unbind()
    scratch, digits = torch.zeros(
        SCRATCH_SIZE + (2 << DIGIT), dtype=torch.int64, device=device
    ).split([SCRATCH_SIZE, 2 << DIGIT])
    capacity = max(min(ROOM * size, d), size)
    room = torch.zeros(capacity, dtype=torch.float32, device=device)
    _guess_floor(segments, sampled, scratch, scales, d=d, size=size, bits=bits)
    squares = _squares_of(segments, device)
    for some, sums in zip(segments, squares.split([s.programs for s in segments]), strict=True):
        _read(some, state, bits, scales, squares=sums, scratch=scratch, room=room)
    launch(verdict_kernel, 1, state, scratch, size, capacity, BITS=bits)
    for kernel, constants in (
        (digit_kernel, {"FIRST": True}),
        (digit_kernel, {"FIRST": False}),
        (collect_kernel, {}),
    ):
        for some in segments:
            launch(
                kernel,
                some.programs,
                some.table,
                some.programs,
                scratch if scales is None else scales,
                scratch,
                digits,
                room,
                capacity,
                DTYPE=some.dtype,
                SCALED=scales is not None,
                LEFT=23 - bits,
                DIGIT=DIGIT,
                BLOCK=BLOCK,
                **constants,
            )
    # The collected magnitudes are above the m-th; the m-th stands for itself and its ties.
    last = scratch.view(torch.float32)[2 * LAST.value]
    return state, room.topk(size).values.clamp_(min=last).double(), squares.sum()


def counts_and_squares(parts: Sequence[Tensor], bits: int) -> tuple[Tensor, Tensor]:
    """Counts of all, and the sum of the squares of each of the parts, float64 [P]; as `scan`."""
    device = parts[0].device
    state = torch.zeros(n_bins(bits) + 2, dtype=torch.int64, device=device)
    found = torch.zeros(len(parts), dtype=torch.float64, device=device)
    for some in segments_of(parts):
        squares = _squares_of([some], device)
        _read(some, state, bits, None, squares=squares)
        launch(
            sum_kernel, some.owners.numel(), squares, some.firsts, some.owners, found, BLOCK=BLOCK
        )
    return state, found


def _squares_of(segments: Sequence[Segments], device: torch.device) -> Tensor:
    """An empty buffer for the sums of squares of all segments."""
    return torch.empty(sum(s.programs for s in segments), dtype=torch.float64, device=device)


def _read(
    some: Segments,
    state: Tensor,
    bits: int,
    scales: Tensor | None,
    *,
    stride: int = 1,
    squares: Tensor | None = None,
    scratch: Tensor | None = None,
    room: Tensor | None = None,
) -> None:
    """One launch of the counting kernel."""
    launch(
        counting_kernel,
        some.programs,
        some.table,
        some.programs,
        state,
        state if scales is None else scales,
        state if squares is None else squares,
        state if scratch is None else scratch,
        state if room is None else room,
        0 if room is None else room.numel(),
        stride,
        DTYPE=some.dtype,
        SCALED=scales is not None,
        SQUARING=squares is not None,
        KEEPING=room is not None,
        BITS=bits,
        BLOCK=BLOCK,
        PRIVATE_BINS=PRIVATE_BINS,
    )


def _guess_floor(
    segments: Sequence[Segments],
    sampled: Tensor,
    scratch: Tensor,
    scales: Tensor | None,
    *,
    d: int,
    size: int,
    bits: int,
) -> None:
    """Store the bits of a magnitude that `size` of `d` entries exceed, or somewhat more."""
    # Odd, lest the sample see the same columns of every matrix.
    stride = d // SAMPLE | 1
    expected = size / stride
    # Four standard deviations more than the expected count.
    wanted = size if stride == 1 else ceil(expected + 4 * sqrt(expected)) + 4
    for some in segments:
        _read(some, sampled, bits, scales, stride=stride)
    launch(floor_kernel, 1, sampled, scratch, wanted, BITS=bits)
