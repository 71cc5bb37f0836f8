"""Labelled controls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dash import dcc, html
from dash.development.base_component import Component

from htga_dashboard.components.attributes import attributes


def field(label: str, control: Component, *, wide: bool = False) -> Component:
    """A control and its name."""
    return html.Label(
        [html.Span(label), control],
        className="field wide" if wide else "field",
        **attributes(data_label=label),
    )


def several(id_: str, options: Any, value: Sequence[str], placeholder: str) -> Component:
    """A choice of any number of options."""
    return dcc.Dropdown(
        id=id_, options=options, value=list(value), multi=True, placeholder=placeholder
    )


def one(id_: str, options: Any, value: str) -> Component:
    """A choice of one."""
    return dcc.Dropdown(id=id_, options=options, value=value, clearable=False)


def offered(options: Sequence[str], chosen: Sequence[str]) -> list[str]:
    """What can be chosen, with what already is: a dropdown forgets what it does not offer."""
    return [*options, *(name for name in chosen if name and name not in options)]
