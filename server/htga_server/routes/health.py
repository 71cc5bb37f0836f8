"""Is the process alive, and can it write?"""

from __future__ import annotations

import sqlalchemy as sa
from fastapi import APIRouter

from htga_server.deps import DatabaseDep
from htga_server.policy import READ

router = APIRouter(tags=["health"])


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}


@router.get("/readyz", dependencies=[READ])
async def readyz(db: DatabaseDep) -> dict[str, str]:
    """The database takes a write transaction."""
    await db.write(lambda connection: connection.execute(sa.text("SELECT 1")))
    return {"status": "ok"}
