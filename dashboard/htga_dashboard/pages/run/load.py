"""Load what the page of a run shows, and what is new since then."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from htga_client.wire import Histograms, Run, RunEvent, Series
from htga_dashboard.figures import curves, event_marks, histogram_heatmap, theme
from htga_dashboard.figures.layout import Figure, with_event_axis
from htga_dashboard.models.charts import charts_of
from htga_dashboard.models.step_range import Steps
from htga_dashboard.pages.run.heatmap_state import COLUMNS
from htga_dashboard.pages.run.view_state import HEAT, View, keys_of
from htga_dashboard.source.source import ALL, Source

BUCKETS = 800
"""Number of buckets of steps of a curve: the maximum width of a card in pixels."""


@dataclass(frozen=True, slots=True)
class RunFigures:
    """A run with its figures.

    Attributes:
        run: The run.
        events: Its events.
        view: The state of its charts.
        figures: Figures by the name of their graph.
        damaged: A sentence for each damaged file in whose place the figures show summaries.
    """

    run: Run
    events: Sequence[RunEvent]
    view: View
    figures: dict[str, Figure]
    damaged: Sequence[str] = ()


def build(
    run: Run,
    series: Series,
    histograms: Histograms,
    palette: theme.Theme,
    *,
    steps: Steps = ALL,
    events: Sequence[RunEvent] = (),
) -> RunFigures:
    """Build a figure for every chart that has values, in the order of the page."""
    drawn = {chart.name: curves.figure(series, chart, palette) for chart in charts_of(run)}
    if events:
        for figure in drawn.values():
            with_event_axis(figure)["data"].append(event_marks.trace(events, palette))
    if histograms.step:
        drawn[HEAT] = histogram_heatmap.figure(histograms, palette)
    for figure in drawn.values():
        figure["layout"]["xaxis"] |= steps.axis()
    view = View.of(run, series, histograms, events, drawn, steps=str(steps))
    damaged = tuple(dict.fromkeys((*series.damaged, *histograms.damaged)))
    return RunFigures(run, events, view, drawn, damaged)


async def load(source: Source, run_id: str, palette: theme.Theme, steps: Steps) -> RunFigures:
    """Load a run, and build its figures in a thread."""
    run = await source.run(run_id)
    series, histograms, events = await asyncio.gather(
        source.series(run_id, keys_of(charts_of(run)), buckets=BUCKETS, steps=steps),
        source.histograms(run_id, buckets=COLUMNS, steps=steps),
        source.events(run_id),
    )
    return await asyncio.to_thread(
        build, run, series, histograms, palette, steps=steps, events=events
    )


async def load_new(source: Source, view: View) -> tuple[Run, Series | None, Histograms | None]:
    """Load what came after `view`; no values if the page shows a fixed range of steps."""
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
