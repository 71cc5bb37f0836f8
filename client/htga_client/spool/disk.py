"""Where a spool's files are made, while the disk takes any."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from htga_client.console import say
from htga_client.spool.backing import File
from htga_client.spool.lease import Claim

RETRY = 1.0
"""Seconds after which a disk that refused is asked again."""


class Disk:
    """A writer's folder, made once it is needed; it says once that rows have to go elsewhere.

    Args:
        make_claim: Gives the folder; None for no disk.

    Attributes:
        claim: The folder, once there is one.
    """

    def __init__(self, make_claim: Callable[[], Claim] | None) -> None:
        self.claim: Claim | None = None
        self._make_claim = make_claim
        self._retry_at = 0.0
        self._told = False

    @property
    def is_worth_a_try(self) -> bool:
        """Whether it has not refused just now."""
        return self._make_claim is not None and time.monotonic() >= self._retry_at

    def open(self) -> Claim:
        """The folder.

        Raises:
            OSError: There is none, and none can be made.
        """
        if self.claim is None:
            if self._make_claim is None:
                raise OSError("there is no folder to write to")
            self.claim = self._make_claim()
        return self.claim

    def create(self, first: int) -> File:
        """A file for the segment that begins with row number `first`.

        Raises:
            OSError: It cannot be made.
        """
        return File.create(self.open().segment(first))

    def refused(self, error: OSError) -> None:
        """Leave it alone for a while."""
        self._retry_at = time.monotonic() + RETRY
        self.tell(error)

    def tell(self, error: OSError) -> None:
        """Say what is wrong with it."""
        if not self._told:
            self._told = True
            say(
                f"rows cannot be spooled ({error}); kept in memory meanwhile", level=logging.WARNING
            )
