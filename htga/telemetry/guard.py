"""What keeps telemetry's own errors out of the training loop, and its warnings few."""

from __future__ import annotations

import logging
import os
from types import TracebackType

from htga_client.console import logger, notify

MAX_WARNINGS = 100


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


class WarnOnce:
    """Prints the first warning about a topic, and none after it, of `MAX_WARNINGS` topics."""

    def __init__(self) -> None:
        self._topics: set[str] = set()

    def __call__(self, topic: str, text: str) -> None:
        """Print a warning, unless there was one about its topic."""
        if topic not in self._topics and len(self._topics) < MAX_WARNINGS:
            self._topics.add(topic)
            notify(text, level=logging.WARNING)
