"""Routes to log in from a browser, with a token that is kept as a cookie."""

from __future__ import annotations

from urllib.parse import parse_qs

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from htga_server.access import tokens
from htga_server.access.login_page import login_page
from htga_server.access.middleware import COOKIE
from htga_server.api.deps import DatabaseDep

router = APIRouter(include_in_schema=False)
DAYS_30 = 30 * 24 * 3600


@router.get("/login")
async def show_form() -> Response:
    """Show the form."""
    return login_page("", 200)


@router.post("/login")
async def log_in(request: Request, db: DatabaseDep) -> Response:
    """Set a valid token as a cookie that no script can read and no other site can send."""
    form = parse_qs((await request.body()).decode("utf-8", "replace"))
    token = form.get("token", [""])[0].strip()
    if await db.read(lambda connection: tokens.find(connection, token)) is None:
        return login_page("That token is not valid.", 401)
    json_response = RedirectResponse("/", 303)
    json_response.set_cookie(
        COOKIE,
        token,
        max_age=DAYS_30,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return json_response
