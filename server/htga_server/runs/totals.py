"""Counting runs, for the status page."""

from __future__ import annotations

import time
from typing import NamedTuple

import sqlalchemy as sa

from htga_server.runs.lookup import NOT_DELETED
from htga_server.runs.serialize import STALE_AFTER
from htga_server.storage.tables import runs


class RunTotals(NamedTuple):
    """Numbers of runs, of running ones and of their rows, and the time of the last row."""

    runs: int
    running: int
    rows: int
    updated: float | None


def count_runs(connection: sa.Connection, project: str | None = None) -> RunTotals:
    """Count the runs of a project, or all."""
    silent_since = time.time() - STALE_AFTER
    heard = sa.or_(
        sa.func.coalesce(runs.c.updated, runs.c.created) >= silent_since,
        runs.c.heartbeat >= silent_since,
    )
    alive = sa.case((sa.and_(runs.c.state == "running", heard), 1), else_=0)
    count, rows = sa.func.count(), sa.func.coalesce(sa.func.sum(runs.c.rows), 0)
    running = sa.func.coalesce(sa.func.sum(alive), 0)
    query = sa.select(count, running, rows, sa.func.max(runs.c.updated)).where(NOT_DELETED)
    if project is not None:
        query = query.where(runs.c.project == project)
    number, running_now, sent, updated = connection.execute(query).one()
    return RunTotals(number, int(running_now), int(sent), updated)
