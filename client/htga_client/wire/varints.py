"""Variable-length integers (LEB128): seven bits a byte, the lowest first.

All functions work on many numbers at once; a loop over numbers would be a hundred times slower.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def encode(parts: Sequence[NDArray[np.int64]]) -> tuple[bytes, NDArray[np.int64]]:
    """Encode the numbers of all parts; returns the bytes, and where those of each part end.

    Raises:
        ValueError: A number is negative.
    """
    values = np.concatenate(parts)
    if values.min() < 0:
        raise ValueError(f"a number must not be negative, got {values.min()}")
    places = range(-(-int(values.max()).bit_length() // 7) or 1)
    shifted = values[:, None] >> (7 * np.arange(places.stop))
    more = np.append(shifted[:, 1:] > 0, np.zeros((values.size, 1), np.bool_), axis=1)
    kept = np.append(np.ones((values.size, 1), np.bool_), more[:, :-1], axis=1)
    octets = (shifted & 0x7F | np.where(more, 0x80, 0)).astype(np.uint8)
    ends = np.concatenate(([0], kept.sum(1).cumsum()))
    return octets[kept].tobytes(), ends[np.cumsum([part.size for part in parts])]


def decode(
    raw: NDArray[np.uint8], after: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Decode all varints of several concatenated byte strings.

    Args:
        raw: The bytes; no string is empty.
        after: End of each string, shape [N].

    Returns:
        The numbers; the count of numbers up to the end of each string; and whether each string
        ends with a number's last byte and has no number above 63 bits.
    """
    if raw.size == 0:
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.bool_)
    goes_on = raw >= 0x80
    sound = ~goes_on[after - 1]
    goes_on[after - 1] = False
    ends = np.flatnonzero(~goes_on)
    # Most numbers have one or two bytes: these are combined in place.
    low = raw & 0x7F
    paired = low.astype(np.uint16)
    before = goes_on[:-1]
    paired[1:] = (paired[1:] << (7 * before.view(np.uint8))) | (low[:-1] * before)
    numbers = paired[ends].astype(np.int64)
    # The others from their last byte, the most significant, to their first.
    last = np.flatnonzero(goes_on[:-2] & goes_on[1:-1] & ~goes_on[2:]) + 2
    wide = np.searchsorted(ends, last)
    width = last - np.where(wide > 0, ends[wide - 1], -1)
    value = low[last].astype(np.int64)
    for place in range(1, min(int(width.max(initial=0)), 9)):
        wider = width > place
        value[wider] = (value[wider] << 7) | low[last[wider] - place]
    numbers[wide] = value
    sound[np.searchsorted(after, last[width > 9], side="right")] = False
    return numbers, np.searchsorted(ends, after), sound
