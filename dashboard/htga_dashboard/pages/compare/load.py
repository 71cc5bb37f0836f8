"""What a comparison comes to: its lines, which is which, and its table."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dash import dcc, html
from dash.development.base_component import Component

from htga_client.wire import GroupSeries, Run, Tail
from htga_dashboard.components import cards
from htga_dashboard.figures import overlay, theme
from htga_dashboard.figures import tail_overlay as together
from htga_dashboard.figures.layout import Figure
from htga_dashboard.models.comparison import MOST, Comparison
from htga_dashboard.models.config import named
from htga_dashboard.models.differences import Row, differing, keys_of, usual_keys
from htga_dashboard.models.lines import line
from htga_dashboard.models.number_format import significant
from htga_dashboard.source.source import Source

BUCKETS = 500
"""Points that each line is fetched in."""

TAILS = 12
"""Runs whose tails are drawn in one picture: of more than that none could be told apart."""

SURVIVAL, HILL = "compare-survival", "compare-hill"
"""Names of the pictures of tails among the figures."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """What a comparison comes to.

    Attributes:
        groups: A line each, in the order of their colours.
        figures: By the name of their graph, one for each key, and then those of the tails.
        keys: What the figures show, in their order.
        runs: All runs that are there.
        missing: What was to be shown but none of them has measured.
    """

    groups: Sequence[GroupSeries]
    figures: dict[str, Figure]
    keys: tuple[str, ...]
    runs: Sequence[Run]
    missing: Sequence[str] = ()


async def read(source: Source, how: Comparison, palette: theme.Theme) -> Drawn:
    """What there is of a comparison; figures are built beside the event loop."""
    runs = await source.several(how.runs[:MOST])
    measured = set(keys_of(runs))
    missing = [key for key in how.keys if key not in measured]
    keys = [key for key in how.keys or usual_keys(runs) if key in measured]
    if not keys:
        return Drawn(groups=[], figures={}, keys=(), runs=runs, missing=missing)
    by = [named(name, runs) for name in how.group]
    ids = [run.id for run in runs]
    groups, tails = await asyncio.gather(
        source.groups(ids, keys, by=by, x=how.x, buckets=BUCKETS),
        asyncio.gather(*(source.tail(run_id) for run_id in ids[:TAILS])),
    )

    def draw() -> dict[str, Figure]:
        return curves(how, keys, groups, palette) | pictures(runs, groups, tails, palette)

    drawn = await asyncio.to_thread(draw)
    return Drawn(groups=groups, figures=drawn, keys=tuple(keys), runs=runs, missing=missing)


def curves(
    how: Comparison, keys: Sequence[str], groups: Sequence[GroupSeries], palette: theme.Theme
) -> dict[str, Figure]:
    """A figure for each of the keys, with a line for each of the groups."""
    drawn = {}
    for place, key in enumerate(keys):
        lines = [(group.label, line(group, key, how)) for group in groups]
        revision = f"{key} {how.x} {how.log}"
        drawn[f"compare-{place}"] = overlay.figure(
            lines, axis=how.x, log=how.log, theme=palette, revision=revision
        )
    return drawn


def pictures(
    runs: Sequence[Run],
    groups: Sequence[GroupSeries],
    tails: Sequence[Tail | None],
    palette: theme.Theme,
) -> dict[str, Figure]:
    """The tails of the first runs in two pictures, each in the colour of its group.

    Args:
        runs: In their order.
        groups: That they are in.
        tails: Of the first of them; None of one that has no histogram.
        palette: The theme.
    """
    places = {member: place for place, group in enumerate(groups) for member in group.members}
    own = [
        together.Own(run.name or run.id, places[run.id], tail)
        for run, tail in zip(runs, tails, strict=False)
        if tail is not None
    ]
    if not own:
        return {}
    return {SURVIVAL: together.survival(own, palette), HILL: together.hill(own, palette)}


def legend(groups: Sequence[GroupSeries], runs: Sequence[Run]) -> list[Component]:
    """Which line is which, in words that cannot be mistaken for markup."""
    by_id = {run.id: run for run in runs}
    return [
        html.Li(_entry(place, group.label, [by_id[member] for member in group.members]))
        for place, group in enumerate(groups)
    ]


def tables(runs: Sequence[Run], keys: Sequence[str]) -> list[Component]:
    """A row for each run: settings that differ and the latest of what is drawn; then all the rest.

    Args:
        runs: That are compared.
        keys: That have a chart.
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
    return [swatch, dcc.Link(label, href=f"/run/{run.id}"), cards.state(run.state)]


def _table(shown: Mapping[str, Sequence[Row]], runs: Sequence[Run]) -> Component:
    """A row for each run, a column for each of the rows, below the title that they share."""
    rows = [row for found in shown.values() for row in found]
    body = [
        html.Tr(
            [
                html.Th(dcc.Link(run.name or run.id, href=f"/run/{run.id}"), scope="row"),
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
    heads = html.Tr([html.Th("run"), *(html.Th(row.name) for row in rows)])
    above = [html.Tr([html.Td(), *titles])] if titles else []
    table = html.Table([html.Thead([*above, heads]), html.Tbody(body)])
    return html.Div(table, className="scroll", tabIndex=0)
