"""The lock of the one collector that may use a SQLite file."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import platform
import sys
from pathlib import Path

if sys.platform != "win32":
    import fcntl

logger = logging.getLogger(__name__)
_HELD_BY_ANOTHER = {errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES}


class CollectorLock:
    """A file beside the database, locked as long as its collector lives.

    The operating system frees it when a process ends, however it ends. Programs that only read, or
    that write a little, such as a token, do not need it.

    Args:
        database: The database's file.
    """

    def __init__(self, database: Path) -> None:
        self._database = database
        self._path = Path(f"{database}.lock")
        self._file: int | None = None

    def acquire(self) -> None:
        """Take the lock; nothing happens if this object has it already.

        Raises:
            ValueError: Another collector has it; the message says which and what to do.
            OSError: The file cannot be made.
        """
        if self._file is not None:
            return
        opened = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            self._lock(opened)
        except BaseException:
            os.close(opened)
            raise
        os.ftruncate(opened, 0)
        os.write(opened, f"process {os.getpid()} on {platform.node()}\n".encode())
        self._file = opened

    def release(self) -> None:
        """Free the lock. Its file stays: whoever removed it might remove another's."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _lock(self, opened: int) -> None:
        if sys.platform == "win32":
            return  # it has no such locks
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _HELD_BY_ANOTHER:
                raise ValueError(
                    f"{self._database} is in use by another collector ({self._holder(opened)}), and"
                    " one alone may use a SQLite file: reach that one by its address (--url), end"
                    " it, or name another folder with --data"
                ) from error
            # Some network filesystems have no locks.
            logger.warning(
                "%s cannot be locked (%s): see to it that no second collector uses %s",
                self._path,
                error.strerror,
                self._database,
            )

    def _holder(self, opened: int) -> str:
        with contextlib.suppress(OSError, ValueError):
            if said := os.pread(opened, 200, 0).decode().strip():
                return said
        return "it has not said which"
