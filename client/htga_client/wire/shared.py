"""Constants of several resources."""

from __future__ import annotations

from typing import Any

PREFIX = "/api/v1"
"""Path under which version 1 of the HTTP API lives."""

ROOT_PATH = "htga.root_path"
"""Key of an ASGI scope: the path below which a proxy serves the app, such as "/htga", or ""."""

TOKEN_COOKIE = "htga_token"  # noqa: S105  (a name)
"""The cookie that holds the token of a browser."""

JSON_FLOATS: dict[str, Any] = {"ser_json_inf_nan": "strings"}
