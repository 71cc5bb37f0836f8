"""When to deliver what the spool holds."""

from __future__ import annotations

from htga_client.http.backoff import jittered
from htga_client.sender.delivery import Delivery
from htga_client.sender.orphans import OrphanUploader
from htga_client.sender.state import SenderState
from htga_client.spool.spool import Spool

MAX_INTERVAL = 60.0
"""Seconds that rows wait at most, whatever a collector asks for."""


class Uploader:
    """Waits for rows, and for a request to fill, and has them delivered.

    Waiting for more rows is worthwhile: one request costs both sides as much as fifty rows.

    Args:
        delivery: Sends the rows.
        spool: Holds the rows.
        state: The sender's.
        orphans: Delivers what dead processes have left in the same folder.
        batch_rows: Number of rows that fills a request.
        linger: Seconds to wait for a request to fill; None for what the collector asks for.
        heartbeat: Seconds without rows after which to report that the run is alive.
    """

    def __init__(
        self,
        delivery: Delivery,
        spool: Spool,
        state: SenderState,
        orphans: OrphanUploader,
        *,
        batch_rows: int,
        linger: float | None,
        heartbeat: float,
    ) -> None:
        self._delivery = delivery
        self._spool = spool
        self._state = state
        self._orphans = orphans
        self._batch_rows = batch_rows
        self._linger = linger
        self._heartbeat = heartbeat

    def upload(self) -> None:
        """Work until every row of the run is delivered; raises `Closed`.

        Raises:
            Refused: The collector will never take this run.
        """
        # First, before this process is known: an attempt that began later must count as later.
        self._orphans.deliver_own_run()
        self._delivery.register()
        self._orphans.start_others()
        while self._await_rows():
            self._delivery.deliver_next()
            self._state.check()
            self._state.rows_acked()

    def _await_rows(self) -> bool:
        """Wait for rows, and then for a request to fill; False after the last row."""
        state, spool, delivery = self._state, self._spool, self._delivery
        linger = self._linger
        if linger is None:
            linger = jittered(min(delivery.min_interval, MAX_INTERVAL))
        while not self._has_rows(self._heartbeat):
            delivery.heartbeat()
        with state.changed:
            state.uploader_wakes_at = delivery.next_seq + self._batch_rows - 1
            state.changed.wait_for(
                lambda: (
                    spool.end > state.uploader_wakes_at
                    or delivery.next_seq < state.flush_target
                    or state.written
                    or state.closed
                ),
                linger,
            )
            state.check()
            return spool.end > delivery.next_seq

    def _has_rows(self, timeout: float) -> bool:
        """Wait for rows or for the end; False if neither comes within `timeout` seconds."""
        state, spool, delivery = self._state, self._spool, self._delivery
        with state.changed:
            state.uploader_wakes_at = delivery.next_seq
            return state.changed.wait_for(
                lambda: spool.end > delivery.next_seq or state.written or state.closed, timeout
            )
