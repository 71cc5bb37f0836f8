"""What is posted for a run: read, stored, answered after the commit, and told to those who wait."""

from __future__ import annotations

from dataclasses import dataclass, replace

from fastapi import Request
from pydantic import TypeAdapter, ValidationError
from starlette.concurrency import run_in_threadpool

from htga_client.wire import ARROW_STREAM, JsonRows, Receipt
from htga_server.alerts.monitor import Watch
from htga_server.http import request_body as bodies
from htga_server.http.metrics import Numbers
from htga_server.ingest.decode import Batch, from_arrow, from_json
from htga_server.ingest.prepare import prepare
from htga_server.ingest.store import Posted, store
from htga_server.live.broker import Broker
from htga_server.live.pacing import SenderPacing
from htga_server.live.viewers import ViewedRuns
from htga_server.problems import BadRequest, NoRoom
from htga_server.settings import Settings
from htga_server.storage.database import Database

SMALL = 2**14
"""Bytes that are decoded on the spot, in a fraction of a millisecond: a thread would cost more."""
JSON_ROWS = TypeAdapter(JsonRows)


@dataclass(frozen=True, slots=True)
class Intake:
    """Takes rows in. One object, for FastAPI would look up each part of it for each request."""

    database: Database
    broker: Broker
    viewed: ViewedRuns
    pacing: SenderPacing
    watch: Watch
    numbers: Numbers
    settings: Settings

    async def take(self, run_id: str, request: Request) -> Receipt:
        """Store the rows of a request.

        Raises:
            ServerError: As `bodies.read`, `from_arrow` and `ingest.store`.
        """
        body = await bodies.read(request, self.settings)
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if len(body) <= SMALL:
            posted = self._posted(run_id, kind, body)
        else:
            posted = await run_in_threadpool(self._prepared, run_id, kind, body)
        try:
            stored = await self.database.write_together(store, posted)
        except NoRoom:
            self.numbers.refused(posted.batch.table.num_rows)
            raise
        receipt = stored.receipt
        self.numbers.ingest(receipt, lost=sum(end - first for first, end in posted.batch.gaps))
        if receipt.accepted:
            self.broker.publish("rows", run_id, step=stored.last_step)
            self.watch.note(run_id, stored.reach)
        viewed = self.viewed.is_viewed(run_id)
        interval = self.pacing.next_interval(run_id, posted.batch.writer, viewed=viewed)
        return replace(receipt, min_interval=interval)

    def _posted(self, run_id: str, kind: str, body: bytes) -> Posted:
        return Posted(run_id, _batch(kind, body, self.settings.rows_per_request), self.settings)

    def _prepared(self, run_id: str, kind: str, body: bytes) -> Posted:
        """Prepare beside the writer's thread, too, what is large enough to be worth it."""
        posted = self._posted(run_id, kind, body)
        return replace(posted, prepared=prepare([posted.batch.table]))


def _batch(kind: str, body: bytes, most: int) -> Batch:
    if kind == ARROW_STREAM:
        return from_arrow(body, most)
    if kind == "application/json":
        try:
            return from_json(JSON_ROWS.validate_json(body), most)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            raise BadRequest(f"{where}: {first['msg']}"[:500]) from None
    raise BadRequest(
        f"Content-Type must be {ARROW_STREAM} or application/json",
        status=415,
        slug="unsupported-media-type",
    )
