"""Routes to log in and out from a browser, with a token that is kept as a cookie."""

from __future__ import annotations

import re
from typing import Annotated
from urllib.parse import parse_qs

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse

from htga_client.wire import ROOT_PATH, TOKEN_COOKIE
from htga_server.access import tokens
from htga_server.access.pages import cookie_path, login_page
from htga_server.access.rate_limits import TOO_MANY_FAILURES, Failures, client_address
from htga_server.api.deps import DatabaseDep, from_state

router = APIRouter(include_in_schema=False)
DAYS_30 = 30 * 24 * 3600
FailuresDep = Annotated[Failures, Depends(from_state(lambda state: state.failures))]


@router.get("/login")
async def show_form(request: Request) -> Response:
    """Show the form."""
    next_path = local_path(request.query_params.get("next", "/"))
    return login_page(request.scope, "", 200, next_path=next_path)


@router.post("/login")
async def log_in(request: Request, db: DatabaseDep, failures: FailuresDep) -> Response:
    """Set a valid token as a cookie that no script can read and no other site can send."""
    form = parse_qs((await request.body()).decode("utf-8", "replace"))
    token = form.get("token", [""])[0].strip()
    next_path = local_path(form.get("next", ["/"])[0])
    if await db.read(lambda connection: tokens.find(connection, token)) is None:
        if failures.too_many(client_address(request.scope)):
            return login_page(request.scope, TOO_MANY_FAILURES, 429, next_path=next_path)
        return login_page(request.scope, "That token is not valid.", 401, next_path=next_path)
    response = _redirect(request, next_path)
    response.set_cookie(
        TOKEN_COOKIE,
        token,
        max_age=DAYS_30,
        path=cookie_path(request.scope),
        httponly=True,
        samesite="lax",
        secure=request.url.scheme == "https",
    )
    return response


@router.post("/logout")
async def log_out(request: Request) -> Response:
    """Delete the cookie."""
    response = _redirect(request, "/login")
    response.delete_cookie(TOKEN_COOKIE, path=cookie_path(request.scope))
    return response


def local_path(path: str) -> str:
    r"""Return the path if it can only be one of this app; "/" otherwise.

    A browser takes "//host" and "/\host" for another host, and ignores line ends and tabs.
    """
    return path if re.fullmatch(r"/(?![/\\])[!-\[\]-~]*", path) else "/"


def _redirect(request: Request, path: str) -> Response:
    return RedirectResponse(f"{request.scope.get(ROOT_PATH, '')}{path}", 303)
