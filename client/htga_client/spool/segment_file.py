"""The bytes of one segment: in a file, or in memory where no file can be written."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Protocol


class SegmentFile(Protocol):
    """Bytes that are appended, read at any position, and removed as a whole.

    Attributes:
        durable: Whether the bytes outlive this process.
    """

    durable: bool

    @property
    def size(self) -> int:
        """Number of bytes held."""

    def write(self, data: bytes) -> None:
        """Append all of `data`, or raise OSError and leave what was there before."""

    def read(self, at: int, size: int) -> bytes:
        """Up to `size` bytes from position `at` on."""

    def prepare_sync(self) -> Callable[[], None] | None:
        """A function that syncs everything written so far to the disk; None if that is done.

        It returns once the bytes would outlive a power cut, and raises OSError if they would not.
        Other threads may write, close and remove meanwhile.
        """

    def close(self) -> None:
        """Take no more writes."""

    def remove(self) -> None:
        """Delete the bytes."""


class InMemorySegment:
    """A `SegmentFile` that dies with the process."""

    durable = False

    def __init__(self) -> None:
        self._data = bytearray()

    @property
    def size(self) -> int:
        """Number of bytes held."""
        return len(self._data)

    def write(self, data: bytes) -> None:
        """Append."""
        self._data += data

    def read(self, at: int, size: int) -> bytes:
        """A copy of a part."""
        return bytes(self._data[at : at + size])

    def prepare_sync(self) -> None:
        """Memory cannot be synced."""

    def close(self) -> None:
        """Do nothing: memory needs no closing."""

    def remove(self) -> None:
        """Free the memory."""
        self._data = bytearray()


class DiskSegment:
    """A `SegmentFile` on disk.

    Args:
        path: Path of the file.
        descriptor: Its descriptor, open for appending; None if it is only read.

    Attributes:
        size: Bytes of whole writes.
    """

    durable = True

    def __init__(self, path: Path, descriptor: int | None = None) -> None:
        self.path = path
        self.size = path.stat().st_size
        self._descriptor = descriptor
        self._dirty = self._new = descriptor is not None  # even its name may not be on disk yet

    @classmethod
    def create(cls, path: Path) -> DiskSegment:
        """A new file that only its owner may read.

        Raises:
            OSError: The file exists, or cannot be made.
        """
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0)
        return cls(path, os.open(path, flags, 0o600))

    def write(self, data: bytes) -> None:
        """Append; if a full disk takes only a part, the part is cut off again."""
        if self._descriptor is None:
            raise OSError(f"{self.path} is closed")
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError:
            os.ftruncate(self._descriptor, self.size)
            raise
        self.size += len(data)
        self._dirty = True

    def read(self, at: int, size: int) -> bytes:
        """A part of the file, which need not be open."""
        size = max(0, min(size, self.size - at))
        if self._descriptor is not None:
            return os.pread(self._descriptor, size, at)
        with self.path.open("rb", buffering=0) as file:
            file.seek(at)
            return file.read(size)

    def prepare_sync(self) -> Callable[[], None] | None:
        """A function that syncs the data, and the first time the file's name."""
        if self._descriptor is None or not self._dirty:
            return None
        descriptor, new = os.dup(self._descriptor), self._new
        self._dirty = self._new = False

        def sync() -> None:
            try:
                getattr(os, "fdatasync", os.fsync)(descriptor)
            finally:
                os.close(descriptor)
            if new:
                sync_folder(self.path.parent)

        return sync

    def close(self) -> None:
        """Close the descriptor; in a forked child this leaves the parent's open."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def remove(self) -> None:
        """Close and delete."""
        self.close()
        self.path.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Return once the names in a folder would outlive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
