"""Ingest: rows in, a receipt out, and that only after the commit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from fastapi import APIRouter, Request
from pydantic import TypeAdapter, ValidationError
from starlette.concurrency import run_in_threadpool

from htga_client.wire import ARROW_STREAM, JsonRows, Receipt
from htga_server import bodies
from htga_server.decode import Batch, from_arrow, from_json
from htga_server.deps import (
    AttentionDep,
    BrokerDep,
    DatabaseDep,
    FleetDep,
    NumbersDep,
    SettingsDep,
    WatchDep,
)
from htga_server.ingest import Posted, store
from htga_server.policy import INGEST
from htga_server.prepare import prepare
from htga_server.problems import BadRequest, NoRoom
from htga_server.settings import Settings

router = APIRouter(prefix="/runs", tags=["rows"])
SMALL = 2**14
"""Bytes that are decoded on the spot, in a fraction of a millisecond: a thread would cost more."""
JSON_ROWS = TypeAdapter(JsonRows)
SCHEMA = JSON_ROWS.json_schema()
SCHEMA["properties"]["rows"]["items"] = SCHEMA.pop("$defs")["JsonRow"]  # no reference to follow
BODY = {
    "requestBody": {
        "required": True,
        "content": {
            ARROW_STREAM: {"schema": {"type": "string", "format": "binary"}},
            "application/json": {"schema": SCHEMA},
        },
    }
}


@router.post("/{run_id}/rows", openapi_extra=BODY, dependencies=[INGEST])
async def add(
    run_id: str,
    request: Request,
    db: DatabaseDep,
    broker: BrokerDep,
    attention: AttentionDep,
    fleet: FleetDep,
    settings: SettingsDep,
    numbers: NumbersDep,
    watch: WatchDep,
) -> Receipt:
    """Store rows, as an Arrow IPC stream of `wire.ROWS` or as JSON."""
    body = await bodies.read(request, settings)
    decode = partial(_decode, run_id, request.headers.get("content-type", ""), body, settings)
    posted = decode() if len(body) <= SMALL else await run_in_threadpool(_prepared, decode)
    try:
        stored = await db.write_together(store, posted)
    except NoRoom:
        numbers.refused(posted.batch.table.num_rows)
        raise
    receipt = stored.receipt
    numbers.ingest(receipt, lost=sum(end - first for first, end in posted.batch.gaps))
    if receipt.accepted:
        broker.publish("rows", run_id, step=stored.last_step)
        watch.note(run_id, stored.reach)
    pace = fleet.pace(run_id, posted.batch.writer)
    return replace(receipt, followed=attention.follows(run_id), pace=pace)


def _prepared(decode: Callable[[], Posted]) -> Posted:
    """Decode, and prepare beside the writer's thread what is large enough to be worth it."""
    posted = decode()
    return replace(posted, prepared=prepare([posted.batch.table]))


def _decode(run_id: str, content_type: str, body: bytes, settings: Settings) -> Posted:
    return Posted(run_id, _batch(content_type, body, settings), settings)


def _batch(content_type: str, body: bytes, settings: Settings) -> Batch:
    kind = content_type.partition(";")[0].strip().lower()
    if kind == ARROW_STREAM:
        return from_arrow(body, settings.rows_per_request)
    if kind == "application/json":
        try:
            return from_json(JSON_ROWS.validate_json(body), settings.rows_per_request)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            raise BadRequest(f"{where}: {first['msg']}"[:500]) from None
    raise BadRequest(
        f"Content-Type must be {ARROW_STREAM} or application/json",
        status=415,
        slug="unsupported-media-type",
    )
