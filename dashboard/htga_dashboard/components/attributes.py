"""HTML attributes with a hyphen, which Dash's components take only as **kwargs."""

from __future__ import annotations

from typing import Any


def attributes(**values: str) -> dict[str, Any]:
    """Keyword arguments of a component: `**attributes(data_run="x")` sets `data-run="x"`."""
    return {name.replace("_", "-"): value for name, value in values.items()}
