"""The state of the charts of a run's page, and how they grow.

The state lives in the browser, which sends it with every request. The server keeps nothing, so any
server can answer, even after a restart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from types import MappingProxyType
from typing import Any, Self

from htga_client.wire import Histograms, Run, RunEvent, Series
from htga_dashboard.figures import curves, histogram_heatmap
from htga_dashboard.figures.extension import Extension, extension
from htga_dashboard.figures.layout import Figure
from htga_dashboard.figures.points import MAX_DOTS, points, stride_of
from htga_dashboard.models.charts import Chart, charts_of
from htga_dashboard.pages.run.heatmap_state import COLUMNS, HeatView

ANY_KEY = "alpha_hat"
"""A key that exists for every run, to request before anything was measured."""

HEAT = "heat"
"""Name of the graph of the heat map."""

STEPS = 600
"""Maximum number of steps appended before the curves are bucketed again."""

MAX_GROWN_DOTS = 3 * MAX_DOTS // 2
"""Maximum number of dots of a growing curve before it is thinned again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """The state of all charts.

    Attributes:
        run: Id of the run.
        state, attempt: The run's state, and the number of its start or resume.
        first, step: The first and the last step drawn, or None.
        keys: Keys of the curves.
        cursor: Cursor for later values.
        drawn, grown: Number of steps drawn at first, and appended since.
        stride: Steps from one dot to the next.
        heat: State of the heat map.
        rows: Number of stored rows behind the curves.
        marked: Charts with a trace of marks for values that the axis cannot show.
        last_event: Time of the last marked event, in Unix seconds.
        steps: The fixed range of steps shown, as text; empty for all steps.
        beat: Number of answers, so that the browser notices each of them.
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
    last_event: float = 0.0
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
        """The state after drawing these values as the figures `drawn`."""
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
            last_event=_latest(events),
            steps=steps,
        )

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """The state that `to_json` returned."""
        shares = HeatView(**{**data["heat"], "edges": tuple(data["heat"]["edges"])})
        lists = {name: tuple(data[name]) for name in ("keys", "marked")}
        return cls(**data | lists | {"heat": shares})

    def to_json(self) -> dict[str, Any]:
        """The state as the browser keeps it."""
        return asdict(self)

    @property
    def graphs(self) -> tuple[object, ...]:
        """Equal for two states with the same graphs."""
        return self.keys, self.heat.step is not None

    def answered(self, run: Run | None = None) -> View:
        """The same state, one answer later, with the state of `run` if given."""
        state = self.state if run is None else run.state
        return replace(self, state=state, beat=self.beat + 1)

    @property
    def caption(self) -> str:
        """How many steps are drawn, and whether they are bucketed."""
        if not self.rows:
            return "no step yet"
        if self.drawn + self.grown >= self.rows:
            return f"{self.rows:,} steps, each of them drawn"
        return (
            f"{self.rows:,} steps in {self.drawn + self.grown:,} buckets: their mean, "
            "and faintly from minimum to maximum"
        )

    def columns_due(self) -> int:
        """Number of full columns that the heat map lacks."""
        if self.step is None:
            return 0
        if self.heat.step is None:
            return 1
        # The heat map may be a step ahead of the curves, which another request loads.
        return min(max(self.step - self.heat.step, 0) // self.heat.width, COLUMNS)

    def grow(
        self,
        run: Run,
        series: Series,
        histograms: Histograms | None,
        events: Sequence[RunEvent] = (),
    ) -> tuple[View, dict[str, Extension]] | None:
        """The state after appending new values, and what to append to each graph by its name.

        Args:
            run: The run now.
            series: Values after the cursor.
            histograms: Histograms after the cursor of the heat map, or None if no column is due.
            events: All events of the run.

        Returns:
            None if appending is not enough and the charts must be drawn again: a chart or its first
            mark is missing, there is a new event, the run was resumed or has ended, a histogram
            does not fit into the heat map, or there are too many points to append to, or so few
            that drawing them again costs nothing.
        """
        charts = charts_of(run)
        if (
            tuple(keys_of(charts)) != self.keys
            or (run.state, run.attempt) != (self.state, self.attempt)
            or _latest(events) != self.last_event
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
            columns = histogram_heatmap.columns(histograms, self.heat.edges)
            grown = self.heat.grown + len(histograms.step)
            if columns is None or self.heat.step is None or grown > COLUMNS:
                return None
            extensions[HEAT] = extension([columns])
            cursor, step = histograms.cursor, histograms.step[-1]
            view = replace(view, heat=replace(self.heat, cursor=cursor, step=step, grown=grown))
        return view, extensions

    def _longer(self, charts: Sequence[Chart], series: Series) -> dict[str, Extension] | None:
        """What to append to the curves; None if a chart gets its first mark."""
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
        """Whether the curves need new buckets instead of growing by these steps."""
        first = more[0] if self.first is None else self.first
        return (
            self.drawn < curves.FEW
            or self.grown + len(more) > STEPS
            or more[-1] - first > MAX_GROWN_DOTS * self.stride
        )


def keys_of(charts: Sequence[Chart]) -> list[str]:
    """The keys that `charts` need."""
    curves_ = [curve for chart in charts for curve in chart.curves]
    return [
        *(curve.key for curve in curves_),
        *(curve.stderr for curve in curves_ if curve.stderr),
    ] or [ANY_KEY]


def _latest(events: Sequence[RunEvent]) -> float:
    return max((event.time for event in events), default=0.0)
