"""Load a comparison: its figures, legend and tables."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dash import dcc, html
from dash.development.base_component import Component

from htga_client.wire import GroupSeries, Run, Tail, TailSeries
from htga_dashboard.components import cards
from htga_dashboard.figures import overlay, tail_overlay, theme
from htga_dashboard.figures.layout import Figure
from htga_dashboard.http.root_path import link
from htga_dashboard.models.alpha_sample import ALPHA_KEYS, differences
from htga_dashboard.models.comparison import MAX_RUNS, Comparison
from htga_dashboard.models.config import named
from htga_dashboard.models.differences import Row, differing, keys_of, usual_keys
from htga_dashboard.models.lines import line
from htga_dashboard.models.number_format import significant
from htga_dashboard.source.source import Source

BUCKETS = 500
"""Maximum number of points of a line."""

TAILS = 12
"""Maximum number of runs whose tails are drawn; more could not be told apart."""

SURVIVAL, HILL, INDEX = "compare-survival", "compare-hill", "compare-index"
"""Names of the figures of tails."""


@dataclass(frozen=True, slots=True)
class ComparisonData:
    """Everything that the page of a comparison shows.

    Attributes:
        groups: The groups, one line each, in the order of the colours.
        figures: Figures by the name of their graph: one for each key, then those of the tails.
        keys: Keys of the figures, in order.
        runs: The runs that exist.
        missing: Requested keys that none of the runs has measured.
        cautions: In what the tail indices of the figures differ, besides their values.
    """

    groups: Sequence[GroupSeries]
    figures: dict[str, Figure]
    keys: tuple[str, ...]
    runs: Sequence[Run]
    missing: Sequence[str] = ()
    cautions: Sequence[str] = ()


async def load(source: Source, how: Comparison, palette: theme.Theme) -> ComparisonData:
    """Load the data of a comparison, and build its figures in a thread."""
    runs = await source.runs_by_id(how.runs[:MAX_RUNS])
    measured = set(keys_of(runs))
    missing = [key for key in how.keys if key not in measured]
    keys = [key for key in how.keys or usual_keys(runs) if key in measured]
    if not keys:
        return ComparisonData(groups=[], figures={}, keys=(), runs=runs, missing=missing)
    by = [named(name, runs) for name in how.group]
    ids = [run.id for run in runs]
    cautions = differences(runs) if ALPHA_KEYS.intersection(keys) else []
    alike = ids[:TAILS] if cautions else []
    groups, tails, indices = await asyncio.gather(
        source.groups(ids, keys, by=by, x=how.x, buckets=BUCKETS),
        asyncio.gather(*(source.tail(run_id) for run_id in ids[:TAILS])),
        asyncio.gather(*(source.tail_series(run_id, buckets=BUCKETS) for run_id in alike)),
    )

    def draw() -> dict[str, Figure]:
        return (
            curves(how, keys, groups, palette)
            | index_figure(runs, groups, indices, palette)
            | tail_figures(runs, groups, tails, palette)
        )

    drawn = await asyncio.to_thread(draw)
    return ComparisonData(
        groups=groups,
        figures=drawn,
        keys=tuple(keys),
        runs=runs,
        missing=missing,
        cautions=cautions,
    )


def curves(
    how: Comparison, keys: Sequence[str], groups: Sequence[GroupSeries], palette: theme.Theme
) -> dict[str, Figure]:
    """A figure for each key, with a line for each group."""
    drawn = {}
    for place, key in enumerate(keys):
        lines = [(group.label, line(group, key, how)) for group in groups]
        revision = f"{key} {how.x} {how.log}"
        drawn[f"compare-{place}"] = overlay.figure(
            lines, axis=how.x, log=how.log, theme=palette, revision=revision
        )
    return drawn


def tail_figures(
    runs: Sequence[Run],
    groups: Sequence[GroupSeries],
    tails: Sequence[Tail | None],
    palette: theme.Theme,
) -> dict[str, Figure]:
    """The survival functions and Hill plots of the first runs, in the colours of their groups.

    Args:
        runs: The runs, in order.
        groups: The groups of the runs.
        tails: Tails of the first runs; None for a run without histograms.
        palette: The palette.
    """
    places = _places(groups)
    own = [
        tail_overlay.RunTail(run.name or run.id, places[run.id], tail)
        for run, tail in zip(runs, tails, strict=False)
        if tail is not None
    ]
    if not own:
        return {}
    return {SURVIVAL: tail_overlay.survival(own, palette), HILL: tail_overlay.hill(own, palette)}


def index_figure(
    runs: Sequence[Run],
    groups: Sequence[GroupSeries],
    indices: Sequence[TailSeries],
    palette: theme.Theme,
) -> dict[str, Figure]:
    """The tail index of one share of the entries of the first runs, in their groups' colours."""
    places = _places(groups)
    own = [
        tail_overlay.RunIndex(run.name or run.id, places[run.id], index)
        for run, index in zip(runs, indices, strict=False)
        if index.step
    ]
    return {INDEX: tail_overlay.over_steps(own, palette)} if own else {}


