"""The route of grouped runs."""

from __future__ import annotations

from typing import Annotated

import sqlalchemy as sa
from fastapi import APIRouter, Query, Request, Response
from pydantic import StringConstraints

from htga_client.wire import Axis, GroupedSeries, Run, RunState
from htga_server.api.deps import SnapshotsDep, ViewedDep
from htga_server.api.permissions import READ, GrantDep, effective_project
from htga_server.api.runs import id_list
from htga_server.api.series import RangeDep, key_list
from htga_server.http.responses import json_response
from htga_server.problems import BadRequest
from htga_server.reads import groups
from htga_server.reads.groups import GroupQuery
from htga_server.runs import store
from htga_server.timeseries.snapshot import Snapshot

router = APIRouter(prefix="/groups", tags=["series"])
Setting = Annotated[str, StringConstraints(pattern=r"^(run|group|config\.[\s\S]*)$")]


@router.get("/series", response_model=GroupedSeries, dependencies=[READ])
async def read_groups(
    request: Request,
    snapshots: SnapshotsDep,
    viewed: ViewedDep,
    allowed: GrantDep,
    within: RangeDep,
    keys: str,
    project: str | None = None,
    ids: Annotated[str | None, Query(alias="runs")] = None,
    by: Annotated[tuple[Setting, ...], Query()] = (),
    x: Axis = "step",
    buckets: Annotated[int, Query(ge=1, le=2000)] = 300,
    state: RunState | None = None,
    tag: str | None = None,
) -> Response:
    """The mean over the runs of each group, with its standard deviation and a 95 % interval.

    The runs are those of a `project`, newest first, or `runs`: ids, separated by commas; unknown
    ones are left out. `by` is `group`, or `config.` and the name of a setting, and can be repeated.
    Without it, or with `run`, each run is alone. `x` is `step`, `time` (seconds since 1970) or
    `relative` (seconds since a run's first row).
    """
    if (project is None) == (ids is None):
        raise BadRequest("give either project or runs, not both")
    requested = None if ids is None else id_list(ids)
    own = effective_project(allowed, project)
    query = GroupQuery(by=by, keys=key_list(keys), axis=x, within=within, buckets=buckets)

    def read(snapshot: Snapshot) -> GroupedSeries:
        runs = _chosen(snapshot.connection, requested, own, state, tag)
        return groups.read(snapshot, runs, query)

    found = await snapshots.read(read)
    for group in found.items:
        for run_id in group.members:
            viewed.mark_viewed(run_id)
    return json_response(request, found)


def _chosen(
    connection: sa.Connection,
    ids: list[str] | None,
    project: str | None,
    state: RunState | None,
    tag: str | None,
) -> list[Run]:
    """Return the runs in their order, and one more than allowed if there are too many."""
    limit = groups.MAX_RUNS + 1
    found = store.page(connection, ids=ids, project=project, state=state, tag=tag, limit=limit)
    if ids is None:
        return list(found.items)
    return sorted(found.items, key=lambda run: ids.index(run.id))
