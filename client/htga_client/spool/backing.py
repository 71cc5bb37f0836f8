"""What a spool's bytes lie on: a file, or memory where no file can be written."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Protocol


class Medium(Protocol):
    """Bytes that are appended, read anywhere, and thrown away as a whole."""

    durable: bool

    @property
    def size(self) -> int:
        """Bytes held."""

    def write(self, data: bytes) -> None:
        """Append all of `data`, or raise OSError and leave what was there before."""

    def read(self, at: int, size: int) -> bytes:
        """Up to `size` bytes from `at` on."""

    def syncing(self) -> Callable[[], None] | None:
        """What returns once all that was written so far outlives a power cut; None if it does.

        It may run while others write, close and remove, and raises OSError.
        """

    def close(self) -> None:
        """Write no more."""

    def remove(self) -> None:
        """Throw it away."""


class Memory:
    """A `Medium` that dies with the process."""

    durable = False

    def __init__(self) -> None:
        self._data = bytearray()

    @property
    def size(self) -> int:
        """Bytes held."""
        return len(self._data)

    def write(self, data: bytes) -> None:
        """Append."""
        self._data += data

    def read(self, at: int, size: int) -> bytes:
        """A copy of a part."""
        return bytes(self._data[at : at + size])

    def syncing(self) -> None:
        """Nothing can be done."""

    def close(self) -> None:
        """Nothing is open."""

    def remove(self) -> None:
        """Give the memory back."""
        self._data = bytearray()


class File:
    """A `Medium` on disk.

    Args:
        path: Of the file.
        descriptor: It, open for appending; None where it is only read.

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
    def create(cls, path: Path) -> File:
        """A new file that only its owner may read.

        Raises:
            OSError: It cannot be made, or exists.
        """
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0)
        return cls(path, os.open(path, flags, 0o600))

    def write(self, data: bytes) -> None:
        """Append; a full disk may take a part of it, which is taken back."""
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

    def syncing(self) -> Callable[[], None] | None:
        """Sync the data, and once the name."""
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
        """Close the descriptor; in a forked child that leaves the parent's alone."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def remove(self) -> None:
        """Close and delete."""
        self.close()
        self.path.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Return when the names in a folder outlive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
