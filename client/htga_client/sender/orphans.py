"""Delivery of rows that processes left in a spool when they died."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from htga_client.console import notify
from htga_client.errors import Refused
from htga_client.http.backoff import Backoff
from htga_client.http.retry import Retrier
from htga_client.http.transport import HttpTransport
from htga_client.sender.delivery import Delivery
from htga_client.sender.state import Closed, SenderState
from htga_client.spool.directory import SpoolDirectory, orphans
from htga_client.spool.spool import Spool

AUTH_RETRY_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class OrphanDelivery:
    """What became of the rows that one dead writer had left.

    Attributes:
        run_id, name, project: The run they belong to.
        acked: Rows that the collector has now.
        refused: Rows that it refused, which are kept as dead letters.
        problem: Why it does not take the run, whose rows stay where they are; else empty.
    """

    run_id: str
    name: str
    project: str
    acked: int
    refused: int
    problem: str = ""


def deliver_orphans(
    root: Path,
    transport: HttpTransport,
    *,
    pause: Callable[[float], bool],
    run_id: str | None = None,
    any_url: bool = False,
    backoff: Backoff | None = None,
    auth_retry_seconds: float = AUTH_RETRY_SECONDS,
) -> Iterator[OrphanDelivery]:
    """Deliver writer after writer, oldest first, and delete what was delivered.

    Args:
        root: The spool's folder; need not exist.
        transport: Sends to the collector.
        pause: As in `Retrier`; may raise to give up, which leaves the rest for another time.
        run_id: Only this run.
        any_url: Whether to send rows that were meant for another collector, or for none, too.
        backoff, auth_retry_seconds: As in `Retrier`.
    """
    for directory in orphans(root, run_id=run_id):
        try:
            if any_url or directory.url == transport.url:
                retrier = Retrier(
                    transport.url,
                    backoff=backoff or Backoff(),
                    auth_retry_seconds=auth_retry_seconds,
                    pause=pause,
                )
                yield _deliver(directory, transport, retrier)
        finally:
            directory.release()


def _deliver(
    directory: SpoolDirectory, transport: HttpTransport, retrier: Retrier
) -> OrphanDelivery:
    # `resume` was obeyed or refused when the run began; these rows belong to it either way.
    run = dataclasses.replace(directory.run, resume=None)
    spool = Spool.of(directory)
    delivery = Delivery(transport, run, spool, retrier)
    try:
        delivery.register(waits=lambda refusal: refusal.status == 401)
    except Refused as error:
        # The next run's rows may be welcome: another project's, or one that is not closed.
        spool.close()
        return OrphanDelivery(run.id, run.name, run.project, 0, 0, str(error))
    while delivery.deliver_next():
        pass
    # Without a finish the process died, and the collector sees for itself that the run is lost.
    finish = directory.finish
    if finish is None or delivery.finish(finish):
        spool.remove()
    counts = delivery.counts
    return OrphanDelivery(run.id, run.name, run.project, counts["acked"], counts["refused"])


class OrphanUploader:
    """Delivers, beside a run of its own, what dead processes have left in the same folder.

    Args:
        folder: The spool's folder; None if rows are kept in memory.
        transport: Sends to the collector.
        state: The sender's.
        run_id: The sender's run.
        auth_retry_seconds: As in `Retrier`.
    """

    def __init__(
        self,
        folder: Path | None,
        transport: HttpTransport,
        state: SenderState,
        *,
        run_id: str,
        auth_retry_seconds: float,
    ) -> None:
        self._folder = folder
        self._transport = transport
        self._state = state
        self._run_id = run_id
        self._auth_retry_seconds = auth_retry_seconds
        self._thread = threading.Thread(target=self._deliver_others, name="htga-adopt", daemon=True)

    def deliver_own_run(self) -> None:
        """Deliver what earlier processes of the sender's run have left."""
        self._deliver(self._transport, self._state.pause, self._run_id)

    def start_others(self) -> None:
        """Deliver what is left of other runs, in a thread, until the sender's run has ended."""
        if self._thread.ident is None:
            # Where no thread can start, at the end of a process, another process will do this.
            with contextlib.suppress(RuntimeError):
                self._thread.start()

    def join(self) -> None:
        """Wait until the thread has delivered everything, or has given up at the first failure."""
        if self._thread.ident is not None:
            self._thread.join()

    def _deliver_others(self) -> None:
        transport = self._transport.clone()
        try:
            with contextlib.suppress(Closed):
                self._deliver(transport, self._state.pause_until_end)
        finally:
            transport.close()

    def _deliver(
        self, transport: HttpTransport, pause: Callable[[float], bool], run_id: str | None = None
    ) -> None:
        if self._folder is None:
            return
        for late in deliver_orphans(
            self._folder,
            transport,
            pause=pause,
            run_id=run_id,
            auth_retry_seconds=self._auth_retry_seconds,
        ):
            if late.problem:
                where = f"the rows that run {late.name} had left stay on disk"
                notify(f"{late.problem}; {where}", level=logging.WARNING)
            if late.acked:
                notify(f"delivered {late.acked} rows that run {late.name} had left on disk")
