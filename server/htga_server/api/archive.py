"""Routes of the archive and of SQL queries."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Annotated

import sqlalchemy as sa
from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from htga_client import wire
from htga_client.wire import Archive, ArchivedIds, ArchiveFaults, Run
from htga_client.wire.readings import LEFT_OUT
from htga_client.wire.text import clean_text
from htga_server.api.deps import BrokerDep, CheckedDep, DatabaseDep, QueriesDep, SettingsDep
from htga_server.api.permissions import ADMIN, READ, GrantDep
from htga_server.archive import parquet, restore
from htga_server.archive.archived_files import check_run
from htga_server.archive.json_values import json_values
from htga_server.archive.sql import Limits, SqlQuery
from htga_server.http.responses import arrow_response, wants_arrow
from htga_server.problems import Busy, Conflict, NotFound
from htga_server.runs.serialize import get

router = APIRouter(tags=["archive"])
TRIES = 3
"""How often a run is written anew if rows of it come meanwhile."""


@router.post("/runs/{run_id}/archive", dependencies=[ADMIN])
async def create(run_id: str, db: DatabaseDep, settings: SettingsDep) -> Archive:
    """Write a finished run to the archive as Parquet."""
    for left in reversed(range(TRIES)):
        written = await db.read(partial(parquet.write_run, run_id=run_id, folder=settings.archive))
        try:
            return await db.write(partial(parquet.commit_run, written=written))
        except Conflict as error:
            if error.slug != "run-changed" or not left:
                raise
    raise AssertionError("unreachable: the last try returns or raises")


@router.post("/runs/{run_id}/restore-rows", dependencies=[ADMIN])
async def restore_rows(
    run_id: str, db: DatabaseDep, settings: SettingsDep, checked: CheckedDep, broker: BrokerDep
) -> Run:
    """Put the rows of a pruned run back into the database; it then takes new ones again."""
    run = await restore.restore_rows(db, run_id, settings.archive, checked)
    broker.publish("run", run.id, state=run.state)
    return run


@router.get("/archive", dependencies=[READ])
async def ids(
    db: DatabaseDep,
    allowed: GrantDep,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 1000,
    cursor: Annotated[int, Query(ge=0, lt=2**63)] = 0,
) -> ArchivedIds:
    """List the ids of archived runs, those that were registered first before the others.

    `cursor` takes `next` of the page before.
    """
    read = partial(parquet.archived_ids, project=allowed.project, after=cursor, limit=limit)
    return await db.read(read)


@router.get("/archive/{run_id}/faults", dependencies=[READ])
async def verify(run_id: str, db: DatabaseDep, settings: SettingsDep) -> ArchiveFaults:
    """Read the files of an archived run, and say what is wrong with them."""

    def find(connection: sa.Connection) -> ArchiveFaults:
        run = get(connection, run_id)
        if not run.archived:
            raise NotFound(f"run {run.id} is not in the archive")
        faults = check_run(connection, run.id, settings.archive)
        return ArchiveFaults(run_id=run.id, faults=tuple(str(fault) for fault in faults))

    return await db.read(find)


@asynccontextmanager
async def _turn(queries: asyncio.Semaphore, seconds: float) -> AsyncIterator[None]:
    """Wait until fewer queries run than may: each holds a connection that other reads need.

    Raises:
        Busy: That took too long.
    """
    try:
        await asyncio.wait_for(queries.acquire(), seconds)
    except TimeoutError:
        raise Busy("too many queries run at the same time; try again") from None
    try:
        yield
    finally:
        queries.release()


@router.post("/query", dependencies=[READ])
async def query(
    body: wire.Query,
    request: Request,
    db: DatabaseDep,
    settings: SettingsDep,
    allowed: GrantDep,
    checked: CheckedDep,
    queries: QueriesDep,
    skip_damaged: bool = False,
) -> Response:
    """Execute one SELECT over live and archived runs.

    With `skip_damaged` rows of damaged files are left out, and the answer names the files.
    """
    query = SqlQuery(
        clean_text(body.sql),
        settings.archive,
        Limits(
            rows=body.limit,
            seconds=settings.query_seconds,
            memory=settings.query_memory,
            answer=settings.query_answer,
        ),
        project=allowed.project,
        skip_damaged=skip_damaged,
    )
    async with _turn(queries, settings.query_seconds):
        answer = await db.read(partial(query.run, checked=checked))
    if wants_arrow(request):
        said = {LEFT_OUT: json.dumps(answer.left_out)} if answer.left_out else None
        return arrow_response(request, answer.table.replace_schema_metadata(said))
    columns = map(json_values, answer.table.columns)
    rows = list(zip(*await run_in_threadpool(list, columns), strict=True))
    content = {"columns": answer.table.column_names, "rows": rows}
    return JSONResponse(content | ({"left_out": answer.left_out} if answer.left_out else {}))
