"""Labelled form controls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dash import dcc, html
from dash.development.base_component import Component

from htga_dashboard.components.attributes import attributes


def field(label: str, control: Component, *, wide: bool = False) -> Component:
    """A control with its label."""
    return html.Label(
        [html.Span(label), control],
        className="field wide" if wide else "field",
        **attributes(data_label=label),
    )


def multi_dropdown(id_: str, options: Any, value: Sequence[str], placeholder: str) -> Component:
    """A dropdown for any number of values."""
    return dcc.Dropdown(
        id=id_, options=options, value=list(value), multi=True, placeholder=placeholder
    )


def dropdown(id_: str, options: Any, value: str) -> Component:
    """A dropdown for one value."""
    return dcc.Dropdown(id=id_, options=options, value=value, clearable=False)


def options(known: Sequence[str], chosen: Sequence[str]) -> list[str]:
    """The known options and the chosen values: a dropdown drops values that are no option."""
    return [*known, *(name for name in chosen if name and name not in known)]
