"""The route that lists tokens; the command line alone creates and revokes them."""

from __future__ import annotations

from functools import partial

from fastapi import APIRouter

from htga_client.wire import Tokens
from htga_server.access import tokens
from htga_server.api.deps import DatabaseDep
from htga_server.api.permissions import ADMIN, GrantDep

router = APIRouter(tags=["health"])


@router.get("/tokens", dependencies=[ADMIN])
async def listing(db: DatabaseDep, allowed: GrantDep) -> Tokens:
    """List tokens without their secrets; a project's token sees those of its project only."""
    return Tokens(items=await db.read(partial(tokens.listing, project=allowed.project)))
