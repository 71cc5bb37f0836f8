"""How the collector is doing."""

from __future__ import annotations

import importlib.metadata
import shutil
import time
from functools import partial

from fastapi import APIRouter

from htga_client.wire import Status
from htga_server.api.deps import BrokerDep, DatabaseDep, NumbersDep, SettingsDep
from htga_server.api.permissions import READ, GrantDep
from htga_server.runs import totals as census

router = APIRouter(tags=["health"])
VERSION = importlib.metadata.version("htga")


@router.get("/status", dependencies=[READ])
async def status(
    db: DatabaseDep,
    broker: BrokerDep,
    numbers: NumbersDep,
    settings: SettingsDep,
    allowed: GrantDep,
) -> Status:
    """Numbers about the collector and its database, for people."""
    counted = await db.read(partial(census.take, project=allowed.project))
    return Status(
        version=VERSION,
        uptime_s=numbers.uptime,
        database=db.dialect,
        database_bytes=await db.read(db.size),
        runs=counted.runs,
        running=counted.running,
        rows_total=counted.rows,
        rows_per_s=numbers.rows_per_second,
        queue=db.waiting,
        commit_ms=numbers.commit_ms,
        live_clients=broker.readers,
        last_write_s=None if counted.updated is None else max(0.0, time.time() - counted.updated),
        disk_free=shutil.disk_usage(settings.disk).free,
    )
