"""The threads of a sender."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Mapping

from htga_client.console import logger
from htga_client.sender.state import Closed

MAX_STARTS = 3


class WorkerThreads:
    """Daemon threads with one job each; a job that raises is started again.

    Args:
        on_failure: Called by the thread of a job that has failed `MAX_STARTS` times.

    Attributes:
        started: Whether `start` was called.
    """

    def __init__(self, on_failure: Callable[[], None]) -> None:
        self.started = False
        self._on_failure = on_failure
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
        """Wait up to `timeout` seconds for all jobs to end; True if they have."""
        deadline = time.monotonic() + timeout
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _work(self, job: Callable[[], None]) -> None:
        for _ in range(MAX_STARTS):
            try:
                job()
            except Closed:
                return
            except Exception:  # noqa: BLE001  telemetry must not show a traceback of a thread
                logger.exception("telemetry has met an error of its own and begins again")
            else:
                return
        self._on_failure()
