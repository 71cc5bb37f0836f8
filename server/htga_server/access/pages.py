"""The pages that a browser gets instead of a problem document."""

from __future__ import annotations

from html import escape

from starlette.responses import HTMLResponse, Response
from starlette.types import Scope

from htga_client.wire import ROOT_PATH, TOKEN_COOKIE

STYLE = """:root{color-scheme:light dark}
body{font:16px system-ui;margin:20vh auto;max-width:24em;padding:0 1em}
input,button{font:inherit;width:100%;box-sizing:border-box;padding:.5em;margin:.3em 0}"""
POLICY = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'"


def login_page(
    scope: Scope, message: str, status: int, *, next_path: str = "/", forget: bool = False
) -> Response:
    """Return the page where a person enters a token.

    Args:
        next_path: What the browser opens afterwards.
        forget: Whether the browser must no more send the token that it has.
    """
    form = f"""<form method="post" action="{escape(scope.get(ROOT_PATH, ""))}/login">
<label>A token with the scope “read”
<input name="token" type="password" autocomplete="current-password" required autofocus></label>
<input name="next" type="hidden" value="{escape(next_path)}"><button>Open</button></form>"""
    response = _page(form, message, status)
    if forget:
        response.delete_cookie(TOKEN_COOKIE, path=cookie_path(scope))
    return response


def refusal_page(detail: str, status: int) -> Response:
    """Return a page that says why a request is refused."""
    return _page("", detail, status)


def cookie_path(scope: Scope) -> str:
    """Return the path of the cookie, so that a browser sends it to no other app of the host."""
    return scope.get(ROOT_PATH) or "/"


def _page(form: str, message: str, status: int) -> Response:
    content = f"""<!DOCTYPE html>
<html lang="en"><head><title>HTGA</title><meta name="viewport" content="width=device-width">
<style>
{STYLE}
</style></head>
<body><h1>HTGA</h1>{form}<p role="status">{escape(message)}</p></body></html>"""
    headers = {"Content-Security-Policy": POLICY, "Cache-Control": "no-store"}
    return HTMLResponse(content, status, headers=headers)
