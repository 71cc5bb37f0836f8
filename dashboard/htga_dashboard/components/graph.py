"""Places for figures, and the stores that carry figures to them.

A callback writes its figures, by name, into a store. The browser draws those in view one at a time,
and the others when it is idle (`assets/graphs.js`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson
from dash import dcc, html
from dash.development.base_component import Component

from htga_dashboard.components import ids
from htga_dashboard.components.attributes import attributes
from htga_dashboard.figures.layout import Figure


def place(name: str, *, steps: bool = False, clicks: str = "") -> Component:
    """The element in which the figure called `name` is drawn.

    Args:
        name: Name of the graph, unique on its page.
        steps: Whether its x axis is steps: zooming it then sets the steps of the page, and a click
            chooses the step of the tail snapshot.
        clicks: Id of a store that receives the positions of clicks.
    """
    data = {"data_along": "steps"} if steps else {}
    data |= {"data_clicks": clicks} if clicks else {}
    return html.Div(id=ids.chart(name), className="graph", **attributes(**data))


def store(name: str, data: dict[str, Any] | None = None) -> Component:
    """The store into which the callback called `name` writes its figures.

    Args:
        name: Name of the callback.
        data: Figures that come with the page, from `to_payload`.
    """
    return dcc.Store(id=ids.figures(name), data=data)


def to_payload(figures: Mapping[str, Figure], beat: int = 0) -> dict[str, Any]:
    """Content of a store: the figures, by the names of their places, as one JSON text.

    Encoding them here is much faster than Dash's own encoder.

    Args:
        figures: The figures.
        beat: A number that differs from the last one, for the browser to notice every answer.
    """
    pairs = ",".join(f"{orjson.dumps(name).decode()}:{to_json(f)}" for name, f in figures.items())
    return {"figures": f"{{{pairs}}}", "beat": beat}


def to_json(figure: Figure) -> str:
    """A figure as JSON."""
    short = {**figure, "data": [_short(trace) for trace in figure["data"]]}
    return orjson.dumps(short, option=orjson.OPT_SERIALIZE_NUMPY).decode()


def _short(trace: dict[str, Any]) -> dict[str, Any]:
    """The trace with its values in single precision, which halves their digits."""
    if trace["type"] != "scatter":
        return trace
    y = np.array(trace["y"], np.float64)
    fits = bool((np.abs(y[np.isfinite(y)]) < np.finfo(np.float32).max).all())
    return {**trace, "y": y.astype(np.float32)} if fits else trace