def _places(groups: Sequence[GroupSeries]) -> dict[str, int]:
    return {member: place for place, group in enumerate(groups) for member in group.members}


def legend(groups: Sequence[GroupSeries], runs: Sequence[Run]) -> list[Component]:
    """An entry for each line."""
    by_id = {run.id: run for run in runs}
    return [
        html.Li(_entry(place, group.label, [by_id[member] for member in group.members]))
        for place, group in enumerate(groups)
    ]


def tables(runs: Sequence[Run], keys: Sequence[str]) -> list[Component]:
    """Two tables with a row for each run: settings and values of the charts, and all other values.

    Args:
        runs: The runs.
        keys: Keys that have a chart.
    """
    if len(runs) < 2:
        return []
    latest = [
        Row(name=key, values=tuple(significant(run.summary.get(key)) for run in runs))
        for key in keys_of(runs)
    ]
    drawn = [row for row in latest if row.name in keys]
    others = [row for row in latest if row.name not in keys]
    shown = {"Settings that differ": differing(runs), "Latest values": drawn}
    first = html.Article(_table(shown, runs), className="card")
    if not others:
        return [first]
    rest = [html.Summary("Everything else that was measured"), _table({"": others}, runs)]
    return [first, html.Details(rest, className="card fold")]


def _entry(place: int, label: str, members: Sequence[Run]) -> list[Component]:
    colour, dash = overlay.place_of(place, theme.LIGHT)
    swatch = html.Span(className=f"swatch line-{colour} dash-{dash}")
    if len(members) > 1:
        return [swatch, html.Span(label), html.Small(f"n = {len(members)}")]
    (run,) = members
    return [swatch, dcc.Link(label, href=link(f"/run/{run.id}")), cards.state(run.state)]


def _table(shown: Mapping[str, Sequence[Row]], runs: Sequence[Run]) -> Component:
    """A table with a row for each run and a column for each `Row`, under the titles of `shown`."""
    rows = [row for found in shown.values() for row in found]
    body = [
        html.Tr(
            [
                html.Th(dcc.Link(run.name or run.id, href=link(f"/run/{run.id}")), scope="row"),
                *(html.Td(row.values[place]) for row in rows),
            ]
        )
        for place, run in enumerate(runs)
    ]
    titles = [
        html.Th(title, colSpan=len(found), scope="colgroup")
        for title, found in shown.items()
        if title and found
    ]
    header = html.Tr([html.Th("run"), *(html.Th(row.name) for row in rows)])
    above = [html.Tr([html.Td(), *titles])] if titles else []
    table = html.Table([html.Thead([*above, header]), html.Tbody(body)])
    return html.Div(table, className="scroll", tabIndex=0)
