"""From the training thread's queue to the spool."""

from __future__ import annotations

import contextlib
import logging
from collections import Counter
from collections.abc import Mapping, Sequence

from htga_client import wire
from htga_client.console import logger, say
from htga_client.sender.queue import Intake, Item, Mark
from htga_client.sender.state import Lifecycle
from htga_client.spool.spool import Spool
from htga_client.wire.row_encoder import Row, record_batch

LINGER = 0.01
"""Seconds of rows that a `kill -9` may cost."""
MEMORY_LINGER = 0.1
SYNC_EVERY = 1.0
"""Seconds of rows that a power cut may cost."""

_MOST_ROWS = 2000


class Writer:
    """Makes batches of what was put and appends them to the spool, which it syncs each second.

    Args:
        intake: Where rows come from.
        spool: Where they go.
        lifecycle: Of the sender.

    Attributes:
        dropped: Rows that came to nothing: "callable", making them failed; "invalid", they are no
            rows of telemetry.
    """

    def __init__(self, intake: Intake, spool: Spool, lifecycle: Lifecycle) -> None:
        self.dropped: Counter[str] = Counter()
        self._intake = intake
        self._spool = spool
        self._lifecycle = lifecycle

    def write(self) -> None:
        """Work until the run has ended; raises `Closed`."""
        self._spool.open()
        while self._lifecycle.ending is None or self._intake.waiting:
            # In memory rows are as safe as in the queue, and large batches take less of it.
            linger = LINGER if self._spool.durable else MEMORY_LINGER
            self._store(self._intake.take(_MOST_ROWS, linger=linger))
        self._lifecycle.check()

    def sync(self) -> None:
        """Sync until the run has ended. A thread of its own: a disk may take its time."""
        life, spool = self._lifecycle, self._spool
        while True:
            with life.changed:
                if life.changed.wait_for(lambda: life.over, SYNC_EVERY):
                    return
            spool.sync()

    def say_finish(self, finish: wire.Finish) -> None:
        """Keep beside the rows how the run ended."""
        with contextlib.suppress(OSError):
            self._spool.say_finish(finish)

    def _store(self, items: Sequence[Item | Mark]) -> None:
        marks = [item for item in items if isinstance(item, Mark)]
        rows: list[Row] = []
        failed = 0
        for item in items:
            try:
                if not isinstance(item, Mark):
                    made = item() if callable(item) else item
                    rows += [made] if isinstance(made, Mapping) else list(made)
            except Exception:  # noqa: BLE001  one broken row must not end the thread
                failed += 1
                if failed == 1 and not self.dropped["callable"]:
                    logger.exception("a row could not be made and is dropped")
        self._lifecycle.check()
        self.dropped["callable"] += failed
        self._append(rows)
        self._intake.done()
        self._lifecycle.spooled(self._spool.end)
        for mark in marks:
            mark.end = self._spool.end
            mark.passed.set()

    def _append(self, rows: Sequence[Row]) -> None:
        if not rows:
            return
        try:
            self._spool.append(record_batch(rows))
        except Exception as error:  # noqa: BLE001  whatever a row is, the others go on
            if len(rows) > 1:
                middle = len(rows) // 2
                self._append(rows[:middle])
                self._append(rows[middle:])
                return
            if not self.dropped["invalid"]:
                say(f"a row cannot be sent and is dropped: {error}", level=logging.WARNING)
            self.dropped["invalid"] += 1
