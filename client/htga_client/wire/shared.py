"""Constants of several resources."""

from __future__ import annotations

from typing import Any

PREFIX = "/api/v1"
"""Path under which version 1 of the HTTP API lives."""

JSON_FLOATS: dict[str, Any] = {"ser_json_inf_nan": "strings"}
