"""When to deliver what the spool holds."""

from __future__ import annotations

from collections.abc import Callable

from htga_client import wire
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
        final_state: How the run ended; None if that is not for this writer to report.
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
        final_state: Callable[[], wire.Finish] | None,
    ) -> None:
        self._delivery = delivery
        self._spool = spool
        self._state = state
        self._orphans = orphans
        self._batch_rows = batch_rows
        self._linger = linger
        self._heartbeat = heartbeat
        self._final_state = final_state

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

    def report(self) -> bool:
        """Report how the run ended, unless that was done before; False if it is refused."""
        acked = True
        if self._final_state is not None and not self._state.reported:
            acked = self._delivery.finish(self._final_state())
        self._state.report_sent()
        return acked

    def _await_rows(self) -> bool:
        """Wait for rows, and then for a request to fill; False after the last row."""
        state, spool, delivery = self._state, self._spool, self._delivery
        linger = self._linger
        if linger is None:
            linger = jittered(min(delivery.min_interval, MAX_INTERVAL))
        while not self._has_rows(self._heartbeat):
            if state.must_report:
                self.report()
            elif not state.reported:
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
        """Wait for rows or for the end; False if there is a report to make, or after `timeout`."""
        state, spool, delivery = self._state, self._spool, self._delivery

        def has_rows() -> bool:
            return spool.end > delivery.next_seq or state.written or state.closed

        with state.changed:
            state.uploader_wakes_at = delivery.next_seq
            state.changed.wait_for(lambda: has_rows() or state.must_report, timeout)
            return has_rows()
