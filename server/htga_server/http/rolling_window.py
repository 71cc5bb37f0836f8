"""Numbers of the last minute."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable


class RollingWindow:
    """Keeps numbers for some time; any thread may add to it.

    Args:
        seconds: How long a number is kept.
        clock: Seconds from any beginning.
    """

    def __init__(
        self, seconds: float = 60.0, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.seconds = seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: deque[tuple[float, float]] = deque()

    def add(self, value: float) -> None:
        """Add a number."""
        with self._lock:
            self._kept.append((self._clock(), value))
            self._forget()

    def values(self) -> list[float]:
        """Return the numbers, oldest first."""
        with self._lock:
            self._forget()
            return [value for _, value in self._kept]

    def _forget(self) -> None:
        oldest = self._clock() - self.seconds
        while self._kept and self._kept[0][0] <= oldest:
            self._kept.popleft()
