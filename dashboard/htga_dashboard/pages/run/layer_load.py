"""What is drawn of the layers of a run."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from htga_client.wire import LayerMap, Series
from htga_dashboard.figures import layer_heatmap as rows_figure
from htga_dashboard.figures import small_multiples as multiples
from htga_dashboard.figures import theme
from htga_dashboard.figures.layout import Figure
from htga_dashboard.models.layer_rows import MEASURES, Strata, strata
from htga_dashboard.models.step_range import Steps
from htga_dashboard.pages.run import pinned_layers as pinned
from htga_dashboard.pages.run.layer_options import Look
from htga_dashboard.source.source import Source

COLUMNS = 120
"""Buckets of steps in the picture; a row of thousands of layers has no need of more."""

BUCKETS = 400
"""Buckets of steps in the curves of one layer."""

PICTURE = "layers"
"""Name of the picture among the graphs of a page."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """The picture of all layers and the curves of some.

    Attributes:
        names: Of all layers.
        rows: Of the picture.
        height: Of the picture in pixels.
        figures: By the names of their places.
    """

    names: list[str]
    rows: Strata
    height: int
    figures: dict[str, Figure]


async def read(
    source: Source, run_id: str, look: Look, palette: theme.Theme, steps: Steps
) -> Drawn | None:
    """All that there is to draw, built beside the event loop; None where no layer was measured."""
    found, series = await asyncio.gather(
        source.layer_map(run_id, look.key, buckets=COLUMNS, steps=steps),
        asyncio.gather(
            *(
                source.series(run_id, pinned.KEYS, layer=name, buckets=BUCKETS, steps=steps)
                for name in look.pinned
            )
        ),
    )
    if not found.layers:
        return None
    return await asyncio.to_thread(draw, found, series, look, palette, steps)


def draw(
    found: LayerMap, series: Sequence[Series], look: Look, palette: theme.Theme, steps: Steps
) -> Drawn:
    """The figures of these values, looked at in that way."""
    rows = strata(found, look.order, match=look.match, among=look.among)
    measure, revision = MEASURES[look.key], f"{found.run_id} {look.key} {look.form}"
    if look.form == "multiples":
        across = look.across
        picture = multiples.figure(rows, measure, palette, revision=revision, across=across)
        height = multiples.height(rows, across)
    else:
        picture = rows_figure.figure(rows, measure, palette, revision=revision)
        height = rows_figure.height(rows)
    if "xaxis" in picture["layout"]:
        picture["layout"]["xaxis"] |= steps.axis()
    drawn = {PICTURE: picture} | pinned.figures(series, palette, steps)
    return Drawn(names=found.layers, rows=rows, height=height, figures=drawn)


def caption(rows: Strata, look: Look) -> str:
    """What a row and a cell of the picture are."""
    count = sum(map(len, rows.layers))
    if not count:
        return f"none of {rows.total:,} layers has {look.match!r} in its name"
    of = f"{count:,} of {rows.total:,} layers" if count < rows.total else f"{count:,} layers"
    each = len(rows.layers[0])
    if look.form == "multiples":
        shown = min(len(rows.layers), multiples.MOST)
        of += f", the first {shown} shown" if shown < count else ""
        return f"on one scale, faintly from minimum to maximum \N{MIDDLE DOT} {of}"
    if each > 1:
        of += f", {each} to a row, which shows the most telling; click a row to open it"
    return f"{MEASURES[look.key].note} \N{MIDDLE DOT} {of}"
