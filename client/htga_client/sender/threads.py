"""The threads of a sender."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Mapping

from htga_client.console import logger
from htga_client.sender.state import Closed

_RESTARTS = 3


class Crew:
    """Daemon threads with a job each, which begins again where it meets an error.

    Args:
        give_up: Called by the thread of a job that has failed three times.

    Attributes:
        started: Whether there are any.
    """

    def __init__(self, give_up: Callable[[], None]) -> None:
        self.started = False
        self._give_up = give_up
        self._threads: list[threading.Thread] = []

    def start(self, jobs: Mapping[str, Callable[[], None]]) -> None:
        """Start a thread for each job, by its name; a job ends by returning or raising `Closed`."""
        self.started = True
        for name, job in jobs.items():
            thread = threading.Thread(target=self._work, args=(job,), name=name, daemon=True)
            self._threads.append(thread)
            # No thread can start while the interpreter shuts down.
            with contextlib.suppress(RuntimeError):
                thread.start()

    def join(self, timeout: float) -> bool:
        """Wait for all jobs to end; True if they have."""
        deadline = time.monotonic() + timeout
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _work(self, job: Callable[[], None]) -> None:
        for _ in range(_RESTARTS):
            try:
                job()
            except Closed:
                return
            except Exception:  # noqa: BLE001  telemetry must not show a traceback of a thread
                logger.exception("telemetry has met an error of its own and begins again")
            else:
                return
        self._give_up()
