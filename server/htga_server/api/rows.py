"""The route that takes rows: read, store, publish, and answer with a receipt after the commit."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from pydantic import TypeAdapter, ValidationError
from starlette.concurrency import run_in_threadpool

from htga_client.wire import ARROW_STREAM, JsonRows, Receipt
from htga_server.alerts.monitor import RunMonitor
from htga_server.api.deps import from_state
from htga_server.api.permissions import INGEST
from htga_server.http import request_body
from htga_server.http.metrics import Metrics
from htga_server.ingest.decode import Batch, from_arrow, from_json
from htga_server.ingest.prepare import prepare
from htga_server.ingest.store import IngestRequest, store_requests
from htga_server.live.broker import Broker
from htga_server.live.pacing import SenderPacing
from htga_server.live.viewers import ViewedRuns
from htga_server.problems import BadRequest, NoRoom
from htga_server.settings import Settings
from htga_server.storage.database import Database

MAX_INLINE_BYTES = 2**14
"""Smaller bodies are decoded on the event loop, where they cost less than a thread would."""
JSON_ROWS = TypeAdapter(JsonRows)
SCHEMA = JSON_ROWS.json_schema()
SCHEMA["properties"]["rows"]["items"] = SCHEMA.pop("$defs")["JsonRow"]  # instead of a reference
CONTENT = {
    ARROW_STREAM: {"schema": {"type": "string", "format": "binary"}},
    "application/json": {"schema": SCHEMA},
}
BODY = {"requestBody": {"required": True, "content": CONTENT}}
router = APIRouter(prefix="/runs", tags=["rows"])


@dataclass(frozen=True, slots=True)
class RowIngestService:
    """Ingests rows. One object, because FastAPI would resolve each part of it for each request."""

    database: Database
    broker: Broker
    viewed: ViewedRuns
    pacing: SenderPacing
    monitor: RunMonitor
    metrics: Metrics
    settings: Settings

    async def ingest(self, run_id: str, request: Request) -> Receipt:
        """Store the rows of a request.

        Raises:
            ServerError: As `request_body.read`, `from_arrow` and `store_requests`.
        """
        body = await request_body.read(request, self.settings)
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if len(body) <= MAX_INLINE_BYTES:
            rows = self._decode(run_id, kind, body)
        else:
            rows = await run_in_threadpool(self._decode_and_prepare, run_id, kind, body)
        try:
            result = await self.database.write_batched(store_requests, rows)
        except NoRoom:
            self.metrics.count_refused(rows.batch.table.num_rows)
            raise
        receipt = result.receipt
        self.metrics.count_rows(receipt, lost=sum(end - first for first, end in rows.batch.gaps))
        if receipt.accepted:
            self.broker.publish("rows", run_id, step=result.last_step)
            self.monitor.enqueue(run_id, result.steps)
        viewed = self.viewed.is_viewed(run_id)
        interval = self.pacing.next_interval(run_id, rows.batch.writer, viewed=viewed)
        return replace(receipt, min_interval=interval)

    def _decode(self, run_id: str, kind: str, body: bytes) -> IngestRequest:
        batch = _batch(kind, body, self.settings.rows_per_request)
        return IngestRequest(run_id, batch, self.settings)

    def _decode_and_prepare(self, run_id: str, kind: str, body: bytes) -> IngestRequest:
        """Also prepare a large batch outside the write thread."""
        rows = self._decode(run_id, kind, body)
        return replace(rows, prepared=prepare([rows.batch.table]))


RowIngestDep = Annotated[RowIngestService, Depends(from_state(lambda state: state.row_ingest))]


@router.post("/{run_id}/rows", openapi_extra=BODY, dependencies=[INGEST])
async def add_rows(run_id: str, request: Request, service: RowIngestDep) -> Receipt:
    """Store rows, as an Arrow IPC stream of `wire.ROWS` or as JSON."""
    return await service.ingest(run_id, request)


def _batch(kind: str, body: bytes, max_rows: int) -> Batch:
    if kind == ARROW_STREAM:
        return from_arrow(body, max_rows)
    if kind == "application/json":
        try:
            return from_json(JSON_ROWS.validate_json(body), max_rows)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            raise BadRequest(f"{where}: {first['msg']}"[:500]) from None
    raise BadRequest(
        f"Content-Type must be {ARROW_STREAM} or application/json",
        status=415,
        slug="unsupported-media-type",
    )
