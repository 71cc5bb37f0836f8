"""Routes of liveness, readiness and metrics."""

from __future__ import annotations

import shutil

import sqlalchemy as sa
from fastapi import APIRouter
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST

from htga_server.api.deps import DatabaseDep, MetricsDep, SettingsDep
from htga_server.api.permissions import READ
from htga_server.problems import Busy

MIN_FREE = 0.05

router = APIRouter(tags=["health"])


@router.head("/healthz", include_in_schema=False)
@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """The process is alive."""
    return {"status": "ok"}


@router.head("/readyz", dependencies=[READ], include_in_schema=False)
@router.get("/readyz", dependencies=[READ])
async def readyz(db: DatabaseDep, settings: SettingsDep) -> dict[str, str]:
    """The database takes a write transaction, and its disk has room.

    Raises:
        Busy: Less than a twentieth of the disk is free.
    """
    await db.write(lambda connection: connection.execute(sa.text("SELECT 1")))
    disk = shutil.disk_usage(settings.disk)
    if disk.free < disk.total * MIN_FREE:
        raise Busy(f"{disk.free >> 20} MiB of disk are left", slug="storage-low")
    return {"status": "ok"}


@router.get("/metrics", dependencies=[READ], response_class=PlainTextResponse)
async def metrics(metrics: MetricsDep) -> PlainTextResponse:
    """Return metrics of the collector itself, for Prometheus."""
    return PlainTextResponse(metrics.text(), media_type=CONTENT_TYPE_LATEST)
