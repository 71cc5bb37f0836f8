"""Routes of runs: register, list, show, change, finish, delete."""

from __future__ import annotations

import uuid
from dataclasses import replace
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Body, Query, Request, Response
from pydantic import TypeAdapter
from starlette.concurrency import run_in_threadpool

from htga_client.wire import (
    Finish,
    Gap,
    NewRun,
    RegisteredRun,
    Run,
    RunEvents,
    RunPage,
    RunPatch,
    RunState,
)
from htga_client.wire.clean_run import clean_run
from htga_client.wire.limits import MAX_LABEL, MAX_NOTES, MAX_TAGS
from htga_client.wire.text import clean_text
from htga_server.api.deps import BrokerDep, DatabaseDep, SettingsDep
from htga_server.api.permissions import ADMIN, INGEST, READ, GrantDep, effective_project
from htga_server.http.responses import json_response
from htga_server.problems import BadRequest
from htga_server.runs import deletion, events, pagination, serialize, store, writers

router = APIRouter(prefix="/runs", tags=["runs"])
MAX_IDS = 1000
CONFIG_DEPTH = 100
"""Levels of a config; of deeper ones a reader of JSON gives up."""
REGISTRATION = {"application/json": {"schema": TypeAdapter(NewRun).json_schema()}}


@router.post(
    "",
    status_code=201,
    responses={200: {"description": "known already"}},
    dependencies=[INGEST],
    openapi_extra={"requestBody": {"required": True, "content": REGISTRATION}},
)
async def register(
    body: Annotated[Any, Body()],
    response: Response,
    db: DatabaseDep,
    broker: BrokerDep,
    settings: SettingsDep,
    allowed: GrantDep,
) -> RegisteredRun | Run:
    """Register a run under an id that the client made; registering again changes nothing.

    What cannot be stored as it came is converted, shortened or left out, and named in `changes`.
    """
    new, changes = await run_in_threadpool(_registration, body)
    if allowed.project is not None and "project" in new.defaults:
        if new.project != allowed.project:  # nobody has asked for it
            changes = (*changes, f"its project is {allowed.project!r}, the only one of its token")
        new = replace(new, project=allowed.project)
    effective_project(allowed, new.project)
    work = partial(store.register, new=new, changes=changes, limits=settings, only=allowed.project)
    run, made = await db.write(work)
    response.status_code = 201 if made else 200
    broker.publish("run", run.id, state=run.state)
    return run


def id_list(ids: str) -> list[str]:
    """Split the ids of runs in a query parameter, separated by commas.

    Raises:
        BadRequest: There are too many.
    """
    wanted = dict.fromkeys(ids.split(","))
    if len(wanted) > MAX_IDS:
        raise BadRequest(f"more than {MAX_IDS} ids of runs, got {len(wanted)}; ask in parts")
    return [one for one in wanted if "\0" not in one]  # Postgres accepts no NUL in text


@router.get("", response_model=RunPage, dependencies=[READ])
async def page(
    request: Request,
    db: DatabaseDep,
    allowed: GrantDep,
    ids: str | None = None,
    project: str | None = None,
    state: RunState | None = None,
    group: str | None = None,
    tag: str | None = None,
    q: str | None = None,
    sort: pagination.Sort = "-created",
    cursor: str | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    count: bool = False,
) -> Response:
    """Runs, newest first unless `sort` says otherwise.

    `q` is a search such as `maple state:running lr<0.01 -tag:old`. `ids`, separated by commas,
    limits it to these runs; unknown ids are left out. With `count` the first page has the `total`.
    """
    found = await db.read(
        partial(
            store.page,
            ids=None if ids is None else id_list(ids),
            project=effective_project(allowed, project),
            state=state,
            group=group,
            tag=tag,
            q=q,
            sort=sort,
            cursor=cursor,
            limit=limit,
            count=count,
        )
    )
    return json_response(request, found)


@router.get("/{run_id}", response_model=Run, dependencies=[READ])
async def show(run_id: str, request: Request, db: DatabaseDep) -> Response:
    """Show one run, with the latest value of everything it measured."""
    return json_response(request, await db.read(partial(serialize.get, run_id=run_id)))


