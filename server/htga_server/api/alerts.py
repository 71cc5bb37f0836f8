"""The route of alerts over all runs."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Query

from htga_client.wire import Alerts
from htga_server.api.deps import DatabaseDep
from htga_server.api.permissions import READ, GrantDep, effective_project
from htga_server.runs import events

router = APIRouter(prefix="/alerts", tags=["runs"])


@router.get("", dependencies=[READ])
async def alerts(
    db: DatabaseDep,
    allowed: GrantDep,
    project: str | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Alerts:
    """List warnings and errors, the latest first, of the hundred runs that were updated last."""
    own = effective_project(allowed, project)
    return Alerts(items=await db.read(partial(events.alerts, project=own, limit=limit)))
