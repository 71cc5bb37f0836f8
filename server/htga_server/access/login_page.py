"""The page on which a person says their token."""

from __future__ import annotations

from starlette.responses import HTMLResponse, Response

FORM = """<!DOCTYPE html>
<html lang="en"><head><title>HTGA</title><meta name="viewport" content="width=device-width">
<style>
:root{color-scheme:light dark}
body{font:16px system-ui;margin:20vh auto;max-width:24em;padding:0 1em}
input,button{font:inherit;width:100%;box-sizing:border-box;padding:.5em;margin:.3em 0}
</style></head>
<body><h1>HTGA</h1><form method="post" action="/login"><label>A token with the scope “read”
<input name="token" type="password" autocomplete="current-password" required autofocus></label>
<button>Open</button></form><p>MESSAGE</p></body></html>"""
FORM_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'"
)


def login_form(message: str, status: int) -> Response:
    """The page on which a person says their token."""
    headers = {"Content-Security-Policy": FORM_POLICY, "Cache-Control": "no-store"}
    return HTMLResponse(FORM.replace("MESSAGE", message), status, headers=headers)
