"""A spool's directory, left alone for a while after the disk has failed."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from htga_client.console import notify
from htga_client.spool.directory import SpoolDirectory
from htga_client.spool.segment_file import DiskSegment

RETRY_SECONDS = 1.0
"""Seconds after which a disk that failed is tried again."""


class DiskBackoff:
    """Makes files in a writer's directory, which it creates with the first of them.

    Args:
        make_directory: Makes the directory; None for no disk.

    Attributes:
        directory: The directory, once there is one.
    """

    def __init__(self, make_directory: Callable[[], SpoolDirectory] | None) -> None:
        self.directory: SpoolDirectory | None = None
        self._make_directory = make_directory
        self._retry_at = 0.0
        self._warned = False

    @property
    def may_retry(self) -> bool:
        """Whether the disk has not failed within the last `RETRY_SECONDS`."""
        return self._make_directory is not None and time.monotonic() >= self._retry_at

    def open(self) -> SpoolDirectory:
        """The directory, which is created if need be.

        Raises:
            OSError: There is none, and none can be made.
        """
        if self.directory is None:
            if self._make_directory is None:
                raise OSError("there is no folder to write to")
            self.directory = self._make_directory()
        return self.directory

    def create(self, first: int) -> DiskSegment:
        """A file for the segment that begins with row number `first`.

        Raises:
            OSError: It cannot be made.
        """
        return DiskSegment.create(self.open().segment(first))

    def failed(self, error: OSError) -> None:
        """Leave the disk alone for `RETRY_SECONDS`."""
        self._retry_at = time.monotonic() + RETRY_SECONDS
        self.warn_once(error)

    def warn_once(self, error: OSError) -> None:
        """Print what is wrong with the disk, the first time."""
        if not self._warned:
            self._warned = True
            notify(
                f"rows cannot be spooled ({error}); kept in memory meanwhile", level=logging.WARNING
            )
