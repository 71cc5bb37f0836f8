"""The route that takes rows."""

from __future__ import annotations

from fastapi import APIRouter, Request

from htga_client.wire import ARROW_STREAM, Receipt
from htga_server.api.deps import RowIngestDep
from htga_server.api.permissions import INGEST
from htga_server.api.row_ingest import JSON_ROWS

router = APIRouter(prefix="/runs", tags=["rows"])
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
async def add_rows(run_id: str, request: Request, ingest: RowIngestDep) -> Receipt:
    """Store rows, as an Arrow IPC stream of `wire.ROWS` or as JSON."""
    return await ingest.ingest(run_id, request)
