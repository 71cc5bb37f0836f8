"""Routes of the archive and of SQL queries."""

from __future__ import annotations

from functools import partial

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from htga_client.wire import Archive, Query
from htga_client.wire.text import clean_text
from htga_server.api.deps import DatabaseDep, SettingsDep
from htga_server.api.permissions import ADMIN, READ, GrantDep
from htga_server.archive import parquet
from htga_server.archive.json_values import json_values
from htga_server.archive.sql import run_query
from htga_server.http.responses import arrow_response, wants_arrow

router = APIRouter(tags=["archive"])


@router.post("/runs/{run_id}/archive", dependencies=[ADMIN])
async def create(run_id: str, db: DatabaseDep, settings: SettingsDep) -> Archive:
    """Write a finished run to the archive as Parquet."""
    return await db.write(partial(parquet.archive_run, run_id=run_id, folder=settings.archive))


@router.get("/archive", dependencies=[READ])
async def ids(db: DatabaseDep, settings: SettingsDep, allowed: GrantDep) -> dict[str, list[str]]:
    """List the ids of archived runs."""
    find = partial(parquet.archived_ids, folder=settings.archive, project=allowed.project)
    return {"items": await db.read(find)}


@router.post("/query", dependencies=[READ])
async def query(
    body: Query, request: Request, db: DatabaseDep, settings: SettingsDep, allowed: GrantDep
) -> Response:
    """Execute one SELECT over the tables runs, steps and metrics, live and archived."""
    run = partial(
        run_query,
        sql=clean_text(body.sql),
        folder=settings.archive,
        limit=body.limit,
        project=allowed.project,
        seconds=settings.query_seconds,
    )
    table = await db.read(run)
    if wants_arrow(request):
        return arrow_response(request, table)
    rows = list(zip(*map(json_values, table.columns), strict=True))
    return JSONResponse({"columns": table.column_names, "rows": rows})
