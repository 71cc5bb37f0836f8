"""Delivering rows of one run until the collector has answered for each of them."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Sequence
from typing import TypeVar

import pyarrow as pa

from htga_client import wire
from htga_client.backoff import Backoff
from htga_client.errors import ClientError, NotAnAcknowledgement, Refused
from htga_client.notices import say
from htga_client.rows import Row, ipc_stream, record_batch
from htga_client.transport import Transport

T = TypeVar("T")


@dataclasses.dataclass(frozen=True, slots=True)
class DeadBatch:
    """Rows that will not be delivered: why, as one word for the books and as a sentence."""

    rows: tuple[Row, ...]
    cause: str
    reason: str


class Delivery:
    """One writer's conversation with the collector; used by one thread.

    There is no limit on how long a request is repeated. A batch is repeated under its sequence
    numbers, by which the collector knows what it has stored already. Where the two disagree,
    after a refused batch or with a collector that was restored from a backup, the collector's
    `expected_seq` holds.

    Args:
        transport: The way to the collector.
        new_run: The run, with its writer.
        backoff: Delays between tries.
        patience: Seconds between tries where only a person can help, as with a wrong token.
        pause: Waits for that many seconds; True if someone is in a hurry and woke it early.

    Attributes:
        retries: Number of requests that were repeated.
        reached: Whether the collector has ever answered.
    """

    def __init__(
        self,
        transport: Transport,
        new_run: wire.NewRun,
        *,
        backoff: Backoff,
        patience: float,
        pause: Callable[[float], bool],
    ) -> None:
        self.retries = 0
        self.reached = False
        self._transport = transport
        self._new_run = new_run
        self._backoff = backoff
        self._patience = patience
        self._pause = pause
        self._writer = new_run.writer or ""
        self._next_seq = 0
        self._failures = 0
        self._told: set[str] = set()

    def register(self) -> None:
        """Make the run known. If that is refused, the rows wait until a person has seen to it."""
        self._persist(lambda: self._transport.register(self._new_run), final=False)

    def finish(self, finish: wire.Finish) -> bool:
        """Say how the run ended; False if the collector will not hear of it."""
        try:
            self._persist(lambda: self._known(lambda: self._transport.finish(self._id, finish)))
        except Refused as error:
            self._tell("finish", str(error))
            return False
        return True

    def deliver(self, rows: Sequence[Row]) -> list[DeadBatch]:
        """Deliver rows; returns those that were given up, all others are stored."""
        if not rows:
            return []
        try:
            batch = record_batch(rows)
        except Exception as error:  # noqa: BLE001  whatever a row is, the others go on
            if len(rows) > 1:
                return self._halves(rows)
            self._tell("invalid", f"a row cannot be sent and is set aside: {error}")
            return [DeadBatch(tuple(rows), "invalid", str(error))]
        try:
            receipt = self._send(batch)
        except Refused as error:
            if error.status == 413 and len(rows) > 1:
                return self._halves(rows)
            self._next_seq += len(rows)
            self._tell("refused", f"{error}; {len(rows)} rows are set aside")
            return [DeadBatch(tuple(rows), "refused", error.detail)]
        self._next_seq += len(rows)
        for rejection in receipt.rejected:
            self._tell("rejected", f"the collector rejects a row: {rejection.reason}")
        return [DeadBatch((rows[r.row],), "refused", r.reason) for r in receipt.rejected]

    @property
    def _id(self) -> str:
        return self._new_run.id

    def _halves(self, rows: Sequence[Row]) -> list[DeadBatch]:
        middle = len(rows) // 2
        return self.deliver(rows[:middle]) + self.deliver(rows[middle:])

    def _send(self, batch: pa.RecordBatch) -> wire.Receipt:
        def once() -> wire.Receipt:
            body = ipc_stream(batch, writer=self._writer, first_seq=self._next_seq)
            receipt = self._transport.send(self._id, body)
            counted = receipt.accepted + receipt.duplicates + len(receipt.rejected)
            in_range = all(0 <= r.row < batch.num_rows for r in receipt.rejected)
            if counted != batch.num_rows or not in_range:
                raise NotAnAcknowledgement(
                    f"{self._transport.url} answered for {counted} rows of {batch.num_rows}"
                )
            return receipt

        try:
            return self._persist(lambda: self._known(once))
        except Refused as error:
            if error.expected_seq is None or not 0 <= error.expected_seq < self._next_seq:
                raise
            self._next_seq = error.expected_seq
        return self._persist(lambda: self._known(once))

    def _known(self, request: Callable[[], T]) -> T:
        """The request, after another registration if the collector does not know the run."""
        try:
            return request()
        except Refused as error:
            if error.status != 404:
                raise
        self._transport.register(self._new_run)
        return request()

    def _persist(self, request: Callable[[], T], *, final: bool = True) -> T:
        """The answer to a request, however often it takes.

        Args:
            request: Does it once.
            final: Whether a refusal is an answer, too.

        Raises:
            Refused: The collector said no, and not for want of the right token.
        """
        self._backoff.reset()
        while True:
            try:
                answer = request()
            except Refused as error:
                if final and error.status not in {401, 403}:
                    self._answered()
                    raise
                self._tell("patience", f"{error}; rows are kept until this is settled")
                delay = self._patience
            except Exception as error:  # noqa: BLE001  no error may end the worker or lose a row
                self._failed(error)
                delay = self._backoff.delay(getattr(error, "retry_after", None))
            else:
                self._answered()
                return answer
            if self._pause(delay):
                self._backoff.reset()
            self.retries += 1

    def _failed(self, error: Exception) -> None:
        self._failures += 1
        # An answer that is lost now and then is not worth a line; a collector that was never
        # there is, at once.
        if self._failures == (3 if self.reached else 1):
            what = str(error) if isinstance(error, ClientError) else repr(error)
            say(f"{what}; rows are kept and will be delivered", level=logging.WARNING)
            self._told.add("unreachable")

    def _answered(self) -> None:
        if "unreachable" in self._told:
            self._told.remove("unreachable")
            say(f"{self._transport.url} is back; rows are being delivered")
        self._failures = 0
        self.reached = True

    def _tell(self, topic: str, message: str) -> None:
        if topic not in self._told:
            self._told.add(topic)
            say(message, level=logging.WARNING)
