"""A chart as data, drawn by matplotlib as PNG and by plotly as HTML."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

COLOURS = ("#2a6fdb", "#d9822b", "#2e8b57", "#b03a6b", "#6b5bd2", "#777777")


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One line of a chart, or a set of marks.

    Attributes:
        name: Name in the legend.
        x, y: Values.
        error: Standard errors of y, or none.
        style: Marks are measured, lines are theory, dots are theory that fails.
        colour: Index into the palette.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    error: Sequence[float] = ()
    style: Literal["marks", "line", "dots"] = "marks"
    colour: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """Curves over one pair of axes.

    Attributes:
        name: Name of the files, without ending.
        log: Which axes are logarithmic: "", "x", "y" or "xy".
        y_range: Visible range of the y axis; all of it if left out.
    """

    name: str
    title: str
    x_label: str
    y_label: str
    curves: Sequence[Curve]
    log: str = ""
    y_range: tuple[float, float] | None = None


def write_png(chart: Chart, folder: Path) -> Path:
    """Draw a chart as a small PNG; needs matplotlib, and no display."""
    from matplotlib.figure import Figure  # noqa: PLC0415 (the experiments run without it)

    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.subplots()
    lines = {"marks": "", "line": "-", "dots": ":"}
    for curve in chart.curves:
        axes.errorbar(
            curve.x,
            curve.y,
            yerr=curve.error or None,
            label=curve.name,
            color=COLOURS[curve.colour % len(COLOURS)],
            linestyle=lines[curve.style],
            marker="o" if curve.style == "marks" else "",
            markersize=5,
            capsize=3,
        )
    axes.set_xscale("log" if "x" in chart.log else "linear")
    axes.set_yscale("log" if "y" in chart.log else "linear")
    if chart.y_range:
        axes.set_ylim(*chart.y_range)
    axes.set(title=chart.title, xlabel=chart.x_label, ylabel=chart.y_label)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    axes.legend(frameon=False, fontsize="small")
    path = folder / f"{chart.name}.png"
    # Without the program's version the file depends only on the numbers.
    figure.savefig(path, dpi=110, metadata={"Software": None})
    return path


def write_html(chart: Chart, folder: Path) -> Path:
    """Draw a chart as a page that can be zoomed; needs plotly.

    All pages of a folder share one copy of plotly.js in it, and request nothing else.
    """
    import plotly.graph_objects as go  # noqa: PLC0415 (the experiments run without it)

    figure = go.Figure()
    dashes = {"marks": None, "line": "solid", "dots": "dot"}
    for curve in chart.curves:
        figure.add_scatter(
            name=curve.name,
            x=list(curve.x),
            y=list(curve.y),
            error_y={"array": list(curve.error)} if curve.error else None,
            mode="markers" if curve.style == "marks" else "lines",
            line={"dash": dashes[curve.style]},
            marker={"color": COLOURS[curve.colour % len(COLOURS)], "size": 8},
            line_color=COLOURS[curve.colour % len(COLOURS)],
        )
    figure.update_layout(title=chart.title, template="plotly_white")
    figure.update_xaxes(title=chart.x_label, type="log" if "x" in chart.log else "linear")
    figure.update_yaxes(
        title=chart.y_label,
        type="log" if "y" in chart.log else "linear",
        exponentformat="power",
    )
    if chart.y_range:
        low, high = chart.y_range
        figure.update_yaxes(range=[_axis(low, chart), _axis(high, chart)])
    path = folder / f"{chart.name}.html"
    figure.write_html(path, include_plotlyjs="directory", config={"displaylogo": False})
    return path


def _axis(value: float, chart: Chart) -> float:
    """A value in plotly's coordinates: those of a logarithmic axis are exponents."""
    return math.log10(value) if "y" in chart.log else value
