"""The table of runs: its columns, and a run as a row."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import dash_ag_grid as dag
from dash.development.base_component import Component

from htga_client.wire import Run
from htga_client.wire.flat_config import flat
from htga_client.wire.json_codec import json_number
from htga_dashboard.components import ids

MAX_SETTINGS, MAX_TEXT = 60, 200
"""Maximum number of settings of a row and of characters of each; the run's page has all."""

NUMBER = {
    "type": "rightAligned",
    "valueFormatter": {"function": "htgaNumber(params)"},
    "comparator": {"function": "htgaCompare"},
    "minWidth": 112,
    "flex": 1,
}
MAY_BE_EMPTY = {"gamma", "loss", "group", "tags"}
"""Columns that are hidden while no run has a value there; `assets/runs.js` does so later on."""

COLUMNS: list[dict[str, Any]] = [
    {
        "field": "name",
        "cellRenderer": "HtgaRunLink",
        "minWidth": 96,
        "flex": 3,
        "colSpan": {"function": "htgaSpan(params)"},
    },
    {"field": "project", "minWidth": 70, "flex": 1},
    {"field": "state", "cellRenderer": "HtgaState", "minWidth": 96, "flex": 1},
    {
        "field": "step",
        **NUMBER,
        "minWidth": 72,
        "valueFormatter": {"function": "htgaStep(params.value)"},
    },
    {"field": "alpha_bar", **NUMBER, "minWidth": 88, "flex": 2},
    {
        "colId": "trend",
        "headerName": "trend",
        "headerTooltip": "alpha_bar from the first step to the latest",
        "cellRenderer": "HtgaSparkline",
        "sortable": False,
        "width": 124,
    },
    {"field": "gamma", **NUMBER},
    {"field": "grad_norm", **NUMBER},
    {"field": "loss", **NUMBER},
    {"field": "group", "minWidth": 70, "flex": 1},
    {"field": "tags", "tooltipField": "tags", "minWidth": 90, "flex": 2},
    {
        "field": "started",
        "sort": "desc",
        "sortingOrder": ["desc", "asc"],
        "valueFormatter": {"function": "htgaAgo(params.value)"},
        "tooltipValueGetter": {"function": "htgaDate(params.value)"},
        "width": 116,
    },
]


def grid(runs: Sequence[Run]) -> Component:
    """The table with a row for each of `runs`."""
    rows = [row(run) for run in runs]
    # A column is named by its field unless it has another name.
    columns = [
        {"headerName": field, **column, "hide": field in MAY_BE_EMPTY and _is_empty(rows, field)}
        for column in COLUMNS
        for field in [column.get("field")]
    ]
    table: Component = dag.AgGrid(
        id=ids.RUNS_GRID,
        rowData=rows,
        columnDefs=columns,
        defaultColDef={"sortable": True, "resizable": True, "suppressHeaderMenuButton": True},
        getRowId="params.data.id",
        dashGridOptions={
            "rowHeight": 44,
            "rowBuffer": 3,  # rows beyond those in view; each requests the trend of its run
            "headerHeight": 40,
            "suppressCellFocus": True,
            "tooltipShowDelay": 300,
            "animateRows": False,
            "autoSizePadding": 4,
            "rowSelection": {
                "mode": "multiRow",
                "enableClickSelection": False,
                "isRowSelectable": {"function": "!params.data.members"},
                "hideDisabledCheckboxes": True,
                "selectAll": "filtered",
            },
            "isExternalFilterPresent": {"function": "htgaFilters()"},
            "doesExternalFilterPass": {"function": "htgaIsShown(params)"},
            "postSortRows": {"function": "htgaUnderGroups(params)"},
            "localeText": {"noRowsToShow": "No run matches the search"},
        },
        className="grid",
        style={"height": "var(--grid-height)"},
    )
    return table


def _is_empty(rows: Sequence[dict[str, Any]], field: str) -> bool:
    return all(row[field] in {None, ""} for row in rows)


def row(run: Run) -> dict[str, Any]:
    """`run` as a row; numbers stay numbers, so that they sort."""
    values = {
        key: _jsonable(run.summary.get(key)) for key in ("alpha_bar", "gamma", "grad_norm", "loss")
    }
    return {
        "id": run.id,
        "name": run.name,
        "project": run.project,
        "state": run.state,
        "step": run.last_step,
        **values,
        "group": run.group,
        "tags": ", ".join(run.tags),
        "started": run.created,
        "config": {
            name: text[:MAX_TEXT]
            for name, text in itertools.islice(flat(run.config).items(), MAX_SETTINGS)
        },
    }


def _jsonable(value: float | None) -> float | str | None:
    return None if value is None else json_number(value)
