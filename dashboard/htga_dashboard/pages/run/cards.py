"""The parts of a run's page: heading, readings, step range, events, notes and settings.

Names, tags and notes come from telemetry. They enter the page as text nodes only, and no figure,
whose labels plotly would read as HTML.
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
from htga_dashboard.components.dialog import dialog_button
from htga_dashboard.http.root_path import link
from htga_dashboard.models.number_format import significant, step
from htga_dashboard.models.step_range import Steps

METRICS_READ = 3
"""Maximum number of user metrics among the readings at the top; all metrics have a chart."""


def waiting() -> Component:
    """Shown in place of the charts before the first step."""
    return html.Div(
        [
            html.H2("Waiting for the first step"),
            html.P("The run is registered. Its charts appear here with its first row."),
        ],
        className="empty",
    )


def left_out(count: int) -> Component:
    """Shown after the charts when there are more metrics than a page can hold."""
    return html.P(f"{count:,} more metrics have no chart here.", className="left-out")


def damaged(faults: Sequence[str]) -> list[Component]:
    """What is said above charts that show summaries because a file of the archive is damaged."""
    if not faults:
        return []
    said = html.P(
        "Some charts show summaries of several steps, because the rows of this run cannot be read:"
    )
    remedy = html.P("All rows are shown again once a backup of the file is in its place.")
    listed = html.Ul([html.Li(fault) for fault in faults])
    return [html.Div([said, listed, remedy], className="caution", role="alert")]


def heading(run: Run) -> list[Component]:
    """Name, state, dates, group and tags of a run."""
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
            [dcc.Link("Runs", href=link("/")), html.Span("/"), html.Span(run.project)],
            className="crumbs",
        ),
        html.Div([html.H1(run.name or run.id), state(run.state)], className="name"),
        html.P(
            [
                *facts,
                *(html.Span(tag, className="tag") for tag in run.tags),
                dialog_button(ids.EDIT, "Edit"),
            ],
            className="facts",
        ),
    ]


def readings(run: Run) -> list[Component]:
    """The latest values, each with its name and, for the tail index, a hint."""
    rows = [("step", step(run.last_step), "")]
    rows += [
        (
            name,
            significant(run.summary[key]),
            tail_hint(run.summary[key]) if key == "alpha_bar" else "",
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
        html.Div([html.Dt(name, title=name), html.Dd([value, html.Small(hint)])])
        for name, value, hint in rows
    ]


def tail_hint(alpha: float) -> str:
    """Compare a tail index with 1, below which a power law has no mean, and 2: no variance.

    A finite index is no evidence of a power law.
    """
    if math.isnan(alpha):
        return ""
    for bound in (1, 2):
        if alpha <= bound:
            return f"heavier than \N{GREEK SMALL LETTER ALPHA} = {bound}"
    return "lighter than \N{GREEK SMALL LETTER ALPHA} = 2"


def step_range_inputs(steps: Steps, caption: str) -> Component:
    """Two fields for the range of steps, a caption, and the button for a report."""

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
        className="step-range",
    )


def events(latest: Sequence[RunEvent]) -> list[Component]:
    """A card with the events, the latest first; nothing without events."""
    if not latest:
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
        for event in reversed(latest)
    ]
    return [
        html.Article(
            [
                html.Header([html.H2("Events"), html.Span(f"{len(latest):,}")]),
                html.Ul(rows, className="events", tabIndex=0),
            ],
            className="card",
        )
    ]


def notes(run: Run) -> list[Component]:
    """A card with the notes, if there are any."""
    if not run.notes:
        return []
    text = html.P(run.notes, className="notes")
    return [html.Article([html.Header(html.H2("Notes")), text], className="card whole")]


def details(run: Run) -> list[Component]:
    """Cards with the settings and the environment, if there are any."""
    tables = [("Configuration", run.config, ""), ("Environment", run.environment, "wide")]
    return [
        html.Article([html.Header(html.H2(title)), _table(values)], className=f"card {width}")
        for title, values, width in tables
        if values
    ]


def _table(values: dict[str, Any]) -> Component:
    rows = [html.Div([html.Dt(name), html.Dd(text)]) for name, text in flat(values).items()]
    return html.Dl(rows, className="table", tabIndex=0)
