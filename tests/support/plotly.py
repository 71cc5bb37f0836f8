"""Figures as plotly's own classes hold them, which refuse what plotly does not know."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import plotly.graph_objects as go


def checked(draw: Callable[..., dict[str, Any]]) -> Callable[..., go.Figure]:
    """`draw`, whose figures are taken by plotly."""

    def drawn(*values: Any, **how: Any) -> go.Figure:
        return go.Figure(draw(*values, **how))

    return drawn
