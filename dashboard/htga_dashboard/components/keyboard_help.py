"""What can be done by key, and what can be searched for."""

from __future__ import annotations

from dash import html
from dash.development.base_component import Component

from htga_dashboard.components import ids
from htga_dashboard.components.dialog import dialog

KEYS = {
    "Everywhere": {
        "?": "this help",
        "/": "the first thing to type into",
        "g and r c e q h": "to Runs, Compare, Experiments, Query, Health",
        "Esc": "leaves a field, closes what is open",
    },
    "Table of runs": {
        "j, k": "to the next and the previous run",
        "x": "marks it",
        "Enter": "opens it",
        "c": "compares the runs that are marked",
    },
    "One run": {
        "[ and ]": "the moment a step back and forth",
        "e": "edits its name, group, tags and notes",
    },
}

SEARCH = {
    "maple": "anywhere in a run",
    "state:running": "part of a value or a setting",
    "lr=0.1": "the whole of it",
    "lr<0.01": "a number; also >, <=, >=",
    "-tag:old": "not",
}


def layout() -> Component:
    """The dialog."""
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
