"""The archive, and SQL over everything."""

from __future__ import annotations

from functools import partial

from fastapi import APIRouter, Request, Response
from fastapi.encoders import jsonable_encoder
from fastapi.responses import JSONResponse

from htga_client.wire import Archive, Query
from htga_server.api.deps import DatabaseDep, SettingsDep
from htga_server.api.permissions import ADMIN, READ, GrantDep
from htga_server.archive import parquet as archive
from htga_server.archive import sql as query
from htga_server.http.responses import arrow_answer, wants_arrow
from htga_server.storage.values import to_json

router = APIRouter(tags=["archive"])


@router.post("/runs/{run_id}/archive", dependencies=[ADMIN])
async def create(run_id: str, db: DatabaseDep, settings: SettingsDep) -> Archive:
    """Write a finished run to the archive as Parquet."""
    return await db.write(partial(archive.create, run_id=run_id, folder=settings.archive))


@router.get("/archive", dependencies=[READ])
async def ids(db: DatabaseDep, settings: SettingsDep, allowed: GrantDep) -> dict[str, list[str]]:
    """The ids of all archived runs."""
    find = partial(archive.ids, folder=settings.archive, project=allowed.project)
    return {"items": await db.read(find)}


@router.post("/query", dependencies=[READ])
async def ask(
    body: Query, request: Request, db: DatabaseDep, settings: SettingsDep, allowed: GrantDep
) -> Response:
    """One SELECT over the tables runs, steps and metrics, live and archived."""
    ask_now = partial(
        query.run,
        sql=body.sql,
        folder=settings.archive,
        limit=body.limit,
        project=allowed.project,
        seconds=settings.query_seconds,
    )
    table = await db.read(ask_now)
    if wants_arrow(request):
        return arrow_answer(request, table)
    rows = [[_plain(value) for value in row.values()] for row in table.to_pylist()]
    return JSONResponse({"columns": table.column_names, "rows": jsonable_encoder(rows)})


def _plain(value: object) -> object:
    if isinstance(value, float):
        return to_json(value)
    return value.hex() if isinstance(value, bytes) else value
