"""Actions on the selected runs: compare, tag, group, archive, delete."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from dash import ClientsideFunction, Dash, Input, Output, State, dcc, html, no_update
from dash.development.base_component import Component

from htga_client.wire import RunPatch
from htga_dashboard.components import ids
from htga_dashboard.components.controls import field
from htga_dashboard.components.dialog import dialog, dialog_button
from htga_dashboard.http.root_path import link
from htga_dashboard.models.tags import tags_of
from htga_dashboard.source.http import SourceError
from htga_dashboard.source.source import Source

Act = Callable[[str], Awaitable[object]]
Callback = Callable[..., Awaitable[Any]]


def layout() -> Component:
    """The toolbar, visible while runs are selected, and its dialogs."""

    def text(id_: str, label: str, placeholder: str) -> Component:
        return field(
            label, dcc.Input(id=id_, type="text", placeholder=placeholder, autoComplete="off")
        )

    def button(id_: str, word: str, kind: str = "") -> Component:
        return html.Button(word, id=id_, className=f"button {kind}".strip())

    return html.Div(
        [
            dcc.Store(id=ids.RUNS_MARKED, data=[]),
            dcc.Store(id=ids.BULK_DELETED, data=[]),
            dcc.Store(id=ids.BULK_DONE),
            html.Div(
                [
                    dcc.Link(
                        "Compare", id=ids.RUNS_COMPARE, href=link("/compare"), className="button"
                    ),
                    dialog_button(ids.BULK_TAG, "Tag", className="button"),
                    dialog_button(ids.BULK_GROUP, "Put into a group", className="button"),
                    button(ids.BULK_ARCHIVE, "Archive"),
                    button(ids.BULK_DELETE, "Delete", "danger"),
                ],
                className="bulk",
                role="toolbar",
            ),
            html.Div(
                [
                    html.Span(id=ids.BULK_TOAST, role="status"),
                    html.Button("Undo", id=ids.BULK_UNDO, className="link", hidden=True),
                ],
                className="toast",
            ),
            dialog(
                ids.BULK_TAG,
                "Tag the selected runs",
                text(ids.BULK_TAGS, "Tags, with commas between them", "good, keep"),
                [button(ids.BULK_TAG_SAVE, "Add", "primary")],
            ),
            dialog(
                ids.BULK_GROUP,
                "Put the selected runs into a group",
                text(ids.BULK_GROUP_NAME, "Group; empty for none", "baseline"),
                [button(ids.BULK_GROUP_SAVE, "Put", "primary")],
            ),
        ]
    )


async def each(run_ids: Sequence[str], act: Act, done: str) -> tuple[list[str], str]:
    """Apply an action to every run, even if it fails for some.

    Args:
        run_ids: Ids of the runs.
        act: The action, a function of an id.
        done: Its participle, as in "deleted".

    Returns:
        The ids for which it succeeded, and a sentence that also gives the reasons of failures.
    """
    outcomes = await asyncio.gather(*(act(id_) for id_ in run_ids), return_exceptions=True)
    good = []
    reasons: dict[str, int] = {}
    for run_id, outcome in zip(run_ids, outcomes, strict=True):
        if isinstance(outcome, SourceError):
            reasons[str(outcome)] = reasons.get(str(outcome), 0) + 1
        elif isinstance(outcome, BaseException):
            raise outcome
        else:
            good.append(run_id)
    text = f"{len(good)} of {len(run_ids)} runs {done}." if reasons else _count(len(good), done)
    for reason, count in reasons.items():
        text += f" {count} not: {reason.rstrip('.')}."
    return good, text


def register(app: Dash, source: Source) -> None:
    """Register the callbacks of the actions, and of undoing a deletion."""

    async def tag(run_id: str, tags: tuple[str, ...]) -> None:
        run = await source.run(run_id)
        await source.edits.change(run_id, RunPatch(tags=tuple(dict.fromkeys((*run.tags, *tags)))))

    @app.callback(
        Output(ids.BULK_TOAST, "children"),
        Output(ids.BULK_UNDO, "hidden"),
        Output(ids.BULK_DELETED, "data"),
        Output(ids.BULK_DONE, "data"),
        Input(ids.BULK_DELETE, "n_clicks"),
        State(ids.RUNS_MARKED, "data"),
        prevent_initial_call=True,
    )
    async def delete(clicks: int, marked: list[str]) -> Any:
        gone, message = await each(marked, source.edits.delete, "deleted")
        return message, not gone, gone, clicks

    def simple(*inputs: Any) -> Callable[[Callback], Callback]:
        decorate: Callable[[Callback], Callback] = app.callback(
            Output(ids.BULK_TOAST, "children", allow_duplicate=True),
            Output(ids.BULK_UNDO, "hidden", allow_duplicate=True),
            Output(ids.BULK_DONE, "data", allow_duplicate=True),
            *inputs,
            prevent_initial_call=True,
        )
        return decorate

    @simple(Input(ids.BULK_UNDO, "n_clicks"), State(ids.BULK_DELETED, "data"))
    async def undo(clicks: int, gone: list[str]) -> Any:
        _, message = await each(gone, source.edits.restore, "restored")
        return message, True, clicks

    @simple(Input(ids.BULK_ARCHIVE, "n_clicks"), State(ids.RUNS_MARKED, "data"))
    async def archive(clicks: int, marked: list[str]) -> Any:
        _, message = await each(marked, source.edits.archive, "archived")
        return message, True, clicks

    @simple(
        Input(ids.BULK_TAG_SAVE, "n_clicks"),
        State(ids.BULK_TAGS, "value"),
        State(ids.RUNS_MARKED, "data"),
    )
    async def add_tags(clicks: int, text: str | None, marked: list[str]) -> Any:
        if not (tags := tags_of(text or "")):
            return no_update, no_update, clicks
        _, message = await each(marked, lambda run_id: tag(run_id, tags), "tagged")
        return message, True, clicks

    @simple(
        Input(ids.BULK_GROUP_SAVE, "n_clicks"),
        State(ids.BULK_GROUP_NAME, "value"),
        State(ids.RUNS_MARKED, "data"),
    )
    async def group(clicks: int, name: str | None, marked: list[str]) -> Any:
        patch = RunPatch(group=(name or "").strip())
        _, message = await each(
            marked, lambda run_id: source.edits.change(run_id, patch), "grouped"
        )
        return message, True, clicks

    app.clientside_callback(
        ClientsideFunction("htga", "bulkDone"),
        Input(ids.BULK_DONE, "data"),
        prevent_initial_call=True,
    )


def _count(count: int, done: str) -> str:
    return f"1 run {done}." if count == 1 else f"{count} runs {done}."
