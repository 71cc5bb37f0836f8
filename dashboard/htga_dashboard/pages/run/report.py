"""A run as one HTML file with its charts, which needs neither collector nor network."""

from __future__ import annotations

import html
from collections.abc import Mapping
from importlib import metadata

from htga_client.wire import Run
from htga_client.wire.flat_config import flat
from htga_dashboard.components import graph
from htga_dashboard.figures import plotly_script, theme
from htga_dashboard.figures.layout import Figure
from htga_dashboard.models.charts import charts_of
from htga_dashboard.models.number_format import significant
from htga_dashboard.pages.run.view_state import HEAT

STYLE = """
:root { color-scheme: light; }
body { max-width: 1180px; margin: 32px auto; padding: 0 24px; background: #f5f7fa; color: %(text)s;
  font: 14px/1.5 -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
h1 { margin: 0; font-size: 24px; } h2 { margin: 0 0 4px; font-size: 15px; }
h1, h2, p, td, th { overflow-wrap: anywhere; } p { color: %(muted)s; }
section { margin: 16px 0; padding: 14px 18px; border: 1px solid #e2e7ee; border-radius: 10px;
  background: %(surface)s; break-inside: avoid; }
table { border-collapse: collapse; } pre { white-space: pre-wrap; }
th, td { padding: 4px 18px 4px 0; text-align: left; vertical-align: top; font-weight: 400; }
th { color: %(muted)s; }
"""


def to_html(run: Run, drawn: Mapping[str, Figure]) -> str:
    """The file. It fetches nothing, and all text of the run is escaped.

    Args:
        run: The run.
        drawn: Its figures from `load.build`, in the light theme.
    """
    titles = {chart.name: chart.title for chart in charts_of(run)} | {HEAT: "|gradient| over steps"}
    parts = [
        _section(titles.get(name, name), _graph(figure, place))
        for place, (name, figure) in enumerate(drawn.items())
    ]
    values = {name: significant(value) for name, value in run.summary.items()}
    tables = (("Latest values", values), ("Configuration", flat(run.config)))
    parts += [_section(title, _table(rows)) for title, rows in tables if rows]
    if run.notes:
        parts.insert(0, _section("Notes", f"<pre>{html.escape(run.notes)}</pre>"))
    name = html.escape(run.name or run.id)
    facts = [run.project, run.state, f"run {run.id}", *run.tags]
    if run.last_step is not None:
        facts.insert(2, f"to step {run.last_step:,}")
    palette = theme.LIGHT
    colours = {"text": palette.text, "muted": palette.muted, "surface": palette.surface}
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{name}</title>'
        f"<style>{STYLE % colours}</style><script>{plotly_script.script()}</script></head><body>"
        f"<h1>{name}</h1><p>{html.escape(', '.join(facts))}</p>{''.join(parts)}"
        f"<p>HTGA {html.escape(metadata.version('htga'))}</p></body></html>\n"
    )


def _section(title: str, content: str) -> str:
    return f"<section><h2>{html.escape(title)}</h2>{content}</section>"


def _graph(figure: Figure, place: int) -> str:
    # No text of the run can close the script element.
    drawn = graph.to_json(figure).replace("<", "\\u003c")
    config = '{"displaylogo": false, "responsive": true}'
    return (
        f'<div id="chart-{place}" style="height: 280px"></div><script>{{ const figure = {drawn};'
        f' Plotly.newPlot("chart-{place}", figure.data, figure.layout, {config}); }}</script>'
    )


def _table(rows: Mapping[str, str]) -> str:
    cells = (
        f"<tr><th>{html.escape(name)}</th><td>{html.escape(value)}</td></tr>"
        for name, value in rows.items()
    )
    return f"<table>{''.join(cells)}</table>"
