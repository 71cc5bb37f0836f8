"""HTML attributes with a hyphen, which the signatures of Dash's components do not know."""

from __future__ import annotations

from typing import Any


def attributes(**values: str) -> dict[str, Any]:
    """`attributes(data_run="x")` as keyword arguments gives an element `data-run="x"`."""
    return {name.replace("_", "-"): value for name, value in values.items()}
