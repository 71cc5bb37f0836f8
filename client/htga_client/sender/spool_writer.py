"""From the training thread's queue to the spool."""

from __future__ import annotations

import contextlib
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Protocol

from htga_client import wire
from htga_client.console import logger, notify
from htga_client.sender.queue import FlushMarker, Item, RowQueue
from htga_client.sender.state import Closed, FinalState, SenderState
from htga_client.spool.spool import Spool
from htga_client.wire.row_encoder import Row, record_batch
from htga_client.wire.row_metrics import storable_rows
from htga_client.wire.text import shown

LINGER = 0.01
"""Seconds of rows that a `kill -9` may cost."""
MEMORY_LINGER = 0.1
SYNC_INTERVAL = 1.0
"""Seconds of rows that a power cut may cost."""

MAX_ROWS = 2000


class Watcher(Protocol):
    """Sees the rows on their way, on the sender's threads; it must not raise."""

    def see(self, rows: Sequence[Row]) -> None:
        """Rows that go into the spool now."""

    def refresh(self, outcome: FinalState | None) -> None:
        """Called each second, and at the end; `outcome` is how the run ended, once it has."""


class SpoolWriter:
    """Makes batches of the queue's rows and appends them to the spool, which it syncs each second.

    Args:
        queue: Where rows come from.
        spool: Where rows go.
        state: The sender's.
        watcher: Sees the rows, too.

    Attributes:
        dropped: Rows that were lost, by reason: "callable", making them failed; "invalid", they
            are not rows of telemetry.
    """

    def __init__(
        self, queue: RowQueue, spool: Spool, state: SenderState, watcher: Watcher | None = None
    ) -> None:
        self.dropped: Counter[str] = Counter()
        self._queue = queue
        self._spool = spool
        self._state = state
        self._watcher = watcher
        self._warned: set[str] = set()

    def write(self) -> None:
        """Work until the run has ended; raises `Closed`."""
        self._spool.open()
        try:
            while not self._state.ending or self._queue.waiting:
                # In memory rows are as safe as in the queue, and large batches take less of it.
                linger = LINGER if self._spool.durable else MEMORY_LINGER
                self._store(self._queue.take(MAX_ROWS, linger=linger))
            self._state.check()
        except Closed:
            self._queue.stop(self._spool.end)
            raise
        self._queue.stop(self._spool.end)

    def sync(self) -> None:
        """Sync until the run has ended. It needs its own thread, because a disk may be slow."""
        changed = self._state.changed
        while True:
            with changed:
                has_ended = changed.wait_for(lambda: self._state.stopped, SYNC_INTERVAL)
            if not has_ended:
                self._spool.sync()
            if self._watcher is not None:
                self._watcher.refresh(self._state.outcome)
            if has_ended:
                return

    def save_finish(self, finish: wire.Finish) -> None:
        """Keep how the run ended beside its rows."""
        with contextlib.suppress(OSError):
            self._spool.save_finish(finish)

    def _store(self, items: Sequence[Item | FlushMarker]) -> None:
        markers: list[FlushMarker] = []
        rows: list[Row] = []
        failed = 0
        for item in items:
            if isinstance(item, FlushMarker):
                markers.append(item)
                continue
            try:
                made = item() if callable(item) else item
                for row in [made] if isinstance(made, Mapping) else list(made):
                    rows += self._storable(row)
            except Exception:  # noqa: BLE001  one broken row must not end the thread
                failed += 1
                if failed == 1 and not self.dropped["callable"]:
                    logger.exception("a row could not be made and is dropped")
        self._state.check()
        self.dropped["callable"] += failed
        self._append(rows)
        if self._watcher is not None:
            self._watcher.see(rows)
        self._queue.done()
        self._state.rows_spooled(self._spool.end)
        for marker in markers:
            marker.pass_at(self._spool.end)

    def _storable(self, row: Row) -> Sequence[Row]:
        rows, faults = storable_rows(row)
        for name, fault in faults.items():
            if fault not in self._warned:
                self._warned.add(fault)
                notify(
                    f"metric {shown(name)} is left out, because {fault}; the others are logged",
                    level=logging.WARNING,
                )
        return rows

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
                notify(f"a row cannot be sent and is dropped: {error}", level=logging.WARNING)
            self.dropped["invalid"] += 1
