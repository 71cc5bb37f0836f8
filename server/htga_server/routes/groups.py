"""Runs in groups."""

from __future__ import annotations

from typing import Annotated

import sqlalchemy as sa
from fastapi import APIRouter, Query, Request, Response

from htga_client.wire import GroupedSeries, RunState
from htga_server import groups, runs
from htga_server.answers import answer
from htga_server.deps import DatabaseDep
from htga_server.policy import READ, GrantDep, own_project
from htga_server.routes.series import RangeDep, key_list

router = APIRouter(prefix="/groups", tags=["series"])


@router.get("/series", response_model=GroupedSeries, dependencies=[READ])
async def read_groups(
    request: Request,
    db: DatabaseDep,
    allowed: GrantDep,
    within: RangeDep,
    project: str,
    keys: str,
    by: Annotated[str, Query(pattern=r"^(group|config\..+)$")] = "group",
    buckets: Annotated[int, Query(ge=1, le=2000)] = 300,
    state: RunState | None = None,
    tag: str | None = None,
) -> Response:
    """The mean over the runs of each group, with its spread and a 95 % interval, over steps.

    `by` is `group`, or `config.` and the name of a setting.
    """
    own_project(allowed, project)

    def read(connection: sa.Connection) -> GroupedSeries:
        most = groups.MOST_RUNS + 1
        chosen = runs.page(connection, project=project, state=state, tag=tag, limit=most)
        return groups.read(
            connection,
            chosen.items,
            project=project,
            by=by,
            keys=key_list(keys),
            within=within,
            buckets=buckets,
        )

    return answer(request, await db.read(read))
