"""The dependencies of routes.

All are coroutines, because FastAPI runs plain functions in threads, at 0.1 ms each.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import Depends, Request
from starlette.datastructures import State

from htga_server.archive.archived_files import CheckedFiles
from htga_server.archive.archived_rows import Snapshots
from htga_server.archive.verification import Verification
from htga_server.http.metrics import Metrics
from htga_server.live.broker import Broker
from htga_server.live.viewers import ViewedRuns
from htga_server.settings import Settings
from htga_server.storage.database import Database


def from_state(choose: Callable[[State], Any]) -> Callable[[Request], Awaitable[Any]]:
    """Return a dependency on an object in the state of the app."""

    async def find(request: Request) -> Any:
        return choose(request.app.state)

    return find


DatabaseDep = Annotated[Database, Depends(from_state(lambda state: state.database))]
BrokerDep = Annotated[Broker, Depends(from_state(lambda state: state.broker))]
ViewedDep = Annotated[ViewedRuns, Depends(from_state(lambda state: state.viewed))]
MetricsDep = Annotated[Metrics, Depends(from_state(lambda state: state.metrics))]
CheckedDep = Annotated[CheckedFiles, Depends(from_state(lambda state: state.checked_files))]
QueriesDep = Annotated[asyncio.Semaphore, Depends(from_state(lambda state: state.queries))]
VerificationDep = Annotated[Verification, Depends(from_state(lambda state: state.verification))]
SnapshotsDep = Annotated[Snapshots, Depends(from_state(lambda state: state.snapshots))]
SettingsDep = Annotated[Settings, Depends(from_state(lambda state: state.settings))]
