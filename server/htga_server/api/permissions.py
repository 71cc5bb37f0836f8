"""The scope that a token needs for a route. Every route of the API requires one."""

from __future__ import annotations

from typing import Annotated, cast

import sqlalchemy as sa
from fastapi import Depends, Request

from htga_client.wire import TokenScope
from htga_server.access.middleware import SCOPE_GRANT
from htga_server.access.tokens import Grant
from htga_server.problems import Forbidden, NotFound
from htga_server.storage.tables import runs


async def grant(request: Request) -> Grant:
    """Return what the sender of a request may do."""
    return cast("Grant", request.scope[SCOPE_GRANT])


GrantDep = Annotated[Grant, Depends(grant)]


class RequireScope:
    """A dependency: the token must have a scope, and its project the run that the path names.

    A run of another project is treated like one that does not exist.

    Raises:
        Forbidden: The token lacks the scope.
        NotFound: The run is of another project.
    """

    def __init__(self, scope: TokenScope) -> None:
        self.scope = scope

    async def __call__(self, request: Request) -> None:
        """Check one request."""
        allowed = await grant(request)
        if self.scope not in allowed.scopes:
            raise Forbidden(f"this token lacks the scope {self.scope!r}")
        run_id = request.path_params.get("run_id")
        if allowed.project is None or run_id is None:
            return
        query = sa.select(runs.c.project).where(runs.c.id == run_id)
        project = await request.app.state.database.read(lambda connection: connection.scalar(query))
        if project != allowed.project:
            raise NotFound(f"no run {run_id[:40]!r}")


READ, INGEST, ADMIN = (Depends(RequireScope(scope)) for scope in ("read", "ingest", "admin"))


def effective_project(allowed: Grant, requested: str | None) -> str | None:
    """Return the project to read: the token's own if it has one, else the requested one.

    Raises:
        Forbidden: The token is for another project than the requested one.
    """
    if allowed.project is not None and requested not in {None, allowed.project}:
        raise Forbidden(f"this token is for project {allowed.project!r} only")
    return allowed.project if allowed.project is not None else requested
