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
from htga_client.wire.text import clean_text

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
"""The words of SQLite and Postgres for a full disk."""


RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {
        "description": TITLES[status],
        "content": {MEDIA_TYPE: {"schema": TypeAdapter(Problem).json_schema()}},
    }
    for status in (400, 401, 403, 404, 408, 409, 413, 414, 415, 422, 429, 431, 503, 507)
}
"""The errors of every route, for the API's description."""


class ServerError(Exception):
    """An error of a request: HTTP status, kind in one word, detail, and further members."""

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
    """The request is invalid; sending it again cannot succeed."""

    status = 422
    slug = "invalid"


class TooLarge(ServerError):
    """The request exceeds a limit; smaller parts may succeed."""

    status = 413
    slug = "too-large"


class NotFound(ServerError):
    """The resource does not exist, or the token must not know of it."""

    status = 404
    slug = "not-found"


class Conflict(ServerError):
    """The request contradicts what is stored."""

    status = 409
    slug = "conflict"


class Damaged(ServerError):
    """A file of the archive is not what was archived, and nothing is read from it."""

    status = 503
    slug = "archive-damaged"


class Forbidden(ServerError):
    """The token does not allow this."""

    status = 403
    slug = "forbidden"


class Quota(ServerError):
    """A quota would be exceeded; waiting does not help."""

    status = 422
    slug = "quota"


class NoRoom(ServerError):
    """The project is full. Senders keep their rows until there is room."""

    status = 507
    slug = "quota-storage"

    def __init__(self, detail: str, *, limit: int, actual: int) -> None:
        super().__init__(detail, limit=limit, actual=actual)
        self.headers = {"Retry-After": "60"}


class Busy(ServerError):
    """The collector is overloaded; the same request may succeed later."""

    status = 503
    slug = "busy"


def too_large(limit: int, size: int) -> HTTPException:
    """Return the error for a body beyond its limit, of a type that FastAPI passes through."""
    return HTTPException(413, f"the body is larger than {limit} bytes ({size} came so far)")


def too_slow(seconds: float) -> HTTPException:
    """Return the error for a body that takes too long, likewise."""
    return HTTPException(408, f"the body took longer than {seconds:g} s")


def problem_response(
    status: int,
    detail: str,
    *,
    slug: str | None = None,
    headers: Mapping[str, str] | None = None,
    members: Mapping[str, object] | None = None,
) -> JSONResponse:
    """Return a problem document, whose `type` names its kind in one word."""
    problem = Problem(
        title=TITLES.get(status, "Error"),
        status=status,
        detail=clean_text(detail),  # it may echo what no response can hold
        type=slug or SLUGS.get(status, "about:blank"),
    )
    headers = dict(headers or {})
    if status in {429, 503}:
        # Spread, so that refused clients do not return at once.
        headers.setdefault("Retry-After", str(random.randint(2, 10)))  # noqa: S311
    return JSONResponse(
        {**asdict(problem), **(members or {})}, status, headers=headers, media_type=MEDIA_TYPE
    )


def install(app: FastAPI) -> None:
    """Turn every error of the app into a problem document."""

    @app.exception_handler(ServerError)
    async def _server(_: Request, error: ServerError) -> JSONResponse:
        return problem_response(
            error.status, str(error), slug=error.slug, headers=error.headers, members=error.members
        )

    @app.exception_handler(HTTPException)
    async def _http(_: Request, error: HTTPException) -> JSONResponse:
        return problem_response(error.status_code, str(error.detail), headers=error.headers)

    @app.exception_handler(RequestValidationError)
    async def _invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return problem_response(422, f"{where}: {first['msg']}"[:500])

    @app.exception_handler(UnicodeEncodeError)
    async def _half_a_character(_: Request, error: UnicodeEncodeError) -> JSONResponse:  # noqa: ARG001
        # JSON can spell a lone surrogate, and neither a database nor a response can hold it.
        return problem_response(422, "a text holds a lone surrogate, which is no character")

    @app.exception_handler(ClientDisconnect)
    async def _gone(_: Request, error: ClientDisconnect) -> JSONResponse:  # noqa: ARG001
        return problem_response(400, "the client left before its request was whole")

    _install_for_database(app)


def _install_for_database(app: FastAPI) -> None:
    @app.exception_handler(sa.exc.DBAPIError)
    async def _database(_: Request, error: sa.exc.DBAPIError) -> JSONResponse:
        # The response has the driver's first line only: never the statement or its parameters,
        # nor Postgres' DETAIL, which has values of rows.
        first_line = str(error.orig).partition("\n")[0]
        words = f"the database: {first_line}"[:300]
        logger.error("%s", words)
        if isinstance(error, sa.exc.DataError):
            return problem_response(422, words)
        if isinstance(error, sa.exc.IntegrityError | sa.exc.ProgrammingError):
            return problem_response(500, "the collector made a mistake; see its log")
        is_full = any(word in words for word in FULL)
        if is_full:
            return problem_response(503, words, slug="storage-full", headers={"Retry-After": "60"})
        return problem_response(503, words, slug="database")

    @app.exception_handler(sa.exc.TimeoutError)
    async def _no_connection(_: Request, error: sa.exc.TimeoutError) -> JSONResponse:
        return problem_response(503, f"the database: {error}"[:300], slug="database")
