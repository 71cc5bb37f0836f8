"""The dialog that edits a run's name, group, tags and notes."""

from __future__ import annotations

from typing import Any

from dash import ClientsideFunction, Dash, Input, Output, State, dcc, html, no_update
from dash.development.base_component import Component

from htga_client.wire import Run, RunPatch
from htga_dashboard.components import ids
from htga_dashboard.components.controls import field
from htga_dashboard.components.dialog import dialog
from htga_dashboard.models.tags import tags_of
from htga_dashboard.pages.run import cards
from htga_dashboard.source.http import SourceError
from htga_dashboard.source.source import Source

FIELDS = (ids.EDIT_NAME, ids.EDIT_GROUP, ids.EDIT_TAGS, ids.EDIT_NOTES)


def layout(run: Run) -> Component:
    """The dialog, filled in with the run's present values."""

    def line(id_: str, label: str, value: str, placeholder: str = "") -> Component:
        box = dcc.Input(
            id=id_, type="text", value=value, placeholder=placeholder, autoComplete="off"
        )
        return field(label, box)

    return html.Div(
        [
            dcc.Store(id=ids.EDITED),
            dcc.Store(id=ids.EDIT_BEFORE, data=_values(run)),
            dialog(
                ids.EDIT,
                "Edit this run",
                [
                    line(ids.EDIT_NAME, "Name", run.name),
                    line(ids.EDIT_GROUP, "Group", run.group, "runs to be averaged together"),
                    line(ids.EDIT_TAGS, "Tags, with commas between them", ", ".join(run.tags)),
                    field("Notes", dcc.Textarea(id=ids.EDIT_NOTES, value=run.notes, rows=6)),
                    html.P(id=ids.EDIT_ERROR, className="error", role="alert"),
                ],
                [html.Button("Save", id=ids.EDIT_SAVE, className="button primary")],
            ),
        ]
    )


def patch(before: list[str], now: list[str | None]) -> RunPatch | None:
    """The change from `before` to `now`, or None; both are name, group, tags and notes."""
    name, group, tags, notes = (
        None if old == (new or "") else (new or "") for old, new in zip(before, now, strict=True)
    )
    if name is group is tags is notes is None:
        return None
    return RunPatch(
        name=name, group=group, tags=None if tags is None else tags_of(tags), notes=notes
    )


def register(app: Dash, source: Source) -> None:
    """Register the callbacks: save and close the dialog, or show why saving failed."""

    @app.callback(
        Output(ids.RUN_HEADING, "children", allow_duplicate=True),
        Output(ids.RUN_NOTES, "children"),
        Output(ids.EDIT_BEFORE, "data"),
        Output(ids.EDIT_ERROR, "children"),
        Output(ids.EDITED, "data"),
        Input(ids.EDIT_SAVE, "n_clicks"),
        *(State(id_, "value") for id_ in FIELDS),
        State(ids.EDIT_BEFORE, "data"),
        State(ids.RUN, "data"),
        running=[(Output(ids.EDIT_SAVE, "disabled"), True, False)],
        prevent_initial_call=True,
    )
    async def save(clicks: int, *values: Any) -> Any:
        *now, before, run_id = values
        wanted = patch(before, now)
        if wanted is None:
            return [no_update] * 3 + ["", clicks]
        try:
            run = await source.edits.change(run_id, wanted)
        except SourceError as error:
            return [no_update] * 3 + [f"Not saved. {error}", no_update]
        return cards.heading(run), cards.notes(run), _values(run), "", clicks

    app.clientside_callback(
        ClientsideFunction("htga", "edited"),
        Input(ids.EDITED, "data"),
        prevent_initial_call=True,
    )


def _values(run: Run) -> list[str]:
    return [run.name, run.group, ", ".join(run.tags), run.notes]
