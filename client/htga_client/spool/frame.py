"""Frames: batches of rows on disk, each with its length, checksum and sequence number.

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

_HEADER = struct.Struct("<IIQI")
_COVERED = struct.Struct("<IQI")  # the header without its checksum
HEADER_BYTES = _HEADER.size
"""Bytes of a frame before its payload."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A batch of rows of one writer.

    Attributes:
        first: Sequence number of the first row.
        rows: Number of rows.
        payload: An Arrow IPC message.
    """

    first: int
    rows: int
    payload: bytes | memoryview

    @property
    def end(self) -> int:
        """Sequence number after the last row."""
        return self.first + self.rows


def pack(frame: Frame) -> bytes:
    """Encode a frame; the inverse of `unpack`.

    Raises:
        ValueError: The payload is larger than `MAX_PAYLOAD`.
    """
    size = len(frame.payload)
    if size > MAX_PAYLOAD:
        raise ValueError(f"a frame holds at most {MAX_PAYLOAD} bytes, got {size}")
    header = _HEADER.pack(size, _checksum(size, frame), frame.first, frame.rows)
    return b"".join((header, frame.payload))


def length(data: memoryview, at: int) -> int:
    """Length in bytes of the frame at `at`, by its header; 0 if there is no valid header."""
    if at + _HEADER.size > len(data):
        return 0
    size = int.from_bytes(data[at : at + 4], "little")
    return _HEADER.size + size if size <= MAX_PAYLOAD else 0


def unpack(data: memoryview, at: int) -> Frame | None:
    """Decode the frame at `at`; None if it is cut short or damaged.

    A file system may leave zeros where a write was lost. Zeros are not a frame, because the
    checksum of an empty frame is not zero.
    """
    whole = length(data, at)
    if not whole or at + whole > len(data):
        return None
    size, checksum, first, rows = _HEADER.unpack_from(data, at)
    frame = Frame(first, rows, data[at + _HEADER.size : at + whole])
    return frame if _checksum(size, frame) == checksum else None


def _checksum(size: int, frame: Frame) -> int:
    return zlib.crc32(frame.payload, zlib.crc32(_COVERED.pack(size, frame.first, frame.rows)))
