"""The route of server-sent events."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

import sqlalchemy as sa
from fastapi import APIRouter, Header
from fastapi.responses import StreamingResponse

from htga_server.api.deps import BrokerDep, DatabaseDep, ViewedDep
from htga_server.api.permissions import READ, GrantDep
from htga_server.live.broker import Filter
from htga_server.live.viewers import ViewedRuns
from htga_server.storage.database import Database
from htga_server.storage.tables import runs

router = APIRouter(tags=["live"])


@router.get("/live", response_class=StreamingResponse, dependencies=[READ])
async def live(
    broker: BrokerDep,
    db: DatabaseDep,
    allowed: GrantDep,
    viewed: ViewedDep,
    run: str | None = None,
    last_event_id: Annotated[str | None, Header()] = None,
) -> StreamingResponse:
    """Stream what changes: `rows` ({run, step}), `run` ({run, state}) and `reset` ({}).

    With the header `Last-Event-ID` the stream begins after that event; `reset` means that events
    may be missing, so read everything again.
    """
    only = None if allowed.project is None else _of_project(db, allowed.project)
    events = broker.subscribe(run, after=last_event_id, only=only).events()
    return StreamingResponse(
        events if run is None else _viewing(run, viewed, events),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _viewing(
    run_id: str, viewed: ViewedRuns, events: AsyncIterator[str]
) -> AsyncIterator[str]:
    """Pass events on, and keep the run viewed while its stream is open."""
    async for event in events:
        viewed.mark_viewed(run_id)
        yield event


def _of_project(database: Database, project: str) -> Filter:
    known: dict[str, bool] = {}

    async def is_of_project(run_id: str) -> bool:
        if run_id not in known:
            query = sa.select(runs.c.project).where(runs.c.id == run_id)
            found = await database.read(lambda connection: connection.scalar(query))
            known[run_id] = found == project
        return known[run_id]

    return is_of_project
