"""A modal dialog: the browser's own, which keeps the focus inside and closes on Escape."""

from __future__ import annotations

from typing import Any

from dash import html
from dash.development.base_component import Component

from htga_dashboard.components.attributes import attributes


def dialog(id_: str, title: str, content: Any, actions: Any = ()) -> Component:
    """A dialog, closed until its `dialog_button` is pressed; `actions` come before "Close"."""
    heading = f"{id_}-title"
    return html.Dialog(
        [
            html.H2(title, id=heading),
            html.Div(content, className="dialog-content"),
            html.Footer(
                [
                    *actions,
                    html.Button("Close", className="button", **attributes(data_closes=id_)),
                ]
            ),
        ],
        id=id_,
        className="dialog",
        **attributes(aria_labelledby=heading),
    )


def dialog_button(id_: str, text: str, **more: Any) -> Component:
    """A button that opens the dialog `id_`."""
    return html.Button(text, **({"className": "link"} | more), **attributes(data_opens=id_))
