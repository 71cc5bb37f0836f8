"""Errors as `application/problem+json` (RFC 9457)."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import sqlalchemy as sa
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from htga_client.wire import Problem

MEDIA_TYPE = "application/problem+json"
TITLES = {
    400: "Bad request",
    404: "Not found",
    409: "Conflict",
    413: "Too large",
    415: "Unsupported media type",
    422: "Unprocessable content",
    503: "Unavailable",
}


class ServerError(Exception):
    """What a request went wrong with: HTTP status, kind (as one word), and any further members."""

    status = 500
    slug = "error"

    def __init__(
        self, detail: str, *, status: int | None = None, slug: str | None = None, **members: object
    ) -> None:
        super().__init__(detail)
        self.status = status or self.status
        self.slug = slug or self.slug
        self.members = members


class BadRequest(ServerError):
    """The request cannot be understood. It must not be sent again as it is."""

    status = 422
    slug = "invalid"


class TooLarge(ServerError):
    """The request is larger than is taken; in smaller parts it may be."""

    status = 413
    slug = "too-large"


class NotFound(ServerError):
    """There is no such thing."""

    status = 404
    slug = "not-found"


class Conflict(ServerError):
    """The request contradicts what is stored."""

    status = 409
    slug = "conflict"


class Quota(ServerError):
    """There would be more of something than is allowed, now and later."""

    status = 422
    slug = "quota"


class Busy(ServerError):
    """The collector has more to do than it can; the same request will be taken later."""

    status = 503
    slug = "busy"


def answer(
    status: int, detail: str, *, headers: dict[str, str] | None = None, members: Any = None
) -> JSONResponse:
    """A problem document as a response."""
    problem = Problem(title=TITLES.get(status, "Error"), status=status, detail=detail)
    return JSONResponse(
        {**asdict(problem), **(members or {})}, status, headers=headers, media_type=MEDIA_TYPE
    )


def install(app: FastAPI) -> None:
    """Make every error of the app a problem document."""

    @app.exception_handler(ServerError)
    async def _server(_: Request, error: ServerError) -> JSONResponse:
        return answer(error.status, str(error), members=error.members)

    @app.exception_handler(HTTPException)
    async def _http(_: Request, error: HTTPException) -> JSONResponse:
        return answer(error.status_code, str(error.detail))

    @app.exception_handler(RequestValidationError)
    async def _invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return answer(422, f"{where}: {first['msg']}"[:500])

    @app.exception_handler(sa.exc.OperationalError)
    async def _database(_: Request, error: sa.exc.OperationalError) -> JSONResponse:
        # The statement and its parameters stay out of the answer; the driver's words suffice.
        return answer(503, f"the database: {error.orig}"[:300], headers={"Retry-After": "2"})
