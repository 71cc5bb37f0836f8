"""A guard that keeps telemetry's own errors out of the training loop."""

from __future__ import annotations

import os
from types import TracebackType

from htga_client.console import logger


class Guard:
    """A context that suppresses all exceptions and logs the first.

    With HTGA_STRICT=1 in the environment exceptions pass, for tests.

    Args:
        failure: What to log.
    """

    def __init__(self, failure: str) -> None:
        self._failure = failure
        self._logged = False

    def caught(self, error: Exception) -> bool:
        """Log an error if it is the first; False if it must be raised."""
        if os.environ.get("HTGA_STRICT") == "1":
            return False
        if not self._logged:
            self._logged = True
            logger.warning("%s; training goes on", self._failure, exc_info=error)
        return True

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        return isinstance(error, Exception) and self.caught(error)
