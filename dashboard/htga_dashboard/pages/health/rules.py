"""Alert rules on the page of health: list, form, dry run on past runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dash import ALL, Dash, Input, Output, State, ctx, dcc, html, no_update
from dash.development.base_component import Component

from htga_client.wire import Firings, Rule
from htga_dashboard.components import ids
from htga_dashboard.http.root_path import link
from htga_dashboard.pages.health.rule_form import FORM, NEW, condition, form, rule_of, values
from htga_dashboard.source.http import SourceError
from htga_dashboard.source.source import Source

AROUND = 50
"""Number of steps before and after a firing that its link shows."""

SHOWN = 50
"""Maximum number of firings listed; all are counted."""


def layout(rules: Sequence[Rule], projects: Sequence[str], keys: Sequence[str]) -> Component:
    """The list of rules beside the form."""
    return html.Div(
        [
            dcc.Store(id=ids.RULES_BEAT, data=0),
            dcc.Store(id=ids.RULE),
            html.Article(
                [
                    html.Header(
                        [html.H2("Alert rules"), html.Span("an alert is an event of its run")]
                    ),
                    html.Div(listing(rules), id=ids.RULES),
                ],
                className="card",
            ),
            form(projects, keys),
        ],
        className="rules",
    )


def listing(rules: Sequence[Rule]) -> Component:
    """An entry for each rule, or an explanation of rules."""
    if not rules:
        return html.P(
            "No rule yet. A rule watches a value while runs train, and writes an alert into the "
            "run when it holds: a tail that grows heavy, a norm that bursts.",
            className="hint none",
        )
    return html.Ul(
        [
            html.Li(
                [
                    html.Span(rule.level, className=f"level {rule.level}"),
                    html.Div(
                        [
                            html.B(rule.name),
                            html.Small(f"{rule.project}: {condition(rule)}"),
                            html.Small("not watched") if not rule.enabled else None,
                        ]
                    ),
                    html.Button("Edit", id=ids.rule_edit(rule.id), className="link"),
                    html.Button("Delete", id=ids.rule_delete(rule.id), className="link"),
                ]
            )
            for rule in rules
        ],
        className="rule-list",
    )


def firings(found: Firings) -> list[Component]:
    """Where a rule would have fired, each with a link."""
    count, runs = len(found.items), len({fired.run_id for fired in found.items})
    more = " so far; older runs were not checked" if found.next else ""
    untried = [html.P(f"Not tried: {fault}.") for fault in found.damaged]
    if not count:
        return [html.P(f"It would never have fired{more}."), *untried]
    times = "once" if count == 1 else f"{count:,} times"
    of = "1 run" if runs == 1 else f"{runs:,} runs"
    return [
        html.P(f"It would have fired {times} in {of}{more}."),
        html.Ul(
            [
                html.Li(
                    [
                        dcc.Link(
                            f"{fired.run_name}, step {fired.step:,}",
                            href=link(
                                f"/run/{fired.run_id}?steps="
                                f"{max(fired.step - AROUND, 0)}-{fired.step + AROUND}"
                            ),
                        ),
                        html.Small(fired.text),
                    ]
                )
                for fired in found.items[:SHOWN]
            ]
        ),
        *untried,
    ]


def register(app: Dash, source: Source) -> None:
    """Register the callbacks: edit, save, try and delete rules."""
    _register_list(app, source)
    _register_form(app, source)


def _register_list(app: Dash, source: Source) -> None:
    @app.callback(
        Output(ids.RULES, "children"),
        Input(ids.RULES_BEAT, "data"),
        prevent_initial_call=True,
    )
    async def show(_beat: int) -> Any:
        try:
            return listing(await source.rules.all())
        except SourceError as error:
            return html.P(str(error), className="error")

    @app.callback(
        *(Output(id_, "value") for id_ in FORM),
        Output(ids.RULE, "data"),
        Output(ids.RULE_TITLE, "children"),
        Output(ids.RULE_MESSAGE, "children"),
        Output(ids.RULE_FIRINGS, "children"),
        Output(ids.RULES_BEAT, "data"),
        Input({"type": ids.RULE_EDIT, "name": ALL}, "n_clicks"),
        Input({"type": ids.RULE_DELETE, "name": ALL}, "n_clicks"),
        State(ids.RULES_BEAT, "data"),
        prevent_initial_call=True,
    )
    async def take(edits: list[int | None], deletes: list[int | None], beat: int) -> Any:
        same = [no_update] * (len(FORM) + 5)
        if not any((*edits, *deletes)) or not isinstance(ctx.triggered_id, dict):
            return same
        rule_id = ctx.triggered_id["name"]
        deleted = ctx.triggered_id["type"] == ids.RULE_DELETE
        try:
            rule = next((one for one in await source.rules.all() if one.id == rule_id), None)
            if rule is not None and deleted:
                await source.rules.delete(rule_id)
        except SourceError as error:
            return [*same[:-3], str(error), no_update, no_update]
        if rule is None:
            return [*same[:-1], beat + 1]
        fields = values(rule)
        if deleted:
            message = "Deleted. It still stands in the form: Save makes it again."
            return [*fields, None, NEW, message, [], beat + 1]
        return [*fields, rule.id, f"Rule {rule.name}", "", [], no_update]


def _register_form(app: Dash, source: Source) -> None:
    @app.callback(
        Output(ids.RULE, "data", allow_duplicate=True),
        Output(ids.RULE_TITLE, "children", allow_duplicate=True),
        Output(ids.RULE_MESSAGE, "children", allow_duplicate=True),
        Output(ids.RULES_BEAT, "data", allow_duplicate=True),
        Input(ids.RULE_SAVE, "n_clicks"),
        State(ids.RULE, "data"),
        State(ids.RULES_BEAT, "data"),
        *(State(id_, "value") for id_ in FORM),
        prevent_initial_call=True,
    )
    async def save(_clicks: int, rule_id: str | None, beat: int, *fields: Any) -> Any:
        try:
            rule = await source.rules.save(rule_of(fields), rule_id)
        except (ValueError, SourceError) as error:
            return no_update, no_update, f"Not saved. {error}", no_update
        return rule.id, f"Rule {rule.name}", "Saved.", beat + 1

    @app.callback(
        Output(ids.RULE_FIRINGS, "children", allow_duplicate=True),
        Output(ids.RULE_MESSAGE, "children", allow_duplicate=True),
        Input(ids.RULE_TRY, "n_clicks"),
        *(State(id_, "value") for id_ in FORM),
        running=[(Output(ids.RULE_TRY, "disabled"), True, False)],
        prevent_initial_call=True,
    )
    async def try_out(_clicks: int, *fields: Any) -> Any:
        try:
            return firings(await source.rules.firings(rule_of(fields))), ""
        except (ValueError, SourceError) as error:
            return [], f"Not tried. {error}"

    @app.callback(
        Output(ids.RULE, "data", allow_duplicate=True),
        Output(ids.RULE_TITLE, "children", allow_duplicate=True),
        Output(ids.RULE_MESSAGE, "children", allow_duplicate=True),
        Input(ids.RULE_NEW, "n_clicks"),
        prevent_initial_call=True,
    )
    async def begin(_clicks: int) -> Any:
        return None, NEW, ""
