"""What a token must allow on which route. Every route of the API has one of these."""

from __future__ import annotations

from typing import Annotated, cast

import sqlalchemy as sa
from fastapi import Depends, Request

from htga_client.wire import TokenScope
from htga_server.access.middleware import GRANT
from htga_server.access.tokens import Grant
from htga_server.api.deps import the_database
from htga_server.problems import Forbidden, NotFound
from htga_server.storage.tables import runs


async def grant(request: Request) -> Grant:
    """What the sender of a request may do."""
    return cast("Grant", request.scope[GRANT])


GrantDep = Annotated[Grant, Depends(grant)]


class Needs:
    """A dependency: the token must have a scope, and reach the run that the path names.

    A run of another project is answered like one that does not exist.

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
        database = await the_database(request)
        project = await database.read(lambda connection: connection.scalar(query))
        if project != allowed.project:
            raise NotFound(f"no run {run_id[:40]!r}")


READ, INGEST, ADMIN = (Depends(Needs(scope)) for scope in ("read", "ingest", "admin"))


def own_project(allowed: Grant, asked: str | None) -> str | None:
    """The project to look in: the token's own where it has one.

    Raises:
        Forbidden: Another was asked for.
    """
    if allowed.project is not None and asked not in {None, allowed.project}:
        raise Forbidden(f"this token is for project {allowed.project!r} only")
    return allowed.project if allowed.project is not None else asked
