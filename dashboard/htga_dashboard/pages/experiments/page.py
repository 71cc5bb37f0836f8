"""The page of a study: its variants, and the difference of each from a baseline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal
from urllib.parse import SplitResult

from dash import ClientsideFunction, Dash, Input, Output, State, ctx, dcc, html, no_update
from dash.development.base_component import Component

from htga_client.wire import Run
from htga_dashboard.components import cards, graph, ids
from htga_dashboard.components.attributes import attributes
from htga_dashboard.components.controls import dropdown, field, options
from htga_dashboard.figures import forest, theme
from htga_dashboard.models.experiment import TAG, View, report, studies
from htga_dashboard.pages.experiments import tables
from htga_dashboard.pages.experiments.body import FOREST, body
from htga_dashboard.source.http import SourceError
from htga_dashboard.source.source import Source

SEARCHED_RUNS = 1_000
"""Number of newest runs searched for studies; the runs of a chosen study are all loaded."""

MAX_RUNS = 5_000
"""Maximum number of runs of a study."""

AUTO = "auto"
TAKES = {"last": "latest value", "lowest": "lowest value", "highest": "highest value"}
BETTER = {AUTO: "by its name", "lower": "lower", "higher": "higher"}

SNIPPET = """for seed in range(5):
    with htga.telemetry.attach(
        optimizer, tags=["study:tails"], config={"variant": "htga", "seed": seed}
    ) as run:
        ..."""


def layout(view: View, names: Sequence[str]) -> Component:
    """The page; table and plot are drawn once the browser has sent its theme.

    Args:
        view: The view that the address stands for.
        names: Names of the studies.
    """
    return html.Div(
        [
            dcc.Store(id=ids.STUDY_QUERY, data=view.to_query()),
            dcc.Store(id=ids.STUDY_NEWS),
            graph.store(FOREST),
            dcc.Download(id=ids.STUDY_FILE),
            html.Header(html.H1("Experiments"), className="title"),
            html.Div(
                [
                    field("Study", dropdown(ids.STUDY_NAME, list(names), view.study)),
                    field(
                        "Compared by",
                        dropdown(ids.STUDY_METRIC, options([], [view.metric]), view.metric),
                    ),
                    field("Of each run its", dropdown(ids.STUDY_TAKE, TAKES, view.take)),
                    field(
                        "Baseline",
                        dropdown(ids.STUDY_BASELINE, options([], [view.baseline]), view.baseline),
                    ),
                    field("Better is", dropdown(ids.STUDY_BETTER, BETTER, view.better or AUTO)),
                ],
                className="controls",
                hidden=not names,
            ),
            html.Div(id=ids.STUDY_BODY),
            html.Div(
                [
                    html.Button("CSV", id=ids.STUDY_CSV, className="button"),
                    html.Button("Markdown", id=ids.STUDY_MARKDOWN, className="button"),
                ],
                className="exports",
                hidden=not names,
            ),
            None if names else _empty(),
        ],
        className="page experiments",
        **attributes(
            data_title="Experiments",
            data_news=ids.STUDY_NEWS,
            **({"data_draws": ""} if names else {}),
        ),
    )


async def read(source: Source, url: SplitResult) -> Component:
    """Load the page."""
    names = studies(await source.newest(SEARCHED_RUNS))
    view = View.from_query(url.query)
    if view.study and view.study not in names:
        names = [*names, view.study]
    if not view.study and names:
        view = replace(view, study=names[0])
    return layout(view, names)


def register(app: Dash, source: Source) -> None:
    """Register the callbacks: controls to address to results, and files to download."""

    @app.callback(
        Output(ids.STUDY_QUERY, "data"),
        Input(ids.STUDY_NAME, "value"),
        Input(ids.STUDY_METRIC, "value"),
        Input(ids.STUDY_TAKE, "value"),
        Input(ids.STUDY_BASELINE, "value"),
        Input(ids.STUDY_BETTER, "value"),
        prevent_initial_call=True,
    )
    async def choose(name: str, metric: str, take: Any, baseline: str, better: Any) -> str:
        return View(
            study=name or "",
            metric=metric or "",
            take=take,
            baseline=baseline or "",
            better=None if better == AUTO else better,
        ).to_query()

    @app.callback(
        Output(ids.STUDY_BODY, "children"),
        Output(ids.figures(FOREST), "data"),
        Output(ids.STUDY_METRIC, "options"),
        Output(ids.STUDY_BASELINE, "options"),
        Output(ids.STUDY_METRIC, "value"),
        Output(ids.STUDY_BASELINE, "value"),
        Input(ids.STUDY_QUERY, "data"),
        Input(ids.STUDY_NEWS, "data"),
        Input(ids.THEME, "data"),
    )
    async def draw(query: str, _news: Any, theme_name: str | None) -> Any:
        view = View.from_query(query)
        if not view.study:
            return [no_update] * 6
        try:
            runs = await _runs(source, view)
        except SourceError as error:
            return [[cards.failure(str(error))], *[no_update] * 5]
        if not runs:
            return [[_nothing(view.study)], no_update, [], [], no_update, no_update]
        found = report(runs, view)
        plot = graph.to_payload({FOREST: forest.figure(found, theme.named(theme_name))})
        variants = [variant.name for variant in found.variants]
        return body(found), plot, found.metrics, variants, found.metric, found.baseline

    @app.callback(
        Output(ids.STUDY_FILE, "data"),
        Input(ids.STUDY_CSV, "n_clicks"),
        Input(ids.STUDY_MARKDOWN, "n_clicks"),
        State(ids.STUDY_QUERY, "data"),
        prevent_initial_call=True,
    )
    async def take(_csv: int | None, _markdown: int | None, query: str) -> Any:
        view = View.from_query(query)
        found = report(await _runs(source, view), view)
        kind: Literal["csv", "md"] = "csv" if ctx.triggered_id == ids.STUDY_CSV else "md"
        write = tables.to_csv if kind == "csv" else tables.to_markdown
        return {"content": write(found), "filename": f"study.{kind}", "type": "text/plain"}

    app.clientside_callback(
        ClientsideFunction("htga", "keepAddress"),
        Input(ids.STUDY_QUERY, "data"),
        prevent_initial_call=True,
    )
    app.clientside_callback(
        ClientsideFunction("htga", "answered"),
        Input(ids.STUDY_BODY, "children"),
        prevent_initial_call=True,
    )


async def _runs(source: Source, view: View) -> list[Run]:
    return await source.newest(MAX_RUNS, tag=TAG + view.study)


def _nothing(study: str) -> Component:
    return html.Div(
        [html.H2("No runs of this study"), html.P(f"No run has the tag {TAG}{study}.")],
        className="empty",
    )


def _empty() -> Component:
    return html.Div(
        [
            html.H2("No study yet"),
            html.P(
                "A study is a few variants, each trained from several seeds. Give its runs one "
                "tag, and set variant and seed in their config:"
            ),
            html.Div(html.Pre(SNIPPET), className="snippet"),
        ],
        className="empty",
    )
