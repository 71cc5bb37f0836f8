"""Delivering what processes that are gone have left in a spool."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from htga_client.http.backoff import Backoff
from htga_client.http.retry import Persistence
from htga_client.http.transport import Transport
from htga_client.sender.delivery import Delivery
from htga_client.spool.lease import Claim, orphans
from htga_client.spool.spool import Spool

PATIENCE = 300.0


@dataclass(frozen=True, slots=True)
class Adopted:
    """A writer's rows that were delivered late.

    Attributes:
        run_id, name, project: The run they belong to.
        acked: Rows that the collector has now.
        refused: Rows that it refused, which are set aside.
    """

    run_id: str
    name: str
    project: str
    acked: int
    refused: int


def deliver_orphans(
    root: Path,
    transport: Transport,
    *,
    pause: Callable[[float], bool],
    run_id: str | None = None,
    any_url: bool = False,
    backoff: Backoff | None = None,
    patience: float = PATIENCE,
) -> Iterator[Adopted]:
    """Deliver writer after writer, oldest first, and delete what was delivered.

    Args:
        root: The spool; need not exist.
        transport: The way to the collector.
        pause: As in `Persistence`; may raise to give up, which leaves the rest for another time.
        run_id: Only of this run.
        any_url: Whether rows that were meant for another collector, or for none, go to this one.
        backoff, patience: As in `Persistence`.
    """
    for claim in orphans(root, run_id=run_id):
        try:
            if any_url or claim.url == transport.url:
                persistence = Persistence(
                    transport.url, backoff=backoff or Backoff(), patience=patience, pause=pause
                )
                yield _deliver(claim, transport, persistence)
        finally:
            claim.release()


def _deliver(claim: Claim, transport: Transport, persistence: Persistence) -> Adopted:
    # It was refused or not when the run began; these rows belong to it either way.
    run = dataclasses.replace(claim.run, resume=None)
    spool = Spool.of(claim)
    delivery = Delivery(transport, run, spool, persistence)
    delivery.register()
    acked = refused = 0
    while settled := delivery.deliver_next():
        acked += settled["acked"]
        refused += settled["refused"]
    # Without it the process died, and the collector sees for itself that the run is lost.
    finish = claim.finish
    if finish is None or delivery.finish(finish):
        spool.remove()
    return Adopted(run.id, run.name, run.project, acked, refused)
