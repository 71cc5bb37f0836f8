"""The time that one query may take, from its plan to its last row."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import duckdb

from htga_server.problems import BadRequest

AGAIN_SECONDS = 0.05


class QueryClock:
    """Stops a query once its time is over, whether DuckDB works or rows are loaded.

    Args:
        seconds: The time.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._deadline = time.monotonic() + seconds
        self._duck: duckdb.DuckDBPyConnection | None = None

    def too_slow(self) -> BadRequest:
        """Return the error of a query that is stopped."""
        return BadRequest(f"the query took longer than {self._seconds:g} s")

    def check(self) -> None:
        """Stop here if the time is over.

        Raises:
            BadRequest: It is.
        """
        if time.monotonic() > self._deadline:
            raise self.too_slow()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Interrupt the connection of the block of `stops` when the time is over."""
        done = threading.Event()
        thread = threading.Thread(target=self._interrupt, args=(done,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    @contextmanager
    def stops(self, duck: duckdb.DuckDBPyConnection) -> Iterator[None]:
        """Say which connection is at work during the block."""
        self._duck = duck
        try:
            yield
        finally:
            self._duck = None

    def _interrupt(self, done: threading.Event) -> None:
        done.wait(self._seconds)
        # Again and again: what comes between two statements interrupts neither.
        while not done.wait(AGAIN_SECONDS):
            if (duck := self._duck) is not None:
                duck.interrupt()
