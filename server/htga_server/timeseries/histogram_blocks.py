"""Histograms of up to a window of steps in one byte string, compressed together.

Counts of one step look like those of the next, so together they take half of what they take alone,
and reading a stretch of them is a few large reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from htga_client.wire.histogram import Histogram, Histograms, encode_all

VERSION = 1
_HEADER = 6  # version, number of histograms less one, and the size unpacked (4 bytes)
_ZSTD = pa.Codec("zstd", 1)


@dataclass(frozen=True, slots=True)
class Blobs:
    """Encoded histograms, one after the other.

    Attributes:
        data: Their bytes, uint8.
        ends: Where each ends in `data`, int64 of shape [N].
    """

    data: NDArray[np.uint8]
    ends: NDArray[np.int64]

    def __getitem__(self, which: slice) -> Blobs:
        """A stretch of them."""
        begin = self.ends[which.start - 1] if which.start else 0
        ends = self.ends[which]
        return Blobs(self.data[begin : ends[-1] if ends.size else begin], ends - begin)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Bytes of each."""
        lengths = self.ends.copy()  # `np.diff` with a number before takes ten times as long
        lengths[1:] -= self.ends[:-1]
        return lengths

    def take(self, rows: NDArray[np.int64]) -> Blobs:
        """Those of some rows, in the order given."""
        begin = np.concatenate(([0], self.ends[:-1]))[: self.ends.size][rows]
        ends = self.ends[rows]
        parts = [self.data[a:b] for a, b in zip(begin.tolist(), ends.tolist(), strict=True)]
        return Blobs(np.concatenate([np.zeros(0, np.uint8), *parts]), np.cumsum(ends - begin))

    def to_list(self) -> list[bytes]:
        """Each as bytes of its own."""
        data, ends = self.data.tobytes(), [0, *self.ends.tolist()]
        return [data[a:b] for a, b in pairwise(ends)]


def of_list(blobs: Sequence[bytes]) -> Blobs:
    """Histograms that are byte strings of their own."""
    lengths = np.fromiter(map(len, blobs), np.int64, len(blobs))
    return Blobs(np.frombuffer(b"".join(blobs), np.uint8), np.cumsum(lengths))


def pack(step: NDArray[np.int64], blobs: Blobs) -> bytes:
    """Up to 256 histograms, of increasing steps less than 256 apart, as one byte string."""
    plain = b"".join(
        (
            (step - step[0]).astype(np.uint8).tobytes(),
            blobs.lengths.astype("<u4").tobytes(),
            blobs.data.tobytes(),
        )
    )
    head = bytes((VERSION, step.size - 1)) + len(plain).to_bytes(4, "little")
    return bytes(head + _ZSTD.compress(plain, asbytes=True))


def unpack(first: int, packed: bytes) -> tuple[NDArray[np.int64], Blobs]:
    """Steps and histograms of what `pack` made; `first` is the first step."""
    size, number = int.from_bytes(packed[2:_HEADER], "little"), packed[1] + 1
    plain = np.frombuffer(_ZSTD.decompress(packed[_HEADER:], size, asbytes=True), np.uint8)
    step = first + plain[:number].astype(np.int64)
    lengths = plain[number : 5 * number].view("<u4").astype(np.int64)
    return step, Blobs(plain[5 * number :], np.cumsum(lengths))


def one(step: int, blob: bytes) -> tuple[NDArray[np.int64], Blobs]:
    """A single histogram, as `pack` takes it."""
    return np.array([step], np.int64), of_list([blob])


def items(first: int, packed: bytes) -> list[tuple[int, bytes]]:
    """Step and histogram of each that `pack` made one."""
    step, blobs = unpack(first, packed)
    return list(zip(step.tolist(), blobs.to_list(), strict=True))


def add_up(decoded: Histograms, stretches: Sequence[slice]) -> list[bytes]:
    """The sum of each stretch of histograms, up to a window of them, on the coarsest bins there."""
    ends = np.cumsum(decoded.size)
    return encode_all([_sum(decoded, rows, ends) for rows in stretches])


def _sum(decoded: Histograms, rows: slice, ends: NDArray[np.int64]) -> Histogram:
    size, bits, first = decoded.size[rows], decoded.bits[rows], decoded.first[rows]
    counts = decoded.counts[int(ends[rows.start] - size[0]) : int(ends[rows.stop - 1])]
    low, end = int(first.min()), int((first + size).max())
    if (bits == bits[0]).all():
        # A row for each, zero where it has no bin: `counts` fills the rest in order.
        dense = np.zeros((size.size, end - low), np.int64)
        at = np.arange(low, end)
        dense[(at >= first[:, None]) & (at < (first + size)[:, None])] = counts
        summed = dense.sum(axis=0)
    else:
        row = np.repeat(np.arange(size.size), size)
        place = np.arange(row.size) - np.repeat(np.cumsum(size) - size, size)
        index = (first[row] + place) >> (bits[row] - bits.min())
        low = int(index.min(initial=index[0] if index.size else 0))
        summed = np.zeros(int(index.max(initial=low - 1)) - low + 1, np.int64)
        np.add.at(summed, index - low, counts)
    return Histogram(
        int(bits.min()),
        low,
        summed,
        int(decoded.n_zero[rows].sum()),
        int(decoded.n_nonfinite[rows].sum()),
    )
