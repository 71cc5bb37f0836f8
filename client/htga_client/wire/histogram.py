"""The compact encoding of a histogram of |gradient|, and its bins.

A bin is the top bits of an IEEE float32: the 8 exponent bits and the first `bits` of the mantissa.
So there are `2**bits` bins per octave, linear inside the octave, and bin `i` begins at
the float whose bit pattern is `i << (23 - bits)`. Finding a bin takes a shift, not a logarithm.

Layout: version (1 byte, 0x01), bits (1 byte), then LEB128 varints: n_zero, n_nonfinite, index of
the first non-empty bin, number of bins, and the counts from there on with empty bins trimmed at
both ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from htga_client.wire import varints

VERSION = 1
MAX_BITS = 8
_HEADER_NUMBERS = 6  # before the counts, each of at least a byte
_CHUNK = 2**18  # bytes decoded at a time, so that intermediate results stay in the cache


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
    counts: ArrayLike, *, bits: int, first: int = 0, n_zero: int = 0, n_nonfinite: int = 0
) -> bytes:
    """Encode counts; the inverse of `decode` up to the empty bins at both ends.

    Raises:
        ValueError: A count is negative, or the bins do not fit into `n_bins(bits)`.
    """
    one = Histogram(bits, first, np.asarray(counts, np.int64), n_zero, n_nonfinite)
    return encode_all([one])[0]


def encode_all(histograms: Sequence[Histogram]) -> list[bytes]:
    """`encode` of many histograms at once, with the same errors."""
    if not histograms:
        return []
    numbers = []
    for one in histograms:
        if not 0 <= one.bits <= MAX_BITS:
            raise ValueError(f"bits must be from 0 to {MAX_BITS}, got {one.bits}")
        filled = one.counts.nonzero()[0]
        start, stop = (int(filled[0]), int(filled[-1]) + 1) if filled.size else (0, 0)
        if one.first < 0 or one.first + stop > n_bins(one.bits):
            bins = f"bins {one.first} to {one.first + stop}"
            raise ValueError(f"{bins} do not fit into {n_bins(one.bits)}")
        header = (one.n_zero, one.n_nonfinite, one.first + start, stop - start)
        numbers += [np.array(header, np.int64), one.counts[start:stop]]
    octets, ends = varints.encode(numbers)
    bounds = [0, *ends[1::2].tolist()]
    return [
        bytes((VERSION, one.bits)) + octets[begin:end]
        for one, (begin, end) in zip(histograms, pairwise(bounds), strict=True)
    ]


@dataclass(frozen=True, slots=True)
class Histograms:
    """Many decoded histograms as columns; the numbers of an invalid one are meaningless.

    Attributes:
        valid: Whether each could be decoded, shape [N].
        bits, first, n_zero, n_nonfinite: As in `Histogram`, int64 of shape [N].
        size: Number of counts of each, int64 of shape [N].
        counts: Concatenated counts of all valid histograms, int64.
    """

    valid: NDArray[np.bool_]
    bits: NDArray[np.int64]
    first: NDArray[np.int64]
    n_zero: NDArray[np.int64]
    n_nonfinite: NDArray[np.int64]
    size: NDArray[np.int64]
    counts: NDArray[np.int64]


def decode(data: bytes) -> Histogram:
    """Decode the bytes of `encode`.

    Raises:
        ValueError: The bytes are not a histogram of a known version, are cut short, or continue
            after its end.
    """
    one = decode_all([data])
    if not one.valid[0]:
        raise ValueError(f"{len(data)} bytes are no version {VERSION} histogram: {data[:8].hex()}")
    return Histogram(
        int(one.bits[0]),
        int(one.first[0]),
        one.counts,
        int(one.n_zero[0]),
        int(one.n_nonfinite[0]),
    )


def decode_all(blobs: Sequence[bytes]) -> Histograms:
    """Decode many at once, in a few passes over all bytes; never raises on bad bytes."""
    length = np.fromiter(map(len, blobs), np.int64, len(blobs))
    return decode_joined(np.frombuffer(b"".join(blobs), np.uint8), np.cumsum(length))


def decode_joined(data: NDArray[np.uint8], ends: NDArray[np.int64]) -> Histograms:
    """`decode_all` of concatenated byte strings.

    Args:
        data: All bytes.
        ends: End of each string, increasing, shape [N]; the first begins at 0.
    """
    if data.size <= _CHUNK:
        return _decode(data, ends)
    cuts = np.searchsorted(ends, np.arange(_CHUNK, data.size, _CHUNK))
    bounds = [0, *np.unique(cuts[cuts > 0]).tolist(), ends.size]
    parts = []
    for first, last in pairwise(bounds):
        begin = ends[first - 1] if first else 0
        parts.append(_decode(data[begin : ends[last - 1]], ends[first:last] - begin))
    columns = (f.name for f in fields(Histograms))
    return Histograms(*(np.concatenate([getattr(part, c) for part in parts]) for c in columns))


def _decode(data: NDArray[np.uint8], ends: NDArray[np.int64]) -> Histograms:
    length = np.diff(ends, prepend=0)
    valid = length >= _HEADER_NUMBERS
    if not valid.all():
        data, ends = data[np.repeat(valid, length)], np.cumsum(length[valid])
    chosen = np.flatnonzero(valid)
    # Valid version and bits are below 128, so they decode as varints, too.
    numbers, upto, sound = varints.decode(data, ends)
    held = np.diff(upto, prepend=0)
    begin = upto - held
    sound &= held >= _HEADER_NUMBERS
    field = np.zeros((_HEADER_NUMBERS, chosen.size), np.int64)
    field[:, sound] = numbers[begin[sound] + np.arange(_HEADER_NUMBERS)[:, None]]
    version, bits, n_zero, n_nonfinite, first, size = field
    at = ends - length[chosen]
    sound &= (version == VERSION) & (data[at] == VERSION) & (bits <= MAX_BITS)
    sound &= data[at + 1] <= MAX_BITS
    # Bounded before the addition: two numbers of 63 bits would overflow.
    sound &= (size == held - _HEADER_NUMBERS) & (first <= n_bins(MAX_BITS))
    sound &= first + size <= (255 << np.where(sound, bits, 0))
    is_count = np.repeat(sound, held)
    is_count[(begin[:, None] + np.arange(_HEADER_NUMBERS))[sound].ravel()] = False
    valid[chosen] = sound

    def column(values: NDArray[np.int64]) -> NDArray[np.int64]:
        full = np.zeros(length.size, np.int64)
        full[chosen] = np.where(sound, values, 0)
        return full

    return Histograms(
        valid=valid,
        bits=column(bits),
        first=column(first),
        n_zero=column(n_zero),
        n_nonfinite=column(n_nonfinite),
        size=column(size),
        counts=numbers[is_count],
    )
