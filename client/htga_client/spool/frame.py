"""Frames: rows on disk, each group with its length, its checksum and its place in line.

Layout, little endian: length of the payload (4 bytes), CRC-32 of everything else in the frame (4),
number of the first row (8), number of rows (4), payload. A frame of no rows holds the Arrow schema
of those that follow it; the others hold one Arrow record batch.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

MAX_PAYLOAD = 16 << 20
"""A length beyond this is damage, not a frame."""

_HEAD = struct.Struct("<IIQI")
_COVERED = struct.Struct("<IQI")  # the head without its checksum
HEAD = _HEAD.size
"""Bytes of a frame before its payload."""


@dataclass(frozen=True, slots=True)
class Frame:
    """Some rows of a writer.

    Attributes:
        first: The writer's number of the first row.
        rows: How many there are.
        payload: An Arrow IPC message.
    """

    first: int
    rows: int
    payload: bytes | memoryview

    @property
    def end(self) -> int:
        """Number of the row after the last."""
        return self.first + self.rows


def pack(frame: Frame) -> bytes:
    """Bytes of a frame; the inverse of `unpack`.

    Raises:
        ValueError: The payload is larger than `MAX_PAYLOAD`.
    """
    size = len(frame.payload)
    if size > MAX_PAYLOAD:
        raise ValueError(f"a frame holds at most {MAX_PAYLOAD} bytes, got {size}")
    head = _HEAD.pack(size, _checksum(size, frame), frame.first, frame.rows)
    return b"".join((head, frame.payload))


def length(data: memoryview, at: int) -> int:
    """Bytes of the frame that begins at `at`, as it says itself; 0 if it cannot be a frame."""
    if at + _HEAD.size > len(data):
        return 0
    size = int.from_bytes(data[at : at + 4], "little")
    return _HEAD.size + size if size <= MAX_PAYLOAD else 0


def unpack(data: memoryview, at: int) -> Frame | None:
    """The frame that begins at `at`; None if it is cut short or damaged.

    A file system may leave zeros where a write was lost; those are no frame either, because their
    checksum is not zero.
    """
    whole = length(data, at)
    if not whole or at + whole > len(data):
        return None
    size, checksum, first, rows = _HEAD.unpack_from(data, at)
    frame = Frame(first, rows, data[at + _HEAD.size : at + whole])
    return frame if _checksum(size, frame) == checksum else None


def _checksum(size: int, frame: Frame) -> int:
    return zlib.crc32(frame.payload, zlib.crc32(_COVERED.pack(size, frame.first, frame.rows)))
