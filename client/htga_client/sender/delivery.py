"""Delivering rows of one writer until the collector has answered for each of them."""

from __future__ import annotations

import contextlib
import dataclasses
from collections import Counter
from collections.abc import Callable
from typing import TypeVar

import pyarrow as pa

from htga_client import wire
from htga_client.errors import ClientError, NotAnAcknowledgement, Refused
from htga_client.http.retry import Persistence
from htga_client.http.transport import Transport
from htga_client.sender.dead_letters import DeadLetters
from htga_client.spool.lease import DEAD
from htga_client.spool.segment import Chunk
from htga_client.spool.spool import Spool
from htga_client.wire.row_encoder import ipc_stream

T = TypeVar("T")

BATCH_ROWS = 2000
BATCH_BYTES = 1 << 20


class Delivery:
    """One writer's conversation with the collector; used by one thread.

    There is no limit on how long a request is repeated. A row keeps its number, by which the
    collector knows what it has stored already. Numbers that the spool no longer holds, because
    there was no room for them or the collector refused them, are declared as a gap. Where the two
    sides disagree, say because the collector was restored from a backup, the collector's
    `expected_seq` holds, and the spool is read again from there.

    Args:
        transport: The way to the collector.
        new_run: The run, with its writer.
        spool: Where the rows are.
        persistence: Asks, for as long as it takes.
        batch_rows: Rows in a request at most.

    Attributes:
        seq: Number of the first row that is not settled.
        followed: Whether someone looked at the run when the collector answered last.
        pace: Seconds that it would have rows wait if nobody does.
        dead: What it refused.
    """

    def __init__(
        self,
        transport: Transport,
        new_run: wire.NewRun,
        spool: Spool,
        persistence: Persistence,
        *,
        batch_rows: int = BATCH_ROWS,
    ) -> None:
        self.seq = spool.begin
        self.persistence = persistence
        self.followed = True
        self.pace = 0.0
        self.dead = DeadLetters()
        self._transport = transport
        self._new_run = new_run
        self._spool = spool
        self._batch_rows = self._most_rows = batch_rows
        self._writer = new_run.writer or ""
        self._expected = self.seq  # what the collector waits for, as far as we know
        self._settled = self.seq

    def register(self) -> None:
        """Make the run known. If that is refused, the rows wait until a person has seen to it."""
        self.persistence.ask(lambda: self._transport.register(self._new_run), final=False)

    def finish(self, finish: wire.Finish) -> bool:
        """Say how the run ended; False if the collector will not hear of it."""
        try:
            self._ask(lambda: self._transport.finish(self._id, finish))
        except Refused as error:
            self.persistence.tell("finish", str(error))
            return False
        return True

    def heartbeat(self) -> None:
        """Say that the run is alive; nothing hangs on the answer, and an old collector has none."""
        with contextlib.suppress(ClientError):
            self._transport.heartbeat(self._id)

    def deliver_next(self) -> Counter[str] | None:
        """Settle the next rows of the spool; None if there are none.

        Returns:
            How many rows were "acked", and how many "refused".
        """
        end = self._spool.end
        chunk = self._spool.read(self.seq, rows=self._batch_rows, size=BATCH_BYTES)
        if chunk is None:
            self.seq = max(self.seq, end)  # nothing up to there can be read
            return None
        try:
            receipt = self._ask(lambda: self._send(chunk))
        except Refused as error:
            return self._refused(chunk, error)
        self._batch_rows = min(2 * self._batch_rows, self._most_rows)
        self.seq = self._expected = chunk.end
        self.followed, self.pace = receipt.followed, receipt.pace
        if receipt.rejected:
            table = pa.Table.from_batches(chunk.batches)
            for rejection in receipt.rejected:
                self._set_aside(table.slice(rejection.row, 1), chunk.first, rejection.reason)
            self.persistence.tell(
                "rejected", f"the collector rejects a row: {receipt.rejected[0].reason}"
            )
        return self._settle(chunk, refused=len(receipt.rejected))

    @property
    def _id(self) -> str:
        return self._new_run.id

    def _send(self, chunk: Chunk) -> wire.Receipt:
        gaps = [(self._expected, chunk.first)] if self._expected < chunk.first else []
        body = ipc_stream(chunk.batches, writer=self._writer, first_seq=chunk.first, gaps=gaps)
        try:
            receipt = self._transport.send(self._id, body)
        except Refused as error:
            if gaps and error.expected_seq == self._expected:
                raise NotAnAcknowledgement(
                    f"{self._transport.url} does not let rows be missing; it needs an update"
                ) from error
            raise
        counted = receipt.accepted + receipt.duplicates + len(receipt.rejected)
        in_range = all(0 <= r.row < chunk.rows for r in receipt.rejected)
        if counted != chunk.rows or not in_range:
            raise NotAnAcknowledgement(
                f"{self._transport.url} answered for {counted} rows of {chunk.rows}"
            )
        return receipt

    def _refused(self, chunk: Chunk, error: Refused) -> Counter[str]:
        expected = error.expected_seq
        if expected is not None and 0 <= expected < chunk.first:
            # Whatever the spool still holds from there on comes again; the rest is a gap.
            self.seq = self._expected = expected
            return Counter()
        if error.status == 413 and chunk.rows > 1:
            self._batch_rows = chunk.rows // 2
            return Counter()
        self.seq = chunk.end
        self._set_aside(pa.Table.from_batches(chunk.batches), chunk.first, error.detail)
        self.persistence.tell("refused", f"{error}; {chunk.rows} rows are set aside")
        return self._settle(chunk, refused=chunk.rows)

    def _settle(self, chunk: Chunk, *, refused: int) -> Counter[str]:
        """Count rows that are settled now; those sent again after a rewind were settled before."""
        fresh = max(0, chunk.end - max(chunk.first, self._settled))
        self._settled = max(self._settled, chunk.end)
        refused = min(refused, fresh)
        return Counter(acked=fresh - refused, refused=refused)

    def _set_aside(self, table: pa.Table, first: int, reason: str) -> None:
        claim = self._spool.claim
        folder = None if claim is None else claim.root / DEAD / self._id
        self.dead.add(table, reason, folder, f"{self._writer}-{first:020d}")

    def _ask(self, request: Callable[[], T]) -> T:
        return self.persistence.ask(lambda: self._known(request))

    def _known(self, request: Callable[[], T]) -> T:
        """The request, after another registration if the collector does not know the run."""
        try:
            return request()
        except Refused as error:
            if error.status != 404:
                raise
        # `resume` was obeyed when the run began; it is the collector that has lost it since.
        self._transport.register(dataclasses.replace(self._new_run, resume=None))
        return request()
