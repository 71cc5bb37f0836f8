"""A sketch of many CUDA tensors from one read of them, by Triton kernels.

Only `htga.tail.sketch` imports this, and only where Triton works.

To keep the m largest magnitudes on the way, one must know a floor beforehand that about as many
are above. A sample of a few hundred thousand entries tells one that is nearly always low enough,
and not too low. Where it is not, as where most entries are the same number, the m-th largest
magnitude is found digit by digit, in a read for each. The host does not learn of it, so the kernels
that do this are launched in any case, and return at once where there is nothing to do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, sqrt

import torch
import triton
import triton.language as tl
from torch import Tensor

from htga.tail import binned
from htga.tail.triton_counting import (
    BLOCK,
    INFINITY,
    WINDOW,
    by_dtype,
    keep,
    kernel,
    magnitude,
    name_of,
    pointer,
    segment_size,
    segments,
)
from htga_client.histogram import n_bins

SAMPLE = 2**18
"""Entries that the floor is guessed from."""

ROOM = 8
"""Times m: for how many large magnitudes there is room. Bins of 9 % may hold many where the tail is
light."""

DIGIT = 12
"""Bits of a magnitude that are found at a time."""


@dataclass(frozen=True, slots=True)
class _Batch:
    """Tensors of one dtype, cut into segments.

    Attributes:
        owners: Indices of the tensors among all.
        shares: Number of segments of each.
    """

    table: Tensor
    dtype: str
    scales: Tensor | None
    owners: list[int]
    shares: list[int]

    @property
    def programs(self) -> int:
        """Number of segments."""
        return self.table.shape[1]


def look(
    parts: Sequence[Tensor], size: int, bits: int, scales: Sequence[Tensor] | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Counts, the largest magnitudes, and the sum of squares of flat tensors of one device.

    Args:
        parts: At least one; float32, float16 or bfloat16, contiguous.
        size: m, how many of the largest.
        bits: Resolution of the counts.
        scales: Factors on each part, float32, 0-d, to look at the products.

    Returns:
        A state of `htga.tail.counting`; float64 [m], falling, zeros where there are fewer; and
        float64, 0-d.
    """
    device, d = parts[0].device, sum(part.numel() for part in parts)
    batches = _batches(parts, scales)
    state = torch.zeros(n_bins(bits) + 2, dtype=torch.int64, device=device)
    room = torch.zeros(ROOM * size, device=device)
    kept = torch.zeros(1, dtype=torch.int32, device=device)
    floor = _guessed_floor(batches, torch.zeros_like(state), d=d, size=size, bits=bits)
    squares = [_read(batch, state, bits, floor=floor, room=room, kept=kept) for batch in batches]
    total = torch.cat([room.new_zeros(1, dtype=torch.float64), *squares]).sum()
    n = state[: n_bins(bits)].sum()
    guessed = (kept[0] <= room.numel()) & (kept[0] >= n.clamp(max=size))
    found = _by_digits(batches, state[: n_bins(bits)], size, bits, unless=guessed)
    largest = torch.cat([room.where(guessed, 0), found]).topk(size).values
    return state, largest.double(), total


def counts_and_squares(parts: Sequence[Tensor], bits: int) -> tuple[Tensor, Tensor]:
    """Counts of all, and the sum of the squares of each of the parts, float64 [P]; as `look`."""
    device = parts[0].device
    state = torch.zeros(n_bins(bits) + 2, dtype=torch.int64, device=device)
    found = [torch.zeros((), dtype=torch.float64, device=device)] * len(parts)
    for batch in _batches(parts, None):
        squares = _read(batch, state, bits)
        # Pinned, so that the copy waits for nothing. In a fixed order, so always to the same bit.
        shares = torch.tensor(batch.shares, pin_memory=device.type == "cuda")
        lengths = shares.to(device, non_blocking=True)
        sums = torch.segment_reduce(squares, "sum", lengths=lengths, unsafe=True)
        for owner, own in zip(batch.owners, sums.unbind(), strict=True):
            found[owner] = own
    return state, torch.stack(found)


