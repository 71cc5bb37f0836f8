"""The dependencies of routes.

All are coroutines, because FastAPI runs plain functions in threads, at 0.1 ms each.
"""

from __future__ import annotations

from typing import Annotated, cast

from fastapi import Depends, Request

from htga_server.api.row_ingest import RowIngestService
from htga_server.http.metrics import Metrics
from htga_server.live.broker import Broker
from htga_server.live.viewers import ViewedRuns
from htga_server.settings import Settings
from htga_server.storage.database import Database


async def the_database(request: Request) -> Database:
    """The collector's database."""
    return cast("Database", request.app.state.database)


async def _broker(request: Request) -> Broker:
    return cast("Broker", request.app.state.broker)


async def _viewed(request: Request) -> ViewedRuns:
    return cast("ViewedRuns", request.app.state.viewed)


async def _metrics(request: Request) -> Metrics:
    return cast("Metrics", request.app.state.metrics)


async def _settings(request: Request) -> Settings:
    return cast("Settings", request.app.state.settings)


async def _row_ingest(request: Request) -> RowIngestService:
    return cast("RowIngestService", request.app.state.row_ingest)


DatabaseDep = Annotated[Database, Depends(the_database)]
BrokerDep = Annotated[Broker, Depends(_broker)]
ViewedDep = Annotated[ViewedRuns, Depends(_viewed)]
MetricsDep = Annotated[Metrics, Depends(_metrics)]
SettingsDep = Annotated[Settings, Depends(_settings)]
RowIngestDep = Annotated[RowIngestService, Depends(_row_ingest)]
