"""From the spool to the collector."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from htga_client import wire
from htga_client.console import say
from htga_client.http.backoff import Backoff, uneven
from htga_client.http.retry import Persistence
from htga_client.http.transport import Transport
from htga_client.sender.delivery import Delivery
from htga_client.sender.orphans import deliver_orphans
from htga_client.sender.state import Closed, Lifecycle
from htga_client.spool.spool import Spool

LIVE, QUIET = 0.2, 2.0
"""Seconds that rows wait for others to go with them: a request costs both sides what fifty do."""
SLOWEST = 60.0
"""Seconds that they wait at most, whatever a collector asks for."""


class Courier:
    """Registers the run, delivers what the spool holds and tells the end.

    What processes that are gone have left in the same folder is delivered, too: what belongs to
    the same run first, that of other runs beside its own.

    Args:
        transport: The way to the collector.
        run: The run, with its writer.
        spool: Where the rows are.
        lifecycle: Of the sender.
        folder: The spool's folder, if there is one.
        backoff, patience: As in `Persistence`.
        batch_rows: As in `Delivery`.
        linger: Seconds to wait for a request to fill; None for `LIVE` while someone looks at what
            the collector gets, and otherwise `QUIET`, or as long as the collector asks for.
        heartbeat: Seconds without rows after which the run says that it is alive.

    Attributes:
        delivery: The conversation with the collector.
        counts: Rows "acked" and "refused".
        settled: Number of the row after the last that is settled.
    """

    def __init__(
        self,
        transport: Transport,
        run: wire.NewRun,
        spool: Spool,
        lifecycle: Lifecycle,
        *,
        folder: Path | None,
        backoff: Backoff,
        patience: float,
        batch_rows: int,
        linger: float | None,
        heartbeat: float,
    ) -> None:
        self.counts: Counter[str] = Counter()
        self.settled = 0
        persistence = Persistence(
            transport.url, backoff=backoff, patience=patience, pause=lifecycle.pause
        )
        self.delivery = Delivery(transport, run, spool, persistence, batch_rows=batch_rows)
        self._transport = transport
        self._run = run
        self._spool = spool
        self._lifecycle = lifecycle
        self._folder = folder
        self._patience = patience
        self._batch_rows = batch_rows
        self._linger = linger
        self._heartbeat = heartbeat
        self._adopting = threading.Thread(target=self._adopt_others, name="htga-adopt", daemon=True)

    def register_once(self) -> None:
        """Make the run known with a single request, from any thread; raises `ClientError`."""
        transport = self._transport.clone()
        try:
            transport.register(self._run)
        finally:
            transport.close()

    def deliver(self) -> None:
        """Work until every row of the run is delivered; raises `Closed`."""
        # Before this process is known: an attempt that began later must count as later.
        self._adopt(self._transport, self._lifecycle.pause, self._run.id)
        self.delivery.register()
        if self._adopting.ident is None:
            # Where no thread can start, at the end of a process, another will do this.
            with contextlib.suppress(RuntimeError):
                self._adopting.start()
        while self._await_rows():
            counts = self.delivery.deliver_next()
            self._lifecycle.check()
            self.counts += counts or Counter()
            self._spool.settle(self.delivery.seq)
            with self._lifecycle.changed:
                self.settled = self.delivery.seq
                self._lifecycle.changed.notify_all()

    def finish(self, finish: wire.Finish) -> bool:
        """Tell the end; False if the collector will not hear of it."""
        return self.delivery.finish(finish)

    def join(self) -> None:
        """Wait for what others have left to be delivered, or given up at the first hurdle."""
        if self._adopting.ident is not None:
            self._adopting.join()

    def close(self) -> None:
        """Close the way to the collector."""
        self._transport.close()

    def _await_rows(self) -> bool:
        """Wait for rows to deliver, and then for a request to fill; False after the last."""
        life, spool, delivery = self._lifecycle, self._spool, self.delivery
        linger = self._linger
        if linger is None:
            quiet = min(max(QUIET, delivery.pace), SLOWEST)
            linger = LIVE if delivery.followed else uneven(quiet)
        while not self._has_rows(self._heartbeat):
            delivery.heartbeat()
        with life.changed:
            life.awaited = delivery.seq + self._batch_rows - 1
            life.changed.wait_for(
                lambda: (
                    spool.end > life.awaited
                    or delivery.seq < life.wanted
                    or life.written
                    or life.closed
                ),
                linger,
            )
            life.check()
            return spool.end > delivery.seq

    def _has_rows(self, patience: float) -> bool:
        """Wait for rows, or for the end; False if neither comes."""
        life, spool, delivery = self._lifecycle, self._spool, self.delivery
        with life.changed:
            life.awaited = delivery.seq
            return life.changed.wait_for(
                lambda: spool.end > delivery.seq or life.written or life.closed, patience
            )

    def _adopt_others(self) -> None:
        transport = self._transport.clone()
        try:
            with contextlib.suppress(Closed):
                self._adopt(transport, self._lifecycle.wait)
        finally:
            transport.close()

    def _adopt(
        self, transport: Transport, pause: Callable[[float], bool], run_id: str | None = None
    ) -> None:
        if self._folder is None:
            return
        for late in deliver_orphans(
            self._folder, transport, pause=pause, run_id=run_id, patience=self._patience
        ):
            if late.acked:
                say(f"delivered {late.acked} rows that run {late.name} had left on disk")
