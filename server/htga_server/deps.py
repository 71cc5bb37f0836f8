"""What routes ask for.

All are coroutines: FastAPI would call plain functions in threads, at a tenth of a millisecond each.
"""

from __future__ import annotations

from typing import Annotated, cast

from fastapi import Depends, Request

from htga_server.attention import Attention
from htga_server.database import Database
from htga_server.fleet import Fleet
from htga_server.live import Broker
from htga_server.observe import Numbers
from htga_server.settings import Settings
from htga_server.watch import Watch


async def _database(request: Request) -> Database:
    return cast("Database", request.app.state.database)


async def _broker(request: Request) -> Broker:
    return cast("Broker", request.app.state.broker)


async def _attention(request: Request) -> Attention:
    return cast("Attention", request.app.state.attention)


async def _fleet(request: Request) -> Fleet:
    return cast("Fleet", request.app.state.fleet)


async def _numbers(request: Request) -> Numbers:
    return cast("Numbers", request.app.state.numbers)


async def _settings(request: Request) -> Settings:
    return cast("Settings", request.app.state.settings)


async def _watch(request: Request) -> Watch:
    return cast("Watch", request.app.state.watch)


DatabaseDep = Annotated[Database, Depends(_database)]
BrokerDep = Annotated[Broker, Depends(_broker)]
AttentionDep = Annotated[Attention, Depends(_attention)]
FleetDep = Annotated[Fleet, Depends(_fleet)]
NumbersDep = Annotated[Numbers, Depends(_numbers)]
SettingsDep = Annotated[Settings, Depends(_settings)]
WatchDep = Annotated[Watch, Depends(_watch)]
