"""Every route of an app."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def routes(app: Any) -> Iterator[Any]:
    """Every route, those of included routers and mounts among them."""
    for route in app.routes:
        inner = getattr(route, "original_router", None) or getattr(route, "app", None)
        if hasattr(route, "path"):
            yield route
        if inner is not None and hasattr(inner, "routes"):
            yield from routes(inner)
