"""The page where a person enters a token."""

from __future__ import annotations

from starlette.responses import HTMLResponse, Response

PAGE = """<!DOCTYPE html>
<html lang="en"><head><title>HTGA</title><meta name="viewport" content="width=device-width">
<style>
:root{color-scheme:light dark}
body{font:16px system-ui;margin:20vh auto;max-width:24em;padding:0 1em}
input,button{font:inherit;width:100%;box-sizing:border-box;padding:.5em;margin:.3em 0}
</style></head>
<body><h1>HTGA</h1><form method="post" action="/login"><label>A token with the scope “read”
<input name="token" type="password" autocomplete="current-password" required autofocus></label>
<button>Open</button></form><p>MESSAGE</p></body></html>"""
PAGE_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'"
)


def login_page(message: str, status: int) -> Response:
    """Return the page where a person enters a token."""
    headers = {"Content-Security-Policy": PAGE_POLICY, "Cache-Control": "no-store"}
    return HTMLResponse(PAGE.replace("MESSAGE", message), status, headers=headers)
