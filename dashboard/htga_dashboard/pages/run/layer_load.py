"""Load the figures of a run's layers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from htga_client.wire import LayerMap, Series
from htga_dashboard.figures import layer_heatmap, small_multiples, theme
from htga_dashboard.figures.layout import Figure
from htga_dashboard.models.layer_rows import MEASURES, LayerRows, layer_rows
from htga_dashboard.models.step_range import Steps
from htga_dashboard.pages.run import pinned_layers
from htga_dashboard.pages.run.layer_options import LayerOptions
from htga_dashboard.source.source import Source

COLUMNS = 120
"""Number of buckets of steps in the heat map."""

BUCKETS = 400
"""Number of buckets of steps in the curves of one layer."""

OVERVIEW = "layers"
"""Name of the graph of all layers."""


@dataclass(frozen=True, slots=True)
class LayerFigures:
    """The figure of all layers and the curves of pinned ones.

    Attributes:
        names: Names of all layers.
        rows: Rows of the figure of all layers.
        height: Height of that figure in pixels.
        figures: All figures by the name of their graph.
    """

    names: list[str]
    rows: LayerRows
    height: int
    figures: dict[str, Figure]


async def load(
    source: Source, run_id: str, options: LayerOptions, palette: theme.Theme, steps: Steps
) -> LayerFigures | None:
    """Load the data and build the figures in a thread; None if no layer was measured."""
    found, series = await asyncio.gather(
        source.layer_map(run_id, options.key, buckets=COLUMNS, steps=steps),
        asyncio.gather(
            *(
                source.series(run_id, pinned_layers.KEYS, layer=name, buckets=BUCKETS, steps=steps)
                for name in options.pinned
            )
        ),
    )
    if not found.layers:
        return None
    return await asyncio.to_thread(build, found, series, options, palette, steps)


def build(
    found: LayerMap,
    series: Sequence[Series],
    options: LayerOptions,
    palette: theme.Theme,
    steps: Steps,
) -> LayerFigures:
    """Build the figures for the given options."""
    rows = layer_rows(found, options.order, match=options.match, among=options.among)
    measure, revision = MEASURES[options.key], f"{found.run_id} {options.key} {options.form}"
    if options.form == "multiples":
        across = options.across
        figure = small_multiples.figure(rows, measure, palette, revision=revision, across=across)
        height = small_multiples.height(rows, across)
    else:
        figure = layer_heatmap.figure(rows, measure, palette, revision=revision)
        height = layer_heatmap.height(rows)
    if "xaxis" in figure["layout"]:
        figure["layout"]["xaxis"] |= steps.axis()
    drawn = {OVERVIEW: figure} | pinned_layers.figures(series, palette, steps)
    return LayerFigures(names=found.layers, rows=rows, height=height, figures=drawn)


def caption(rows: LayerRows, options: LayerOptions) -> str:
    """What a row and a cell of the figure show."""
    count = sum(map(len, rows.layers))
    if not count:
        return f"none of {rows.total:,} layers has {options.match!r} in its name"
    of = f"{count:,} of {rows.total:,} layers" if count < rows.total else f"{count:,} layers"
    size = len(rows.layers[0])
    if options.form == "multiples":
        shown = min(len(rows.layers), small_multiples.MAX_CHARTS)
        of += f", the first {shown} shown" if shown < count else ""
        return f"on one scale, faintly from minimum to maximum \N{MIDDLE DOT} {of}"
    if size > 1:
        of += f", {size} to a row, which shows the worst; click a row to open it"
    return f"{MEASURES[options.key].note} \N{MIDDLE DOT} {of}"