@router.patch("/{run_id}", dependencies=[INGEST])
async def change(run_id: str, patch: RunPatch, db: DatabaseDep, broker: BrokerDep) -> Run:
    """Change a run's name, group, tags or notes; a field that is missing or null stays."""
    _check(name=patch.name, group=patch.group, notes=patch.notes, tags=patch.tags or ())
    run = await db.write(partial(store.change, run_id=run_id, patch=patch))
    broker.publish("run", run.id, state=run.state)
    return run


@router.get("/{run_id}/gaps", dependencies=[READ])
async def gaps(run_id: str, db: DatabaseDep) -> dict[str, tuple[Gap, ...]]:
    """List the sequence numbers of rows that writers declared as lost."""
    return {"items": await db.read(partial(writers.declared_gaps, run_id=run_id))}


@router.get("/{run_id}/events", dependencies=[READ])
async def list_events(run_id: str, db: DatabaseDep) -> RunEvents:
    """List the latest thousand events of a run: alerts, divergence, non-finite gradients."""
    return RunEvents(items=await db.read(partial(events.listing, run_id=run_id)))


@router.post("/{run_id}/finish", dependencies=[INGEST])
async def finish(run_id: str, how: Finish, db: DatabaseDep, broker: BrokerDep) -> Run:
    """Mark a run as finished or failed."""
    run = await db.write(partial(store.finish, run_id=run_id, how=how))
    broker.publish("run", run.id, state=run.state)
    return run


@router.post("/{run_id}/heartbeat", status_code=204, dependencies=[INGEST])
async def heartbeat(run_id: str, db: DatabaseDep, broker: BrokerDep) -> None:
    """Keep a run alive although it sends no rows."""
    run, came_back = await db.write(partial(store.record_heartbeat, run_id=run_id))
    if came_back:
        broker.publish("run", run.id, state=run.state)


@router.delete("/{run_id}", status_code=204, dependencies=[ADMIN])
async def delete(run_id: str, db: DatabaseDep, broker: BrokerDep) -> None:
    """Delete a run. It can be restored until its rows and its archive are purged, a day later."""
    await db.write(partial(deletion.delete, run_id=run_id))
    broker.publish("run", run_id, state="deleted")


@router.post("/{run_id}/restore", dependencies=[ADMIN])
async def restore(run_id: str, db: DatabaseDep, broker: BrokerDep) -> Run:
    """Undo the deletion of a run."""
    await db.write(partial(deletion.restore, run_id=run_id))
    run = await db.read(partial(serialize.get, run_id=run_id))
    broker.publish("run", run.id, state=run.state)
    return run


def _registration(body: Any) -> tuple[NewRun, tuple[str, ...]]:
    if not isinstance(body, dict):
        raise BadRequest("the body must be a JSON object")
    try:
        new, changes = clean_run(body, depth=CONFIG_DEPTH)
    except ValueError as error:
        raise BadRequest(str(error)) from None
    writer = new.writer and _uuid("writer", new.writer)
    return replace(new, id=_uuid("id", new.id), writer=writer), changes


def _check(**fields: str | tuple[str, ...] | None) -> None:
    """Refuse text that no database can hold, or of another length than a run may have."""
    for what, value in fields.items():
        texts = value if isinstance(value, tuple) else (value or "",)
        if any(clean_text(text) != text for text in texts):
            raise BadRequest(f"{what} must hold no NUL and no lone surrogate")
        limit = MAX_NOTES if what == "notes" else MAX_LABEL
        least = int(what == "name" and value is not None)
        if not all(least <= len(text) <= limit for text in texts):
            raise BadRequest(f"{what} must have {least} to {limit} characters")
        if len(texts) > MAX_TAGS:
            raise BadRequest(f"{what} must be at most {MAX_TAGS}, got {len(texts)}")


def _uuid(name: str, value: str) -> str:
    try:
        return str(uuid.UUID(value))
    except ValueError:
        raise BadRequest(f"{name} must be a UUID, got {value[:40]!r}") from None
