"""Errors as `application/problem+json` (RFC 9457)."""

from __future__ import annotations

import logging
import random
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import TypeAdapter
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from htga_client.wire import Problem

logger = logging.getLogger(__name__)
MEDIA_TYPE = "application/problem+json"
TITLES = {
    400: "Bad request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not found",
    405: "Method not allowed",
    408: "Request timeout",
    409: "Conflict",
    413: "Too large",
    414: "Address too long",
    415: "Unsupported media type",
    422: "Unprocessable content",
    429: "Too many requests",
    431: "Headers too large",
    503: "Unavailable",
    507: "Insufficient storage",
}
SLUGS = {
    401: "unauthorized",
    403: "forbidden",
    404: "not-found",
    405: "method-not-allowed",
    408: "too-slow",
    413: "too-large",
    414: "address-too-long",
    422: "invalid",
    431: "headers-too-large",
}
FULL = ("database or disk is full", "No space left on device", "could not extend file")
"""What SQLite and Postgres say when there is no room."""


RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {
        "description": TITLES[status],
        "content": {MEDIA_TYPE: {"schema": TypeAdapter(Problem).json_schema()}},
    }
    for status in (400, 401, 403, 404, 408, 409, 413, 414, 415, 422, 429, 431, 503, 507)
}
"""Every route's errors, for the API's description."""


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
        self.headers: dict[str, str] = {}
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


class Forbidden(ServerError):
    """Whoever asks may not do that."""

    status = 403
    slug = "forbidden"


class Quota(ServerError):
    """There would be more of something than is allowed, now and later."""

    status = 422
    slug = "quota"


class NoRoom(ServerError):
    """The project has filled what it may. Senders keep their rows until someone has made room."""

    status = 507
    slug = "quota-storage"

    def __init__(self, detail: str, *, limit: int, actual: int) -> None:
        super().__init__(detail, limit=limit, actual=actual)
        self.headers = {"Retry-After": "60"}


class Busy(ServerError):
    """The collector has more to do than it can; the same request will be taken later."""

    status = 503
    slug = "busy"


def too_large(limit: int, size: int) -> HTTPException:
    """The error for a body beyond its limit, as FastAPI lets it through while it reads one."""
    return HTTPException(413, f"the body is larger than {limit} bytes ({size} came so far)")


def too_slow(seconds: float) -> HTTPException:
    """The error for a body that does not come to its end, likewise."""
    return HTTPException(408, f"the body took longer than {seconds:g} s")


def answer(
    status: int,
    detail: str,
    *,
    slug: str | None = None,
    headers: Mapping[str, str] | None = None,
    members: Mapping[str, object] | None = None,
) -> JSONResponse:
    """A problem document as a response.

    `type` names the kind in one word, relative to the API's documentation.
    """
    problem = Problem(
        title=TITLES.get(status, "Error"),
        status=status,
        detail=detail,
        type=slug or SLUGS.get(status, "about:blank"),
    )
    headers = dict(headers or {})
    if status in {429, 503}:
        # Spread, so that all who were put off do not come back at once.
        headers.setdefault("Retry-After", str(random.randint(2, 10)))  # noqa: S311
    return JSONResponse(
        {**asdict(problem), **(members or {})}, status, headers=headers, media_type=MEDIA_TYPE
    )


def install(app: FastAPI) -> None:
    """Make every error of the app a problem document."""

    @app.exception_handler(ServerError)
    async def _server(_: Request, error: ServerError) -> JSONResponse:
        return answer(
            error.status, str(error), slug=error.slug, headers=error.headers, members=error.members
        )

    @app.exception_handler(HTTPException)
    async def _http(_: Request, error: HTTPException) -> JSONResponse:
        return answer(error.status_code, str(error.detail), headers=error.headers)

    @app.exception_handler(RequestValidationError)
    async def _invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return answer(422, f"{where}: {first['msg']}"[:500])

    @app.exception_handler(sa.exc.DBAPIError)
    async def _database(_: Request, error: sa.exc.DBAPIError) -> JSONResponse:
        # The statement and its parameters stay out of the answer; the driver's words suffice.
        words = f"the database: {error.orig}"[:300]
        logger.error("%s", words)
        if isinstance(error, sa.exc.DataError):
            return answer(422, words)
        if isinstance(error, sa.exc.IntegrityError | sa.exc.ProgrammingError):
            return answer(500, "the collector made a mistake; see its log")
        is_full = any(word in words for word in FULL)
        if is_full:
            return answer(503, words, slug="storage-full", headers={"Retry-After": "60"})
        return answer(503, words, slug="database")

    @app.exception_handler(sa.exc.TimeoutError)
    async def _no_connection(_: Request, error: sa.exc.TimeoutError) -> JSONResponse:
        return answer(503, f"the database: {error}"[:300], slug="database")

    @app.exception_handler(ClientDisconnect)
    async def _gone(_: Request, error: ClientDisconnect) -> JSONResponse:  # noqa: ARG001
        return answer(400, "the client left before its request was whole")
