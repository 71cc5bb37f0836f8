"""Threads that work for the length of a block."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Self


class Workers:
    """Runs each job on a thread; all must end by themselves once `_stop` is set with the block."""

    def __init__(self, jobs: Sequence[Callable[[], None]]) -> None:
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=job, daemon=True) for job in jobs]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(120)
            assert not thread.is_alive(), "a thread did not end its work"
