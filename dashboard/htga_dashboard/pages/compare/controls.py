"""The controls of a comparison: runs, keys, grouping, band, axes and smoothing."""

from __future__ import annotations

from collections.abc import Sequence

from dash import dcc, html
from dash.development.base_component import Component

from htga_client.wire import Run
from htga_dashboard.components import ids
from htga_dashboard.components.controls import dropdown, field, multi_dropdown, options
from htga_dashboard.models.comparison import MAX_SMOOTHING, Comparison
from htga_dashboard.models.config import GROUP
from htga_dashboard.models.differences import differing, keys_of

AXES = {"step": "step", "relative": "relative time", "time": "time of day"}
SCALES = ["linear", "log"]
BANDS = {"sd": "± sd", "t95": "95 % of the mean", "range": "min to max", "none": "no band"}


def groupings(runs: Sequence[Run]) -> list[str]:
    """The settings by which the runs can be grouped, and their group if it differs."""
    names = [row.name for row in differing(runs)]
    return names if len({run.group for run in runs}) < 2 else [GROUP, *names]


def layout(how: Comparison, choice: Sequence[Run], runs: Sequence[Run]) -> Component:
    """The controls, with the values of `how`."""
    named = [{"label": f"{run.name or run.id} · {run.project}", "value": run.id} for run in choice]
    smoothing = dcc.Slider(
        id=ids.COMPARE_SMOOTHING,
        min=0,
        max=MAX_SMOOTHING,
        step=0.01,
        value=how.smoothing,
        marks=None,
        updatemode="mouseup",
        allow_direct_input=False,
    )
    chosen = [run.id for run in runs]
    return html.Div(
        [
            field(
                "Runs", multi_dropdown(ids.COMPARE_RUNS, named, chosen, "Choose runs"), wide=True
            ),
            field(
                "Charts",
                multi_dropdown(
                    ids.COMPARE_KEYS,
                    options(keys_of(runs), how.keys),
                    how.keys,
                    "Tail, norm and metrics",
                ),
                wide=True,
            ),
            field(
                "One line for each",
                multi_dropdown(
                    ids.COMPARE_GROUP, options(groupings(runs), how.group), how.group, "run"
                ),
            ),
            field("Band of a group", dropdown(ids.COMPARE_BAND, BANDS, how.band)),
            field("Along", dropdown(ids.COMPARE_X, AXES, how.x)),
            field("Scale", dropdown(ids.COMPARE_SCALE, SCALES, SCALES[how.log])),
            field("Smoothing", smoothing),
        ],
        className="controls",
    )
