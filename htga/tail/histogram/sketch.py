"""A sketch of a sample: counts, the largest magnitudes and the length, from one pass over it.

A `SampleSummary` has chosen its k. A sketch has not, so the sketches of the parts of a sample merge
into that of the whole: over tensors, devices, and the processes that hold a shard each.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.distributed import ProcessGroup

from htga.tail.flat_tensors import CHUNK, TRITON_DTYPES, blocks, cut, widened
from htga.tail.histogram.counting import count, count_on_cpu, uses_triton
from htga.tail.histogram.log_histogram import LogHistogram
from htga.tail.norm import norm, sums_of_squares
from htga.tail.order_statistics import OrderStatistics
from htga.tail.tail_size import K, k_for
from htga.tail.triton.available import triton_works
from htga_client.wire.histogram import n_bins

BITS = 3
"""Mantissa bits of the counts, as in telemetry."""

DEVICE_CHUNK = 2**22
"""Number of entries per pass on devices other than a CPU, which bounds their memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sketch:
    """A mergeable summary of a sample; all tensors on one device.

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
        size: int,
        *,
        bits: int = BITS,
        scales: Tensor | None = None,
    ) -> Sketch:
        """Scan flat tensors of one device, keeping the `size` largest magnitudes.

        A CPU reads every entry once, and so does CUDA if Triton works; other devices take more
        passes. The host never waits.

        Args:
            parts: Float tensors of shape [d_i], at least one; may be empty.
            size: m, at least 1.
            bits: Resolution of the counts.
            scales: Positive factors on the parts, float32 [P]; the sketch is of the products.
        """
        if parts[0].device.type == "cpu":
            return _on_cpu(parts, size, bits, scales)
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

    @classmethod
    def together(cls, sketches: Sequence[Sketch], size: int) -> Sketch:
        """The sketch of several samples together on a CPU, with the `size` largest of them all.

        Args:
            sketches: At least one; each keeps `size` magnitudes, or all that its sample has.
            size: At least 1.
        """
        first = sketches[0].histogram
        state = torch.stack([sketch.histogram.state for sketch in sketches]).sum(0)
        found = np.concatenate([np.zeros(size), *(sketch.largest.numpy() for sketch in sketches)])
        largest = np.sort(np.partition(found, found.size - size)[found.size - size :])[::-1]
        return cls(
            histogram=LogHistogram.of_state(state, first.bits),
            largest=torch.from_numpy(largest.copy()),
            squares=torch.stack([sketch.squares for sketch in sketches]).sum(),
        )

    def all_reduce(self, group: ProcessGroup) -> Sketch:
        """The sketch of the whole sample, of which each process of the group holds a shard."""
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
        """The tail of this sample; `largest` must go beyond it."""
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
        from htga.tail.histogram import triton_sketch  # noqa: PLC0415 (it may not be there)

        state, squares = triton_sketch.counts_and_squares(parts, BITS)
        return LogHistogram.of_state(state, BITS), squares
    histogram = LogHistogram(BITS, parts[0].device).update(parts)
    return histogram, sums_of_squares(parts)


def _by_triton(parts: Sequence[Tensor]) -> bool:
    device = parts[0].device
    return (
        all(part.dtype in TRITON_DTYPES for part in parts)
        and uses_triton(device)
        and triton_works("sketch", _scan_one, device)
    )


def _scan_one(device: torch.device) -> None:
    from htga.tail.histogram.triton_sketch import scan  # noqa: PLC0415 (it may not be there)

    scan([torch.ones(1, dtype=torch.float32, device=device)], 1, BITS, None)


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


def _on_cpu(parts: Sequence[Tensor], size: int, bits: int, scales: Tensor | None) -> Sketch:
    histogram = LogHistogram(bits, "cpu")
    length, found = 0.0, [np.zeros(size)]
    for chunk in chunks(parts, CHUNK, scales):
        # float32 is too coarse for the squares of float64.
        wide = chunk if chunk.dtype == torch.float64 else chunk.float()
        number = count_on_cpu(wide, bits, histogram.state)
        length = math.hypot(length, float(norm([wide])))
        # The largest entries lie in this bin or above, because it has enough entries so far.
        at = np.flatnonzero((number >= _bin_of(histogram, size)) & (number < n_bins(bits)))
        high = np.abs(wide.numpy()[at])
        if high.size > size:  # Many entries may be alike, but no chunk needs more.
            high = np.partition(high, high.size - size)[high.size - size :]
        found.append(high.astype(np.float64))
    largest = np.concatenate(found)
    falling = np.sort(np.partition(largest, largest.size - size)[largest.size - size :])[::-1]
    squares = torch.tensor(length, dtype=torch.float64, device="cpu").square()
    return Sketch(histogram=histogram, largest=torch.from_numpy(falling.copy()), squares=squares)


def _bin_of(histogram: LogHistogram, size: int) -> int:
    """The highest bin with `size` entries in it and above; the first bin if there are fewer."""
    at_least = histogram.counts.numpy()[::-1].cumsum()[::-1]
    return max(int(np.count_nonzero(at_least >= size)) - 1, 0)


def _on_device(parts: Sequence[Tensor], size: int, bits: int, scales: Tensor | None) -> Sketch:
    if _by_triton(parts):
        from htga.tail.histogram.triton_sketch import scan  # noqa: PLC0415 (it may not be there)

        state, largest, squares = scan(parts, size, bits, scales)
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
