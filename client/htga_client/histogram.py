"""Compact bytes of a histogram of |gradient|, and its bins.

A bin is the top bits of an IEEE float32: the 8 exponent bits and the first `bits` of the mantissa.
So there are `2**bits` bins per octave, linear inside the octave, bin `i` begins at the float whose
bit pattern is `i << (23 - bits)`, and finding it takes a shift, not a logarithm.

Layout: version (1 byte, 0x01), bits (1 byte), then LEB128 varints: n_zero, n_nonfinite, index of
the first non-empty bin, number of bins, and the counts from there on with empty bins trimmed at
both ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

VERSION = 1
MAX_BITS = 8


@dataclass(frozen=True, slots=True)
class Histogram:
    """Decoded counts.

    Attributes:
        bits: Mantissa bits, so `2**bits` bins per octave.
        first: Index of the bin that `counts[0]` belongs to.
        counts: int64 counts of shape [B].
        n_zero: Number of exact zeros.
        n_nonfinite: Number of NaNs and infinities.
    """

    bits: int
    first: int
    counts: NDArray[np.int64]
    n_zero: int
    n_nonfinite: int


def n_bins(bits: int) -> int:
    """Number of bins that hold finite numbers: 255 octaves of `2**bits` bins."""
    return 255 << bits


def edges(bits: int, first: int, count: int) -> NDArray[np.float64]:
    """Edges of the bins `first .. first + count - 1`, float64 of shape [count + 1].

    The edge above the last finite bin is 2**128, which float32 itself cannot hold.
    """
    index = np.arange(first, first + count + 1, dtype=np.int64)
    exponent, mantissa = index >> bits, index & ((1 << bits) - 1)
    fraction = mantissa / (1 << bits)
    normal = np.ldexp(1.0 + fraction, exponent - 127)
    return np.where(exponent == 0, np.ldexp(fraction, -126), normal)


def encode(
    counts: Sequence[int], *, bits: int, first: int = 0, n_zero: int = 0, n_nonfinite: int = 0
) -> bytes:
    """Pack counts; the inverse of `decode` up to the empty bins at both ends.

    Raises:
        ValueError: A count is negative, or the bins do not fit into `n_bins(bits)`.
    """
    if not 0 <= bits <= MAX_BITS:
        raise ValueError(f"bits must be from 0 to {MAX_BITS}, got {bits}")
    filled = [i for i, count in enumerate(counts) if count]
    start, stop = (filled[0], filled[-1] + 1) if filled else (0, 0)
    if first < 0 or first + stop > n_bins(bits):
        raise ValueError(f"bins {first} to {first + stop} do not fit into {n_bins(bits)}")
    out = bytearray((VERSION, bits))
    for value in (n_zero, n_nonfinite, first + start, stop - start, *counts[start:stop]):
        _put(out, value)
    return bytes(out)


def decode(data: bytes) -> Histogram:
    """Unpack the bytes of `encode`.

    Raises:
        ValueError: The bytes are not a histogram of a known version, are cut short or go on after
            their end.
    """
    if len(data) < 2 or data[0] != VERSION or data[1] > MAX_BITS:
        raise ValueError(
            f"not a version {VERSION} histogram: begins with {data[:2].hex() or 'nothing'}"
        )
    bits = data[1]
    values = _take_all(data[2:])
    if len(values) < 4 or len(values) - 4 != values[3] or values[2] + values[3] > n_bins(bits):
        raise ValueError(f"a histogram of {len(data)} bytes is cut short or too long")
    n_zero, n_nonfinite, first, _ = values[:4].tolist()
    return Histogram(bits, first, values[4:], n_zero, n_nonfinite)


def _put(out: bytearray, value: int) -> None:
    if value < 0:
        raise ValueError(f"a count must not be negative, got {value}")
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)


def _take_all(data: bytes) -> NDArray[np.int64]:
    """All varints of `data` at once: each byte's 7 bits are shifted into place and summed."""
    raw = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero(raw < 0x80)
    if raw.size == 0 or ends.size == 0 or ends[-1] != raw.size - 1:
        raise ValueError(f"a histogram of {len(data)} bytes ends within a number")
    starts = np.concatenate(([0], ends[:-1] + 1))
    place = np.arange(raw.size) - np.repeat(starts, ends - starts + 1)
    if place.max() > 8:
        raise ValueError("a histogram holds a number above 2**63")
    parts = (raw & 0x7F).astype(np.int64) << (7 * place)
    return np.add.reduceat(parts, starts)
