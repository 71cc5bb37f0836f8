"""Delivery of one writer's rows, until the collector has answered for each of them."""

from __future__ import annotations

import contextlib
import dataclasses
from collections import Counter
from collections.abc import Callable
from typing import Any, TypeVar

import pyarrow as pa

from htga_client import wire
from htga_client.errors import ClientError, NotAnAcknowledgement, Refused
from htga_client.http.retry import Retrier, needs_token
from htga_client.http.transport import HttpTransport
from htga_client.sender.dead_letters import DeadLetters
from htga_client.spool.directory import DEAD_LETTERS
from htga_client.spool.segment import Chunk
from htga_client.spool.spool import Spool
from htga_client.wire.row_encoder import ipc_stream
from htga_client.wire.text import shown

T = TypeVar("T")

MAX_BATCH_ROWS = 2000
MAX_BATCH_BYTES = 1 << 20

CONTENT_STATUSES = frozenset({400, 413, 415, 422})
"""Refusals of what a registration holds; another collector or version may have other limits."""


def can_heal(refusal: Refused) -> bool:
    """Whether a person may make a collector take a run: a token, an address, or room for it."""
    return needs_token(refusal) or refusal.status == 404 or refusal.kind == "quota"


FIRST_INTERVAL = 0.2
"""Seconds between two requests while no receipt has said how long they should be."""


