"""All that one look at a sample leaves: counts, the largest magnitudes and the length.

Unlike a `Survey`, which has chosen its k, sketches of the parts of a sample merge into that of the
whole: over tensors, over devices, and over the processes that hold a shard each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributed import ProcessGroup

from htga.tail import binned
from htga.tail.counting import READABLE, count, counted, float32, uses_triton
from htga.tail.entries import CHUNK, blocks, cut, widened
from htga.tail.log_histogram import LogHistogram
from htga.tail.norm import norm, sums_of_squares
from htga.tail.order_statistics import OrderStatistics
from htga.tail.tail_size import K, k_for
from htga.tail.triton_works import triton_works

Size = int | Callable[[LogHistogram], int]

BITS = 3
"""Resolution of the counts, that of the telemetry."""

ROW = 32
"""Entries that share a peak. With one entry in a few hundred in the tail, most peaks are low."""

DEVICE_CHUNK = 2**22
"""Entries that a device other than a CPU looks at together, which bounds what is allocated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sketch:
    """What is known of a sample; all on one device.

    Attributes:
        histogram: Counts of all magnitudes.
        largest: The largest finite magnitudes, descending, float64 of shape [m]; zeros follow
            where the sample has fewer.
        squares: Sum of the squares of all entries, float64, 0-d; NaN or infinite if an entry is.
    """

    histogram: LogHistogram
    largest: Tensor
    squares: Tensor

    @classmethod
    def of(
        cls,
        parts: Sequence[Tensor],
        size: Size,
        *,
        bits: int = BITS,
        scales: Tensor | None = None,
    ) -> Sketch:
        """Look at flat tensors of one device, keeping the `size` largest magnitudes.

        A CPU reads every entry once, and those rows again that hold a large one; CUDA once where
        Triton works. Other devices take more passes. The host waits for none of this.

        Args:
            parts: Float tensors of shape [d_i], at least one; may be empty.
            size: m, at least 1; on a CPU also what gives it, once all has been counted.
            bits: Resolution of the counts.
            scales: Positive factors on each part, float32 [P], to look at the products.
        """
        if parts[0].device.type == "cpu":
            return _on_cpu(parts, size, bits, scales)
        if callable(size):
            raise TypeError(f"size must be a number on {parts[0].device}, which would have to wait")
        return _on_device(parts, size, bits, scales)

    def merge(self, other: Sketch) -> Sketch:
        """The sketch of both samples together, on the device of this one."""
        device = self.squares.device
        both = torch.cat([self.largest, other.largest.to(device)])
        histogram = LogHistogram(self.histogram.bits, device).merge(self.histogram)
        histogram.state += other.histogram.state.to(device)
        return Sketch(
            histogram=histogram,
            largest=both.topk(self.largest.numel()).values,
            squares=self.squares + other.squares.to(device),
        )

    def all_reduce(self, group: ProcessGroup) -> Sketch:
        """The sketch of the whole sample, where each process of the group holds a shard."""
        histogram = LogHistogram(self.histogram.bits, self.squares.device)
        histogram.merge(self.histogram).all_reduce(group)
        squares = self.squares.clone()
        torch.distributed.all_reduce(squares, group=group)
        all_largest = [torch.empty_like(self.largest) for _ in range(group.size())]
        torch.distributed.all_gather(all_largest, self.largest, group=group)
        return Sketch(
            histogram=histogram,
            largest=torch.cat(all_largest).topk(self.largest.numel()).values,
            squares=squares,
        )

    def order_statistics(self, k: K) -> OrderStatistics:
        """The tail of this sample, if `largest` goes beyond it."""
        n = self.histogram.n
        return OrderStatistics.of(
            self.largest,
            k=k_for(n, k),
            n=n,
            n_zero=self.histogram.n_zero.clone(),
            n_nonfinite=self.histogram.n_nonfinite.clone(),
        )


def counts_and_squares(parts: Sequence[Tensor]) -> tuple[LogHistogram, Tensor]:
    """Counts of flat tensors of one device, and the sum of the squares of each, float64 [P]."""
    if _by_triton(parts):
        from htga.tail import triton_sketch  # noqa: PLC0415 (it may not be there)

        state, squares = triton_sketch.counts_and_squares(parts, BITS)
        return LogHistogram.of_state(state, BITS), squares
    histogram = LogHistogram(BITS, parts[0].device).update(parts)
    return histogram, sums_of_squares(parts)


