"""What the page of a run shows, and how it grows.

The view lives in the browser, which hands it over with every question: the server keeps nothing
between two of them, so that any server can answer, and one that was restarted as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from types import MappingProxyType
from typing import Any, Self

from htga_client.wire import Histograms, Run, RunEvent, Series
from htga_dashboard.figures import curves
from htga_dashboard.figures import histogram_heatmap as heat
from htga_dashboard.figures.extension import Extension, extension
from htga_dashboard.figures.layout import Figure
from htga_dashboard.figures.points import DOTS, points, stride_of
from htga_dashboard.models.charts import Chart, charts_of

ANY_KEY = "alpha_hat"
"""A key that every run knows, for a run that has measured nothing yet."""

HEAT = "heat"
"""Name of the heat map among the graphs of a page."""

STEPS = 600
"""Steps appended to the curves at most before all of them are put into buckets anew."""

MOST_DOTS = 3 * DOTS // 2
"""Dots of a curve that grows, before it is thinned anew."""

COLUMNS = 200
"""Columns of the heat map when it is drawn whole; as many are appended at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatView:
    """What is on the screen of the heat map.

    Attributes:
        step: The last step drawn, or None.
        width: Steps in a column. Later columns get the same, so that a long run does not redraw
            its heat map at every step.
        edges: Bin edges.
        cursor: Asks for the histograms that came later.
        grown: Columns appended.
    """

    step: int | None
    width: int
    edges: tuple[float, ...]
    cursor: str | None
    grown: int = 0

    @classmethod
    def of(cls, histograms: Histograms) -> Self:
        """The view that draws these histograms whole."""
        steps = histograms.step
        return cls(
            step=steps[-1] if steps else None,
            width=-(-(steps[-1] - steps[0] + 1) // COLUMNS) if steps else 1,
            edges=tuple(heat.edges_of(histograms)),
            cursor=histograms.cursor,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What is on the screen.

    Attributes:
        run: Id of the run.
        state, attempt: Its state, and which start or resume of it this is.
        first, step: The first and the last step drawn, or None.
        keys: What the curves show.
        cursor: Asks for the values that came later.
        drawn, grown: Steps drawn at first, and appended since.
        stride: From one dot to the next, in steps.
        heat: The heat map.
        rows: Stored rows that the curves summarise.
        marked: The charts that mark values which have no place.
        happened: When the last event that is marked happened, in Unix seconds.
        steps: The stretch of steps that they show, which does not grow; empty for all.
        beat: Counts the answers, so that the browser sees each of them.
    """

    run: str
    state: str
    attempt: int
    first: int | None
    step: int | None
    keys: tuple[str, ...]
    cursor: str | None
    drawn: int
    stride: int
    heat: HeatView
    rows: int
    marked: tuple[str, ...] = ()
    happened: float = 0.0
    steps: str = ""
    grown: int = 0
    beat: int = 0

    @classmethod
    def of(
        cls,
        run: Run,
        series: Series,
        histograms: Histograms,
        events: Sequence[RunEvent] = (),
        drawn: Mapping[str, Figure] = MappingProxyType({}),
        *,
        steps: str = "",
    ) -> Self:
        """The view of these values, `drawn` whole."""
        return cls(
            run=run.id,
            state=run.state,
            attempt=run.attempt,
            first=series.step[0] if series.step else None,
            step=series.step[-1] if series.step else None,
            keys=tuple(keys_of(charts_of(run))),
            cursor=series.cursor,
            drawn=len(series.step),
            stride=stride_of(series),
            heat=HeatView.of(histograms),
            rows=series.total,
            marked=tuple(name for name, figure in drawn.items() if curves.is_marked(figure)),
            happened=_latest(events),
            steps=steps,
        )

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """The view that `to_json` wrote."""
        shares = HeatView(**{**data["heat"], "edges": tuple(data["heat"]["edges"])})
        lists = {name: tuple(data[name]) for name in ("keys", "marked")}
        return cls(**data | lists | {"heat": shares})

    def to_json(self) -> dict[str, Any]:
        """The view as a browser keeps it."""
        return asdict(self)

    @property
    def graphs(self) -> tuple[object, ...]:
        """What tells whether two views show the same graphs."""
        return self.keys, self.heat.step is not None

    def answered(self, run: Run | None = None) -> View:
        """The same view, one answer later; with the state of `run`, where it is known."""
        state = self.state if run is None else run.state
        return replace(self, state=state, beat=self.beat + 1)

    @property
    def caption(self) -> str:
        """How much is drawn, and whether anything was put together."""
        if not self.rows:
            return "no step yet"
        if self.drawn + self.grown >= self.rows:
            return f"{self.rows:,} steps, each of them drawn"
        return (
            f"{self.rows:,} steps in {self.drawn + self.grown:,} buckets: their mean, "
            "and faintly from minimum to maximum"
        )

    def columns_due(self) -> int:
        """How many columns the heat map lacks: histograms are worth asking for when one is full."""
        if self.step is None:
            return 0
        if self.heat.step is None:
            return 1
        # The heat map may be a step ahead of the curves, which are asked for beside it.
        return min(max(self.step - self.heat.step, 0) // self.heat.width, COLUMNS)

    def grow(
        self,
        run: Run,
        series: Series,
        histograms: Histograms | None,
        events: Sequence[RunEvent] = (),
    ) -> tuple[View, dict[str, Extension]] | None:
        """This view with what came since, and what to append to each graph by its name.

        Args:
            run: As it is now.
            series: What came after the cursor.
            histograms: What came after the cursor of the heat map, or None where no column is due.
            events: All that happened.

        Returns:
            None where appending would not do, and the page has to be drawn anew: a chart is
            missing, or its first mark; something happened, the run was resumed or has ended, a
            histogram does not fit into the heat map, or there are too many points to append to, or
            so few that drawing them costs nothing.
        """
        charts = charts_of(run)
        if (
            tuple(keys_of(charts)) != self.keys
            or (run.state, run.attempt) != (self.state, self.attempt)
            or _latest(events) != self.happened
            or (series.step and self._is_full(series.step))
        ):
            return None
        view = replace(self, beat=self.beat + 1)
        extensions = self._longer(charts, series)
        if extensions is None:
            return None
        if series.step:
            view = replace(
                view,
                step=series.step[-1],
                cursor=series.cursor,
                grown=self.grown + len(series.step),
                rows=self.rows + series.total,
            )
        if histograms is not None and histograms.step:
            columns = heat.columns(histograms, self.heat.edges)
            grown = self.heat.grown + len(histograms.step)
            if columns is None or self.heat.step is None or grown > COLUMNS:
                return None
            extensions[HEAT] = extension([columns])
            cursor, step = histograms.cursor, histograms.step[-1]
            view = replace(view, heat=replace(self.heat, cursor=cursor, step=step, grown=grown))
        return view, extensions

    def _longer(self, charts: Sequence[Chart], series: Series) -> dict[str, Extension] | None:
        """What to append to the curves; None where one has its first mark."""
        extensions = {}
        for chart in charts if series.step else ():
            *lines, marks = points(series, chart, stride=self.stride, after=self.step)
            if chart.name in self.marked:
                lines.append(marks)
            elif marks["x"]:
                return None
            extensions[chart.name] = extension(lines)
        return extensions

    def _is_full(self, more: Sequence[int]) -> bool:
        """Whether the curves are to be put into buckets anew rather than grow by these steps."""
        first = more[0] if self.first is None else self.first
        return (
            self.drawn < curves.FEW
            or self.grown + len(more) > STEPS
            or more[-1] - first > MOST_DOTS * self.stride
        )


def keys_of(charts: Sequence[Chart]) -> list[str]:
    """The keys to ask for to draw `charts`."""
    curves_ = [curve for chart in charts for curve in chart.curves]
    return [
        *(curve.key for curve in curves_),
        *(curve.stderr for curve in curves_ if curve.stderr),
    ] or [ANY_KEY]


def _latest(events: Sequence[RunEvent]) -> float:
    return max((event.time for event in events), default=0.0)