def _batches(parts: Sequence[Tensor], scales: Sequence[Tensor] | None) -> list[_Batch]:
    batches = []
    for owners in by_dtype(parts):
        same = [parts[i] for i in owners]
        size = segment_size(same)
        their = None if scales is None else torch.stack([scales[i] for i in owners])
        shares = [-(-part.numel() // size) for part in same]
        batches.append(_Batch(segments(same), name_of(same[0].dtype), their, owners, shares))
    return batches


def _read(
    batch: _Batch,
    state: Tensor,
    bits: int,
    *,
    stride: int = 1,
    floor: Tensor | None = None,
    room: Tensor | None = None,
    kept: Tensor | None = None,
) -> Tensor:
    """One launch of the counting kernel; returns the sums of the squares of the segments."""
    squares = torch.zeros(batch.programs, dtype=torch.float64, device=state.device)
    nothing = squares.new_full((1,), INFINITY.value, dtype=torch.int32)
    with torch.cuda.device_of(state):
        kernel[batch.programs,](
            batch.table,
            batch.programs,
            state,
            squares if batch.scales is None else batch.scales,
            squares,
            nothing if floor is None else floor,
            squares if room is None else room,
            nothing if kept is None else kept,
            0 if room is None else room.numel(),
            stride,
            DTYPE=batch.dtype,
            SCALED=batch.scales is not None,
            LOOKING=stride == 1,
            BITS=bits,
            BLOCK=BLOCK,
            WINDOW=WINDOW,
            enable_fp_fusion=False,
        )
    return squares


def _guessed_floor(
    batches: Sequence[_Batch], state: Tensor, *, d: int, size: int, bits: int
) -> Tensor:
    """Bits of a magnitude that `size` of `d` entries are above, or somewhat more, int32 [1].

    Args:
        state: Zeros, to count a sample in.
    """
    # Odd, lest the sample see the same columns of every matrix.
    stride = d // SAMPLE | 1
    expected = size / stride
    # Four standard deviations of a count more than is expected.
    wanted = size if stride == 1 else ceil(expected + 4 * sqrt(expected)) + 4
    for batch in batches:
        _read(batch, state, bits, stride=stride)
    above = binned.at_least(state[: n_bins(bits)])
    edge = ((above >= wanted).sum() - 1).clamp(min=0)
    return (edge << (23 - bits)).clamp(min=1).int().reshape(1)  # zeros are no large magnitudes


def _by_digits(
    batches: Sequence[_Batch], counts: Tensor, size: int, bits: int, *, unless: Tensor
) -> Tensor:
    """The largest magnitudes, in any order, float32 [size]; zeros without a read if `unless`.

    The first bits of the m-th largest are known from the counts. Once all are, those above it are
    collected, and it stands for itself and all that are equal.
    """
    above = binned.at_least(counts)
    first = ((above >= size).sum() - 1).clamp(min=0)
    wanted = size - (above.take(first) - counts.take(first))
    state = torch.stack([(~unless).long(), first, wanted])
    left = 23 - bits
    while left:
        digit = min(DIGIT, left)
        left -= digit
        found = torch.zeros(1 << digit, dtype=torch.int64, device=counts.device)
        for batch in batches:
            _launch(digit_kernel, batch, state, found, SHIFT=left, DIGIT=digit)
        with torch.cuda.device_of(counts):
            choose_kernel[1,](state, found, DIGIT=digit, enable_fp_fusion=False)
    last = state[1].int().view(torch.float32).where(~unless, 0)
    room = last.repeat(size)
    kept = torch.zeros(1, dtype=torch.int32, device=counts.device)
    for batch in batches:
        _launch(collect_kernel, batch, state, room, kept, size)
    return room


def _launch(what: object, batch: _Batch, *arguments: Tensor | int, **constants: int) -> None:
    with torch.cuda.device_of(batch.table):
        what[batch.programs,](  # type: ignore[index] # Triton has no types
            batch.table,
            batch.programs,
            batch.table if batch.scales is None else batch.scales,
            *arguments,
            DTYPE=batch.dtype,
            SCALED=batch.scales is not None,
            BLOCK=BLOCK,
            **constants,
            enable_fp_fusion=False,
        )


@triton.jit  # type: ignore[untyped-decorator] # Triton has no types
def digit_kernel(  # noqa: PLR0917 (Triton binds by position)
    table: tl.tensor,
    n_segments: tl.tensor,
    scales: tl.tensor,
    state: tl.tensor,
    found: tl.tensor,
    DTYPE: tl.constexpr,  # noqa: N803 (Triton's custom for constants)
    SCALED: tl.constexpr,  # noqa: N803
    BLOCK: tl.constexpr,  # noqa: N803
    SHIFT: tl.constexpr,  # noqa: N803
    DIGIT: tl.constexpr,  # noqa: N803
) -> None:
    """Count the next digit of those magnitudes whose bits before it are known.

    `state` says whether there is anything to do, which bits are known, and how many entries that
    begin with them are wanted.
    """
    if tl.load(state) != 0:
        prefix = tl.load(state + 1).to(tl.int32)
        length = tl.load(table + n_segments + tl.program_id(0)).to(tl.int32)
        x = pointer(table, DTYPE)
        lane = tl.arange(0, BLOCK)
        digits: tl.constexpr = 1 << DIGIT
        private = tl.zeros([2 * digits], dtype=tl.int32)
        for start in range(0, length, BLOCK):
            at = start + lane
            inside = at < length
            value = magnitude(x, at, inside, table, n_segments, scales, SCALED)
            bits = value.to(tl.int32, bitcast=True) >> SHIFT
            hit = inside & ((bits >> DIGIT) == prefix)
            # Behind the digits goes what begins otherwise.
            private += tl.histogram(tl.where(hit, bits & (digits - 1), digits), 2 * digits)
        slot = tl.arange(0, 2 * digits)
        used = (slot < digits) & (private > 0)
        tl.atomic_add(found + slot, private.to(tl.int64), mask=used, sem="relaxed")


@triton.jit  # type: ignore[untyped-decorator] # Triton has no types
def choose_kernel(state: tl.tensor, found: tl.tensor, DIGIT: tl.constexpr) -> None:  # noqa: N803
    """Append the digit of the wanted magnitude to the bits that are known."""
    if tl.load(state) != 0:
        wanted = tl.load(state + 2)
        slot = tl.arange(0, 1 << DIGIT)
        count = tl.load(found + slot)
        at_least = tl.sum(count) - tl.cumsum(count, 0) + count
        digit = tl.maximum(tl.sum((at_least >= wanted).to(tl.int64)) - 1, 0)
        above = tl.sum(tl.where(slot > digit, count, 0))
        tl.store(state + 1, (tl.load(state + 1) << DIGIT) + digit)
        tl.store(state + 2, wanted - above)


@triton.jit  # type: ignore[untyped-decorator] # Triton has no types
def collect_kernel(  # noqa: PLR0917 (Triton binds by position)
    table: tl.tensor,
    n_segments: tl.tensor,
    scales: tl.tensor,
    state: tl.tensor,
    room: tl.tensor,
    kept: tl.tensor,
    capacity: tl.tensor,
    DTYPE: tl.constexpr,  # noqa: N803
    SCALED: tl.constexpr,  # noqa: N803
    BLOCK: tl.constexpr,  # noqa: N803
) -> None:
    """Put the finite magnitudes above the known bits into `room`."""
    if tl.load(state) != 0:
        bits = tl.load(state + 1).to(tl.int32)
        length = tl.load(table + n_segments + tl.program_id(0)).to(tl.int32)
        x = pointer(table, DTYPE)
        lane = tl.arange(0, BLOCK)
        for start in range(0, length, BLOCK):
            at = start + lane
            inside = at < length
            value = magnitude(x, at, inside, table, n_segments, scales, SCALED)
            pattern = value.to(tl.int32, bitcast=True)
            keep(value, inside & (pattern > bits) & (pattern < INFINITY), room, kept, capacity)
