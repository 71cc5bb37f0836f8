"""Places for figures, and how figures come into them.

A callback hands its figures over by name, in a store. The browser draws those whose places are in
sight, one after another, and the others when it has nothing else to do (`assets/graphs.js`).
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
    """Where the figure called `name` is drawn.

    Args:
        name: Tells the graphs of a page apart.
        steps: Whether it goes along steps: to zoom it is to choose the steps of the page, and to
            click it is to choose a moment.
        clicks: Id of a store that is told where it was clicked.
    """
    said = {"data_along": "steps"} if steps else {}
    said |= {"data_clicks": clicks} if clicks else {}
    return html.Div(id=ids.chart(name), className="graph", **attributes(**said))


def store(name: str, data: dict[str, Any] | None = None) -> Component:
    """Where the callback called `name` puts its figures; those that come with the page are there.

    Args:
        name: Of the callback.
        data: What is in it at first, from `handed`.
    """
    return dcc.Store(id=ids.figures(name), data=data)


def handed(drawn: Mapping[str, Figure], beat: int = 0) -> dict[str, Any]:
    """What goes into the store: figures by the names of their places.

    They are JSON already, which Dash's own encoder would take long to write.

    Args:
        drawn: The figures.
        beat: Another number than the last time, where the browser is to see every answer.
    """
    said = ",".join(f"{orjson.dumps(name).decode()}:{written(f)}" for name, f in drawn.items())
    return {"figures": f"{{{said}}}", "beat": beat}


def written(figure: Figure) -> str:
    """A figure as JSON."""
    short = {**figure, "data": [_short(trace) for trace in figure["data"]]}
    return orjson.dumps(short, option=orjson.OPT_SERIALIZE_NUMPY).decode()


def _short(trace: dict[str, Any]) -> dict[str, Any]:
    """The trace with its values in single precision, which takes half as many digits to write."""
    if trace["type"] != "scatter":
        return trace
    y = np.array(trace["y"], np.float64)
    fits = bool((np.abs(y[np.isfinite(y)]) < np.finfo(np.float32).max).all())
    return {**trace, "y": y.astype(np.float32)} if fits else trace
