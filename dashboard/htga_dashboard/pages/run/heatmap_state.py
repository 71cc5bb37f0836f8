"""The state of the heat map on a run's page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from htga_client.wire import Histograms
from htga_dashboard.figures import histogram_heatmap

COLUMNS = 200
"""Maximum number of columns of a new heat map, and of columns appended to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatView:
    """The state of the heat map.

    Attributes:
        step: The last step drawn, or None.
        width: Steps per column. Appended columns have the same width, so a long run does not redraw
            its heat map at every step.
        edges: Bin edges.
        cursor: Cursor for later histograms.
        grown: Number of appended columns.
    """

    step: int | None
    width: int
    edges: tuple[float, ...]
    cursor: str | None
    grown: int = 0

    @classmethod
    def of(cls, histograms: Histograms) -> Self:
        """The state after drawing these histograms."""
        steps = histograms.step
        return cls(
            step=steps[-1] if steps else None,
            width=-(-(steps[-1] - steps[0] + 1) // COLUMNS) if steps else 1,
            edges=tuple(histogram_heatmap.edges_of(histograms)),
            cursor=histograms.cursor,
        )
