"""The pieces of a run's page: arguments in, components out.

Names, tags and notes come from whoever sends telemetry. They go into the page as text nodes only,
and never into a figure, whose labels would be read as markup.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from dash import dcc, html
from dash.development.base_component import Component

from htga_client.wire import Run, RunEvent
from htga_client.wire.flat_config import flat
from htga_dashboard.components import ids
from htga_dashboard.components.cards import state, time_ago
from htga_dashboard.components.dialog import opener
from htga_dashboard.models.number_format import significant, step
from htga_dashboard.models.step_range import Steps

METRICS_READ = 3
"""User metrics among the readings at the top; all of them have a chart."""


def waiting() -> Component:
    """In place of the charts, before the first step."""
    return html.Div(
        [
            html.H2("Waiting for the first step"),
            html.P("The run is registered. Its charts appear here with its first row."),
        ],
        className="empty",
    )


def left_out(count: int) -> Component:
    """After the charts, when there are more metrics than a page can hold."""
    return html.P(f"{count:,} more metrics have no chart here.", className="left-out")


def heading(run: Run) -> list[Component]:
    """Name, state and dates."""
    facts: list[Component] = [html.Span(["started ", time_ago(run.created)])]
    if run.finished:
        facts.append(html.Span(["ended ", time_ago(run.finished)]))
    elif run.updated:
        facts.append(html.Span(["last step ", time_ago(run.updated)]))
    if run.attempt > 1:
        facts.append(html.Span(f"attempt {run.attempt}"))
    if run.group:
        facts.append(html.Span(["group ", html.B(run.group)]))
    return [
        html.P(
            [dcc.Link("Runs", href="/"), html.Span("/"), html.Span(run.project)], className="crumbs"
        ),
        html.Div([html.H1(run.name or run.id), state(run.state)], className="name"),
        html.P(
            [
                *facts,
                *(html.Span(tag, className="tag") for tag in run.tags),
                opener(ids.EDIT, "Edit"),
            ],
            className="facts",
        ),
    ]


def readings(run: Run) -> list[Component]:
    """The latest values, each with its name and, where there is something to say, a remark."""
    rows = [("step", step(run.last_step), "")]
    rows += [
        (
            name,
            significant(run.summary[key]),
            remark(run.summary[key]) if key == "alpha_bar" else "",
        )
        for key, name in (
            ("alpha_bar", "tail index, alpha_bar"),
            ("gamma", "gamma"),
            ("beta", "beta"),
            ("grad_norm", "gradient norm"),
        )
        if key in run.summary
    ]
    rows += [
        (name, significant(run.summary[name]), "")
        for name in run.metrics[:METRICS_READ]
        if name in run.summary
    ]
    return [
        html.Div([html.Dt(name, title=name), html.Dd([value, html.Small(remark)])])
        for name, value, remark in rows
    ]


def remark(alpha: float) -> str:
    """Where a tail index lies: below 1 a power law has no mean, below 2 no variance.

    It says no more than that. A finite index is no evidence of a power law.
    """
    if math.isnan(alpha):
        return ""
    for bound in (1, 2):
        if alpha <= bound:
            return f"heavier than \N{GREEK SMALL LETTER ALPHA} = {bound}"
    return "lighter than \N{GREEK SMALL LETTER ALPHA} = 2"


def stretch(steps: Steps, caption: str) -> Component:
    """Which steps the charts show: two numbers to type, and a word on how they are drawn."""

    def end(id_: str, value: int | None, placeholder: str, label: str) -> Component:
        return html.Label(
            [
                html.Span(label),
                dcc.Input(
                    id=id_,
                    type="text",
                    inputMode="numeric",
                    pattern="[0-9]*",
                    value="" if value is None else str(value),
                    placeholder=placeholder,
                    debounce=True,
                    autoComplete="off",
                ),
            ]
        )

    return html.Div(
        [
            end(ids.RUN_FIRST, steps.first, "first", "Steps"),
            end(ids.RUN_LAST, steps.last, "last", "to"),
            html.Button("All steps", id=ids.RUN_ALL, className="button"),
            html.Span(caption, id=ids.RUN_CAPTION),
            html.Button("Report", id=ids.RUN_REPORT, className="button report"),
            dcc.Download(id=ids.RUN_FILE),
        ],
        className="stretch",
    )


def events(happened: Sequence[RunEvent]) -> list[Component]:
    """A card with what happened, the latest first; nothing where nothing did."""
    if not happened:
        return []
    rows = [
        html.Li(
            [
                html.Span(event.level, className=f"level {event.level}"),
                html.Span(f"step {event.step:,}"),
                html.B(event.title or event.kind),
                html.Span(event.text),
                html.Small(time_ago(event.time)),
            ]
        )
        for event in reversed(happened)
    ]
    return [
        html.Article(
            [
                html.Header([html.H2("Events"), html.Span(f"{len(happened):,}")]),
                html.Ul(rows, className="events", tabIndex=0),
            ],
            className="card",
        )
    ]


def notes(run: Run) -> list[Component]:
    """A card with the notes, where there are any."""
    if not run.notes:
        return []
    text = html.P(run.notes, className="notes")
    return [html.Article([html.Header(html.H2("Notes")), text], className="card whole")]


def details(run: Run) -> list[Component]:
    """Configuration and environment, where there are any."""
    tables = [("Configuration", run.config, ""), ("Environment", run.environment, "wide")]
    return [
        html.Article([html.Header(html.H2(title)), _table(values)], className=f"card {width}")
        for title, values, width in tables
        if values
    ]


def _table(values: dict[str, Any]) -> Component:
    rows = [html.Div([html.Dt(name), html.Dd(text)]) for name, text in flat(values).items()]
    return html.Dl(rows, className="table", tabIndex=0)