class Delivery:
    """One writer's conversation with the collector; used by one thread.

    There is no limit on how often a request is repeated. Each row keeps its sequence number, by
    which the collector knows what it has stored already. Numbers that the spool no longer holds,
    because there was no room for them or the collector refused them, are declared as a gap. Where
    the two sides disagree, for instance because the collector was restored from a backup, the
    collector's `expected_seq` holds, and the spool is read again from there.

    Args:
        transport: Sends to the collector.
        new_run: The run, with its writer.
        spool: Holds the rows.
        retrier: Repeats requests.
        batch_rows: Maximum number of rows in a request.

    Attributes:
        next_seq: Number of the first row to send next. It is `spool.acked_seq`, or less while rows
            are sent again that the collector has lost.
        counts: Rows "acked" and "refused".
        min_interval: Seconds between two requests that the collector asked for.
        retrier: As given.
        dead: Rows that the collector refused.
    """

    def __init__(
        self,
        transport: HttpTransport,
        new_run: wire.NewRun,
        spool: Spool,
        retrier: Retrier,
        *,
        batch_rows: int = MAX_BATCH_ROWS,
    ) -> None:
        self.next_seq = spool.begin
        self.counts: Counter[str] = Counter()
        self.min_interval = FIRST_INTERVAL
        self.retrier = retrier
        self.dead = DeadLetters()
        self._transport = transport
        self._new_run = new_run
        self._spool = spool
        self._batch_rows = self._max_rows = batch_rows
        self._writer = new_run.writer or ""
        self._expected_seq = self.next_seq  # what the collector waits for, as far as we know

    def register(self, waits: Callable[[Refused], bool] = can_heal) -> None:
        """Make the run known; the rows wait until that has succeeded.

        Args:
            waits: As in `Retrier.call`.

        Raises:
            Refused: The collector will never take this run.
        """
        self.retrier.call(lambda: self._register(self._transport, self._new_run), waits=waits)

    def register_once(self) -> wire.Run:
        """Make the run known with a single request, from any thread; raises `ClientError`.

        Returns:
            The run as it is stored.
        """
        transport = self._transport.clone()
        try:
            return self._register(transport, self._new_run)
        finally:
            transport.close()

    def finish(self, finish: wire.Finish) -> bool:
        """Report how the run ended; False if the collector refuses that."""
        try:
            self._call(lambda: self._transport.finish(self._id, finish))
        except Refused as error:
            self.retrier.warn_once("finish", str(error))
            return False
        return True

    def heartbeat(self) -> None:
        """Report that the run is alive. A failure is ignored: old collectors lack the path."""
        with contextlib.suppress(ClientError):
            self._transport.heartbeat(self._id)

    def deliver_next(self) -> bool:
        """Deliver the spool's next rows, and acknowledge them there; False if there are none."""
        end = self._spool.end
        chunk = self._spool.read(self.next_seq, rows=self._batch_rows, size=MAX_BATCH_BYTES)
        if chunk is None:
            # The rows before `end` cannot be read, and the spool has counted them as lost.
            self.next_seq = max(self.next_seq, end)
            self._spool.acknowledge(end, end)
            return False
        try:
            receipt = self._call(lambda: self._send(chunk))
        except Refused as error:
            self._handle_refusal(chunk, error)
            return True
        self._batch_rows = min(2 * self._batch_rows, self._max_rows)
        self._expected_seq = chunk.end
        self.min_interval = receipt.min_interval
        if receipt.rejected:
            table = pa.Table.from_batches(chunk.batches)
            by_reason: dict[str, list[int]] = {}
            for rejection in receipt.rejected:
                by_reason.setdefault(rejection.reason, []).append(rejection.row)
            for reason, numbers in by_reason.items():
                self._dead_letter(table.take(numbers), chunk.first, reason)
            self.retrier.warn_once(
                "rejected", f"the collector rejects a row: {receipt.rejected[0].reason}"
            )
        for part in receipt.left_out:
            name = f" {shown(part.name)}" if part.name else ""
            self.retrier.warn_once(
                f"{part.what}: {part.reason}",
                f"the collector leaves out the {part.what}{name}: {part.reason}; "
                "the rest of the rows is stored",
            )
        self._acknowledge(chunk, refused=len(receipt.rejected))
        return True

    @property
    def _id(self) -> str:
        return self._new_run.id

    def _send(self, chunk: Chunk) -> wire.Receipt:
        expected = self._expected_seq
        gaps = [(expected, chunk.first)] if expected < chunk.first else []
        body = ipc_stream(chunk.batches, writer=self._writer, first_seq=chunk.first, gaps=gaps)
        try:
            receipt = self._transport.send(self._id, body)
        except Refused as error:
            if gaps and error.expected_seq == expected:
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

    def _handle_refusal(self, chunk: Chunk, error: Refused) -> None:
        expected = error.expected_seq
        if expected is not None and 0 <= expected < chunk.first:
            # The rows from there on that the spool still holds are sent again; the rest is a gap.
            self.next_seq = self._expected_seq = expected
        elif error.status == 413 and chunk.rows > 1:
            self._batch_rows = chunk.rows // 2
        else:
            self._dead_letter(pa.Table.from_batches(chunk.batches), chunk.first, error.detail)
            self.retrier.warn_once("refused", f"{error}; {chunk.rows} rows are set aside")
            self._acknowledge(chunk, refused=chunk.rows)

    def _acknowledge(self, chunk: Chunk, *, refused: int) -> None:
        """Count the rows of a chunk, but for those that were sent again and counted before."""
        fresh = self._spool.acknowledge(chunk.first, chunk.end)
        refused = min(refused, fresh)
        self.counts.update(acked=fresh - refused, refused=refused)
        self.next_seq = chunk.end

    def _dead_letter(self, table: pa.Table, first: int, reason: str) -> None:
        directory = self._spool.directory
        folder = None if directory is None else directory.root / DEAD_LETTERS / self._id
        name = f"{self._writer}-{first:020d}"
        self.dead.add(table, reason, folder, name, self._new_run)

    def _call(self, request: Callable[[], T]) -> T:
        return self.retrier.call(lambda: self._register_if_unknown(request))

    def _register_if_unknown(self, request: Callable[[], T]) -> T:
        """The request, after another registration if the collector does not know the run."""
        try:
            return request()
        except Refused as error:
            if error.status != 404:
                raise
        # `resume` was obeyed when the run began; it is the collector that has lost it since.
        self._register(self._transport, dataclasses.replace(self._new_run, resume=None))
        return request()

    def _register(self, transport: HttpTransport, run: wire.NewRun) -> wire.Run:
        """Register a run, if need be with nothing but what its rows need."""
        try:
            stored = transport.register(run)
            changes = stored.changes
        except Refused as error:
            if error.status not in CONTENT_STATUSES or error.kind == "quota":
                raise
            empty: dict[str, Any] = {
                "config": {},
                "environment": {},
                "notes": "",
                "tags": (),
                "group": "",
            }
            stored = transport.register(dataclasses.replace(run, **empty))
            changes = (f"without config, environment, notes, tags and group: {error.detail}",)
        for change in changes:
            self.retrier.warn_once(change, f"{transport.url} keeps run {stored.name}, but {change}")
        return stored
