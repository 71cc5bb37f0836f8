"""Runs: register, list, show, finish, delete."""

from __future__ import annotations

import uuid
from dataclasses import replace
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from htga_client.wire import Finish, Gap, NewRun, Run, RunEvents, RunPage, RunState
from htga_server import archive, events, runs
from htga_server.answers import answer
from htga_server.deps import BrokerDep, DatabaseDep, SettingsDep
from htga_server.policy import ADMIN, INGEST, READ, GrantDep, own_project
from htga_server.problems import BadRequest

router = APIRouter(prefix="/runs", tags=["runs"])
MAX_LABEL = 1024


@router.post(
    "", status_code=201, responses={200: {"description": "known already"}}, dependencies=[INGEST]
)
async def register(
    new: NewRun,
    response: Response,
    db: DatabaseDep,
    broker: BrokerDep,
    settings: SettingsDep,
    allowed: GrantDep,
) -> Run:
    """Register a run under an id that the client made; registering again changes nothing."""
    for name in ("project", "name"):
        if not 0 < len(getattr(new, name)) <= MAX_LABEL:
            raise BadRequest(f"{name} must have 1 to {MAX_LABEL} characters")
    said = (new.project, new.name, new.group, new.notes, *new.tags)
    if any("\0" in text for text in said):
        raise BadRequest("project, name, group, notes and tags must hold no NUL")
    own_project(allowed, new.project)
    new = replace(new, id=_uuid("id", new.id), writer=new.writer and _uuid("writer", new.writer))
    run, made = await db.write(partial(runs.register, new=new, limits=settings))
    response.status_code = 201 if made else 200
    broker.publish("run", run.id, state=run.state)
    return run


@router.get("", response_model=RunPage, dependencies=[READ])
async def page(
    request: Request,
    db: DatabaseDep,
    allowed: GrantDep,
    project: str | None = None,
    state: RunState | None = None,
    group: str | None = None,
    tag: str | None = None,
    q: str | None = None,
    sort: runs.Sort = "-created",
    cursor: str | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Response:
    """Runs, newest first unless `sort` says otherwise; `q` searches name, project and notes."""
    found = await db.read(
        partial(
            runs.page,
            project=own_project(allowed, project),
            state=state,
            group=group,
            tag=tag,
            q=q,
            sort=sort,
            cursor=cursor,
            limit=limit,
        )
    )
    return answer(request, found)


@router.get("/{run_id}", response_model=Run, dependencies=[READ])
async def show(run_id: str, request: Request, db: DatabaseDep) -> Response:
    """One run, with the latest value of everything it measured."""
    return answer(request, await db.read(partial(runs.get, run_id=run_id)))


@router.get("/{run_id}/gaps", dependencies=[READ])
async def gaps(run_id: str, db: DatabaseDep) -> dict[str, tuple[Gap, ...]]:
    """Sequence numbers of rows that were lost on their way here, as their writers say."""
    return {"items": await db.read(partial(runs.declared_gaps, run_id=run_id))}


@router.get("/{run_id}/events", dependencies=[READ])
async def happened(run_id: str, db: DatabaseDep) -> RunEvents:
    """The latest thousand events of a run: alerts, gradients that ceased to be finite."""
    return RunEvents(items=await db.read(partial(events.listing, run_id=run_id)))


@router.post("/{run_id}/finish", dependencies=[INGEST])
async def finish(run_id: str, how: Finish, db: DatabaseDep, broker: BrokerDep) -> Run:
    """Mark a run as finished or failed."""
    run = await db.write(partial(runs.finish, run_id=run_id, how=how))
    broker.publish("run", run.id, state=run.state)
    return run


@router.delete("/{run_id}", status_code=204, dependencies=[ADMIN])
async def delete(run_id: str, db: DatabaseDep, broker: BrokerDep, settings: SettingsDep) -> None:
    """Delete a run, its rows and its archive."""
    await db.write(partial(runs.delete, run_id=run_id))
    archive.remove(_uuid("id", run_id), settings.archive)
    broker.publish("run", run_id, state="deleted")


def _uuid(name: str, value: str) -> str:
    try:
        return str(uuid.UUID(value))
    except ValueError:
        raise BadRequest(f"{name} must be a UUID, got {value[:40]!r}") from None
