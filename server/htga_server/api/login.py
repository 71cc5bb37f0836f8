"""A token as a cookie, so that a browser can open the dashboard."""

from __future__ import annotations

from urllib.parse import parse_qs

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from htga_server.access import tokens
from htga_server.access.login_page import login_form
from htga_server.access.middleware import COOKIE
from htga_server.api.deps import DatabaseDep

router = APIRouter(include_in_schema=False)
DAYS_30 = 30 * 24 * 3600


@router.get("/login")
async def ask() -> Response:
    """The form."""
    return login_form("", 200)


@router.post("/login")
async def keep(request: Request, db: DatabaseDep) -> Response:
    """Keep a valid token as a cookie that no script can read and no other site can send."""
    form = parse_qs((await request.body()).decode("utf-8", "replace"))
    token = form.get("token", [""])[0].strip()
    if await db.read(lambda connection: tokens.find(connection, token)) is None:
        return login_form("That token is not valid.", 401)
    answer = RedirectResponse("/", 303)
    answer.set_cookie(
        COOKIE,
        token,
        max_age=DAYS_30,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return answer
