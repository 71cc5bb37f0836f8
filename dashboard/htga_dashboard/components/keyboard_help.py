"""The help dialog: keyboard shortcuts and the language of a search."""

from __future__ import annotations

from dash import html
from dash.development.base_component import Component

from htga_dashboard.components import ids
from htga_dashboard.components.dialog import dialog

KEYS = {
    "Everywhere": {
        "?": "this help",
        "/": "the first field to type into",
        "g and r c e q h": "to Runs, Compare, Experiments, Query, Health",
        "Esc": "leaves a field, closes what is open",
    },
    "Table of runs": {
        "j, k": "to the next and the previous run",
        "x": "selects it",
        "Enter": "opens it",
        "c": "compares the selected runs",
    },
    "One run": {
        "[ and ]": "the tail one step back or forth",
        "e": "edits its name, group, tags and notes",
    },
}

SEARCH = {
    "maple": "text anywhere in a run",
    "state:running": "part of a value or a setting",
    "lr=0.1": "the whole value; also !=",
    "lr<0.01": "a number; also >, <=, >=",
    "-tag:old": "the term does not hold",
}


def layout() -> Component:
    """The help dialog."""
    return dialog(
        ids.HELP,
        "Help",
        [
            *(part for title, rows in KEYS.items() for part in _table(title, rows)),
            *_table("Search for runs", SEARCH),
        ],
    )


def _table(title: str, rows: dict[str, str]) -> list[Component]:
    return [
        html.H3(title),
        html.Dl(
            [html.Div([html.Dt(html.Kbd(key)), html.Dd(what)]) for key, what in rows.items()],
            className="keys",
        ),
    ]
