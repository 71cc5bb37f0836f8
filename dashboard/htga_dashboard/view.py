"""What the page of a run shows, and how it grows.

The view lives in the browser, which hands it over with every question: the server keeps nothing
between two of them, so that any server can answer, and one that was restarted as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from htga_client.wire import Histograms, Run, Series
from htga_dashboard.charts import Chart, charts_of
from htga_dashboard.figures import curves, heat
from htga_dashboard.figures.extension import Extension, extension

HEAT = "heat"
"""Name of the heat map among the charts of a page."""

CAP = 1200
"""Steps appended at most before all of them are put into buckets anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What is on the screen.

    Attributes:
        run: Id of the run.
        state, attempt: Its state, and which start or resume of it this is.
        step: The last step drawn, or None.
        charts: Name and keys of every chart.
        series, histograms: Cursors, which ask for what came later.
        drawn, grown: Steps drawn at first, and appended since.
        edges: Bin edges of the heat map.
        beat: Counts the answers, so that the browser sees each of them.
    """

    run: str
    state: str
    attempt: int = 1
    step: int | None = None
    charts: tuple[tuple[str, ...], ...] = ()
    series: str | None = None
    histograms: str | None = None
    drawn: int = 0
    grown: int = 0
    edges: tuple[float, ...] = ()
    beat: int = 0

    @classmethod
    def of(cls, run: Run, series: Series, histograms: Histograms) -> Self:
        """The view that draws these values whole."""
        return cls(
            run=run.id,
            state=run.state,
            attempt=run.attempt,
            step=series.step[-1] if series.step else None,
            charts=_names(charts_of(run), heat=bool(histograms.step)),
            series=series.cursor,
            histograms=histograms.cursor,
            drawn=len(series.step),
            edges=tuple(heat.edges_of(histograms)),
        )

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """The view that `to_json` wrote."""
        charts = tuple(tuple(chart) for chart in data["charts"])
        return cls(**{**data, "charts": charts, "edges": tuple(data["edges"])})

    def to_json(self) -> dict[str, Any]:
        """The view as a browser keeps it."""
        return asdict(self)

    def answered(self) -> View:
        """The same view, one answer later."""
        return replace(self, beat=self.beat + 1)

    def keys(self) -> list[str]:
        """The keys that the charts on the screen need, or one that every run knows."""
        return [key for _, *keys in self.charts for key in keys] or ["alpha_hat"]

    def grow(
        self, run: Run, series: Series, histograms: Histograms
    ) -> tuple[View, dict[str, Extension]] | None:
        """This view with what came since, and what to append to each chart by its name.

        None where appending would not do, and the page has to be drawn anew: a chart is missing,
        the run was resumed or has ended, a value lies outside the heat map, or there are too many
        points to append to, or so few that drawing them costs nothing.
        """
        charts = charts_of(run)
        shown = [name for name, *_ in self.charts]
        appended = self.grown + len(series.step)
        columns = heat.columns(histograms, list(self.edges))
        if (
            _names(charts, heat=HEAT in shown or bool(histograms.step)) != self.charts
            or columns is None
            or (series.step and self.drawn < curves.FEW)
            or (run.state, run.attempt) != (self.state, self.attempt)
            or appended > CAP
        ):
            return None
        view = replace(
            self,
            step=series.step[-1] if series.step else self.step,
            series=series.cursor or self.series,
            histograms=histograms.cursor or self.histograms,
            grown=appended,
            beat=self.beat + 1,
        )
        growth = {}
        if series.step:
            growth = {c.name: extension(curves.points(series, c)) for c in charts}
        if histograms.step:
            growth[HEAT] = extension([columns])
        return view, growth


def _names(charts: Sequence[Chart], *, heat: bool) -> tuple[tuple[str, ...], ...]:
    names = [(chart.name, *keys_of([chart])) for chart in charts]
    return (*names, (HEAT,)) if heat else tuple(names)


def keys_of(charts: Sequence[Chart]) -> list[str]:
    """The keys to fetch for `charts`: theirs, or one that every run knows."""
    return [curve.key for chart in charts for curve in chart.curves] or ["alpha_hat"]