def _by_triton(parts: Sequence[Tensor]) -> bool:
    device = parts[0].device
    return (
        all(part.dtype in READABLE for part in parts)
        and uses_triton(device)
        and triton_works("sketch", _look_at_one, device)
    )


def _look_at_one(device: torch.device) -> None:
    from htga.tail.triton_sketch import look  # noqa: PLC0415 (it may not be there)

    look([torch.ones(1, device=device)], 1, BITS, None)


def chunks(parts: Sequence[Tensor], size: int, scales: Tensor | None) -> Iterator[Tensor]:
    """The entries in pieces of at most `size`, small tensors joined; scaled ones are copies."""
    if scales is None:
        for block in blocks(parts, size):
            yield from cut(block, size)
    else:
        yield from blocks(_scaled(parts, size, scales), size)


def _scaled(parts: Sequence[Tensor], size: int, scales: Tensor) -> Iterator[Tensor]:
    for part, scale in zip(parts, scales.unbind(), strict=True):
        for piece in cut(part, size):
            yield piece.to(widened(piece.dtype)) * scale


def _on_cpu(parts: Sequence[Tensor], size: Size, bits: int, scales: Tensor | None) -> Sketch:
    histogram = LogHistogram(bits)
    # float32 is too coarse for the squares of float64, which are summed apart.
    double = any(part.dtype == torch.float64 for part in parts)
    peaks, length = [], torch.zeros((), dtype=torch.float64)
    for magnitudes in counted(chunks(parts, CHUNK, scales), bits, histogram.state):
        peaks.append(_rows(magnitudes).amax(1))
        if not double:
            length = torch.hypot(length, norm([magnitudes]))
    if double:
        for chunk in chunks(parts, CHUNK, scales):
            length = torch.hypot(length, norm([chunk]))
    size = size(histogram) if callable(size) else size
    floor = float(_edge_below(histogram, size))
    found = [torch.zeros(size, dtype=torch.float64)]
    for chunk, peak in zip(chunks(parts, CHUNK, scales), peaks, strict=True):
        high = (~(peak < floor)).nonzero().squeeze(1)  # Not ">=": a row with a NaN counts, too.
        magnitudes = torch.cat([_rows(chunk)[high].view(-1), _rest(chunk)]).abs()
        single = float32(magnitudes)
        kept = magnitudes[(single >= floor) & (single < torch.inf)]
        # Where many entries are alike the edge is far below the largest, but no chunk needs more.
        found.append(kept.topk(min(size, kept.numel()), sorted=False).values.double())
    largest = torch.cat(found).topk(size).values
    return Sketch(histogram=histogram, largest=largest, squares=length.square())


def _rows(x: Tensor) -> Tensor:
    """A view of the most entries of a flat `x` that fill rows, [rows, ROW]."""
    return x[: x.numel() // ROW * ROW].view(-1, ROW)


def _rest(x: Tensor) -> Tensor:
    return x[x.numel() // ROW * ROW :]


def _edge_below(histogram: LogHistogram, size: int) -> Tensor:
    """The highest edge with `size` entries at or above it; if there are fewer, above zero."""
    enough = binned.at_least(histogram.counts) >= size
    return histogram.edges.take((enough.sum() - 1).clamp(min=0)).clamp(min=binned.TINIEST)


def _on_device(parts: Sequence[Tensor], size: int, bits: int, scales: Tensor | None) -> Sketch:
    if _by_triton(parts):
        from htga.tail.triton_sketch import look  # noqa: PLC0415 (it may not be there)

        state, largest, squares = look(parts, size, bits, scales)
        histogram = LogHistogram.of_state(state, bits)
        return Sketch(histogram=histogram, largest=largest, squares=squares)
    device = parts[0].device
    histogram = LogHistogram(bits, device)
    squares = torch.zeros((), dtype=torch.float64, device=device)
    largest = torch.zeros(size, dtype=torch.float64, device=device)
    for chunk in chunks(parts, DEVICE_CHUNK, scales):
        histogram.state += count([chunk], bits, device)
        squares += torch.linalg.vector_norm(chunk, dtype=torch.float64).square()
        magnitudes = chunk.to(widened(chunk.dtype)).abs().nan_to_num_(nan=0.0, posinf=0.0)
        top = magnitudes.topk(min(size, chunk.numel())).values
        largest = torch.cat([largest, top.double()]).topk(size).values
    return Sketch(histogram=histogram, largest=largest, squares=squares)
