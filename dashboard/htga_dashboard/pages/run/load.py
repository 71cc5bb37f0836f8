"""What is drawn of a run, and what is added when there is news of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from htga_client.wire import Histograms, Run, RunEvent, Series
from htga_dashboard.figures import curves, theme
from htga_dashboard.figures import event_marks as happened
from htga_dashboard.figures import histogram_heatmap as heat
from htga_dashboard.figures.layout import Figure, rimmed
from htga_dashboard.models.charts import charts_of
from htga_dashboard.models.step_range import Steps
from htga_dashboard.pages.run.view_state import COLUMNS, HEAT, View, keys_of
from htga_dashboard.source.source import ALL, Source

BUCKETS = 800
"""Buckets of steps that a curve is fetched in; a card is not wider than that in pixels."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """All that there is to draw of a run.

    Attributes:
        run: Which.
        events: What happened in it.
        view: What its charts show.
        figures: By the names of their places.
    """

    run: Run
    events: Sequence[RunEvent]
    view: View
    figures: dict[str, Figure]


def draw(
    run: Run,
    series: Series,
    histograms: Histograms,
    palette: theme.Theme,
    *,
    steps: Steps = ALL,
    events: Sequence[RunEvent] = (),
) -> Drawn:
    """What these values of `run` come to.

    There is a figure for every chart that there are values for, in the order of the page.
    """
    drawn = {chart.name: curves.figure(series, chart, palette) for chart in charts_of(run)}
    if events:
        for figure in drawn.values():
            rimmed(figure)["data"].append(happened.trace(events, palette))
    if histograms.step:
        drawn[HEAT] = heat.figure(histograms, palette)
    for figure in drawn.values():
        figure["layout"]["xaxis"] |= steps.axis()
    view = View.of(run, series, histograms, events, drawn, steps=str(steps))
    return Drawn(run, events, view, drawn)


async def read(source: Source, run_id: str, palette: theme.Theme, steps: Steps) -> Drawn:
    """All that there is to draw of a run; figures are built beside the event loop."""
    run = await source.run(run_id)
    series, histograms, events = await asyncio.gather(
        source.series(run_id, keys_of(charts_of(run)), buckets=BUCKETS, steps=steps),
        source.histograms(run_id, buckets=COLUMNS, steps=steps),
        source.events(run_id),
    )
    return await asyncio.to_thread(
        draw, run, series, histograms, palette, steps=steps, events=events
    )


async def read_news(source: Source, view: View) -> tuple[Run, Series | None, Histograms | None]:
    """What came since; no values where the page shows a stretch of steps that stays as it is."""
    if view.steps:
        return await source.run(view.run), None, None
    return await asyncio.gather(
        source.run(view.run),
        source.series(view.run, view.keys, buckets=BUCKETS, since=view.cursor),
        _columns_due(source, view),
    )


async def _columns_due(source: Source, view: View) -> Histograms | None:
    if not (columns := view.columns_due()):
        return None
    since = view.heat.cursor or view.cursor
    return await source.histograms(view.run, buckets=columns, since=since)
