"""The route of the collector's status."""

from __future__ import annotations

import importlib.metadata
import shutil
import time
from functools import partial

from fastapi import APIRouter

from htga_client.wire import Status
from htga_server.api.deps import BrokerDep, DatabaseDep, MetricsDep, SettingsDep, VerificationDep
from htga_server.api.permissions import READ, GrantDep
from htga_server.runs.totals import count_runs

router = APIRouter(tags=["health"])
MAX_FAULTS = 20
"""Maximum number of damaged files that are named; all are counted."""
VERSION = importlib.metadata.version("htga")


@router.get("/status", dependencies=[READ])
async def status(
    db: DatabaseDep,
    broker: BrokerDep,
    metrics: MetricsDep,
    settings: SettingsDep,
    verification: VerificationDep,
    allowed: GrantDep,
) -> Status:
    """Return numbers about the collector and its database, for people."""
    totals = await db.read(partial(count_runs, project=allowed.project))
    faults = await db.read(partial(verification.faults_of, project=allowed.project))
    return Status(
        version=VERSION,
        uptime_s=metrics.uptime,
        database=db.dialect,
        database_bytes=await db.read(db.size),
        runs=totals.runs,
        running=totals.running,
        rows_total=totals.rows,
        rows_per_s=metrics.rows_per_second,
        queue=db.waiting,
        commit_ms=metrics.commit_ms,
        live_clients=broker.subscriber_count,
        last_write_s=None if totals.updated is None else max(0.0, time.time() - totals.updated),
        disk_free=shutil.disk_usage(settings.disk).free,
        archive_damaged=len(faults),
        archive_faults=faults[:MAX_FAULTS],
    )
