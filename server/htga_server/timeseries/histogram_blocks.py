"""Blocks: the histograms of up to a window of steps in one byte string, compressed together.

The counts of one step look like those of the next, so together they take half of the space, and
reading a range of them is a few large reads.
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
class BinaryColumn:
    """N encoded histograms, one after the other.

    Attributes:
        data: The bytes of all, uint8.
        ends: The end of each in `data`, int64 of shape [N].
    """

    data: NDArray[np.uint8]
    ends: NDArray[np.int64]

    def __getitem__(self, which: slice) -> BinaryColumn:
        """Select a range of entries."""
        begin = self.ends[which.start - 1] if which.start else 0
        ends = self.ends[which]
        return BinaryColumn(self.data[begin : ends[-1] if ends.size else begin], ends - begin)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """The bytes of each entry, shape [N]."""
        lengths = self.ends.copy()  # `np.diff` with a number before takes ten times as long
        lengths[1:] -= self.ends[:-1]
        return lengths

    def take(self, rows: NDArray[np.int64]) -> BinaryColumn:
        """Select entries by index, in the order given."""
        begin = np.concatenate(([0], self.ends[:-1]))[: self.ends.size][rows]
        ends = self.ends[rows]
        parts = [self.data[a:b] for a, b in zip(begin.tolist(), ends.tolist(), strict=True)]
        return BinaryColumn(
            np.concatenate([np.zeros(0, np.uint8), *parts]), np.cumsum(ends - begin)
        )

    def to_list(self) -> list[bytes]:
        """Return each entry as bytes."""
        data, ends = self.data.tobytes(), [0, *self.ends.tolist()]
        return [data[a:b] for a, b in pairwise(ends)]


def from_list(blobs: Sequence[bytes]) -> BinaryColumn:
    """Join encoded histograms."""
    lengths = np.fromiter(map(len, blobs), np.int64, len(blobs))
    return BinaryColumn(np.frombuffer(b"".join(blobs), np.uint8), np.cumsum(lengths))


def encode_block(step: NDArray[np.int64], blobs: BinaryColumn) -> bytes:
    """Encode up to 256 histograms, of increasing steps less than 256 apart."""
    plain = b"".join(
        (
            (step - step[0]).astype(np.uint8).tobytes(),
            blobs.lengths.astype("<u4").tobytes(),
            blobs.data.tobytes(),
        )
    )
    head = bytes((VERSION, step.size - 1)) + len(plain).to_bytes(4, "little")
    return bytes(head + _ZSTD.compress(plain, asbytes=True))


def decode_block(first: int, block: bytes) -> tuple[NDArray[np.int64], BinaryColumn]:
    """Return the steps and histograms of a block whose first step is `first`."""
    size, number = int.from_bytes(block[2:_HEADER], "little"), block[1] + 1
    plain = np.frombuffer(_ZSTD.decompress(block[_HEADER:], size, asbytes=True), np.uint8)
    step = first + plain[:number].astype(np.int64)
    lengths = plain[number : 5 * number].view("<u4").astype(np.int64)
    return step, BinaryColumn(plain[5 * number :], np.cumsum(lengths))


def decode_items(first: int, block: bytes) -> list[tuple[int, bytes]]:
    """Return (step, encoded histogram) for each histogram of a block."""
    step, blobs = decode_block(first, block)
    return list(zip(step.tolist(), blobs.to_list(), strict=True))


def sum_histograms(decoded: Histograms, groups: Sequence[slice]) -> list[bytes]:
    """Sum groups of at most a window of histograms, each on the coarsest bins in its group."""
    ends = np.cumsum(decoded.size)
    return encode_all([_sum(decoded, rows, ends) for rows in groups])


def _sum(decoded: Histograms, rows: slice, ends: NDArray[np.int64]) -> Histogram:
    size, bits, first = decoded.size[rows], decoded.bits[rows], decoded.first[rows]
    counts = decoded.counts[int(ends[rows.start] - size[0]) : int(ends[rows.stop - 1])]
    low, end = int(first.min()), int((first + size).max())
    if (bits == bits[0]).all():
        # One row per histogram, zero where it has no bin; `counts` fills the rest in order.
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
