"""What routes ask for.

All are coroutines: FastAPI would call plain functions in threads, at a tenth of a millisecond each.
"""

from __future__ import annotations

from typing import Annotated, cast

from fastapi import Depends, Request

from htga_server.api.row_intake import Intake
from htga_server.http.metrics import Numbers
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


async def _numbers(request: Request) -> Numbers:
    return cast("Numbers", request.app.state.numbers)


async def _settings(request: Request) -> Settings:
    return cast("Settings", request.app.state.settings)


async def _intake(request: Request) -> Intake:
    return cast("Intake", request.app.state.intake)


DatabaseDep = Annotated[Database, Depends(the_database)]
BrokerDep = Annotated[Broker, Depends(_broker)]
ViewedDep = Annotated[ViewedRuns, Depends(_viewed)]
NumbersDep = Annotated[Numbers, Depends(_numbers)]
SettingsDep = Annotated[Settings, Depends(_settings)]
IntakeDep = Annotated[Intake, Depends(_intake)]
