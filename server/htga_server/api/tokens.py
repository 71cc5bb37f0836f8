"""Who may reach the collector. Tokens are made and revoked at its command line only."""

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
    """The tokens, without their secrets; whoever is of one project sees those of that one."""
    return Tokens(items=await db.read(partial(tokens.listing, project=allowed.project)))
