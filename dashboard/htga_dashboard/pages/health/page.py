"""The page of the collector's health: its status, alert rules and tokens."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import SplitResult

from dash import Dash, Input, Output, dcc, html, no_update
from dash.development.base_component import Component

from htga_client.wire import Rule, Run, Status, Token
from htga_dashboard.components import cards, ids
from htga_dashboard.components.attributes import attributes
from htga_dashboard.models.number_format import significant
from htga_dashboard.pages.health import rules
from htga_dashboard.pages.health.rule_form import keys_of
from htga_dashboard.source.http import RefusedError, SourceError
from htga_dashboard.source.source import Source

REFRESH_S = 5
"""Seconds between two readings of the status."""

RUNS = 200
"""Number of newest runs whose projects and metrics a rule can choose from."""

GIB = 2**30
LOW_DISK, CRITICAL_DISK = 5 * GIB, GIB
LONG_QUEUE = 64
SLOW_COMMIT_MS = 500

Verdict = Literal["good", "warn", "bad", ""]


@dataclass(frozen=True, slots=True)
class Reading:
    """One value of the status, a remark, and a verdict on it."""

    name: str
    value: str
    remark: str = ""
    verdict: Verdict = ""


def layout(
    status: Status, found: Sequence[Rule], runs: Sequence[Run], tokens: Sequence[Token] | str
) -> Component:
    """The page; `tokens` is a sentence if the reader may not see them."""
    projects = sorted({run.project for run in runs} | {rule.project for rule in found})
    metrics = sorted({name for run in runs for name in run.metrics})
    return html.Div(
        [
            dcc.Interval(id=ids.HEALTH_TICK, interval=1000 * REFRESH_S),
            html.Header(
                [
                    html.H1("Health"),
                    html.Span(_as_of(), id=ids.HEALTH_AS_OF, className="hint", role="status"),
                ],
                className="title",
            ),
            html.Dl(shown(status), id=ids.HEALTH_READINGS, className="readings"),
            rules.layout(found, projects, keys_of(metrics)),
            html.Article([html.Header(html.H2("Tokens")), _tokens(tokens)], className="card"),
        ],
        className="page health",
        **attributes(data_title="Health"),
    )


def validation_layout() -> Component:
    """Every component that the callbacks refer to, for Dash to check their ids."""
    return html.Div(
        [
            dcc.Interval(id=ids.HEALTH_TICK),
            html.Dl(id=ids.HEALTH_READINGS),
            html.Span(id=ids.HEALTH_AS_OF),
            rules.layout((), (), ()),
        ]
    )


def readings(status: Status) -> list[Reading]:
    """The readings of a collector, the most important first."""
    p50, p95 = status.commit_ms.p50, status.commit_ms.p95
    slow = p95 is not None and p95 > SLOW_COMMIT_MS
    disk: Verdict = (
        "bad"
        if status.disk_free < CRITICAL_DISK
        else "warn"
        if status.disk_free < LOW_DISK
        else "good"
    )
    last = status.last_write_s
    return [
        Reading("ingest", f"{significant(status.rows_per_s)} /s", "rows, over the last minute"),
        Reading(
            "queue",
            f"{status.queue:,}",
            "writes that wait",
            "warn" if status.queue > LONG_QUEUE else "good",
        ),
        Reading(
            "commit, median",
            "\N{EN DASH}" if p50 is None else f"{significant(p50)} ms",
            "" if p95 is None else f"95 % within {significant(p95)} ms",
            "warn" if slow else "good",
        ),
        Reading("last row", "never" if last is None else f"{_span(last)} ago"),
        Reading("runs", f"{status.runs:,}", f"{status.running:,} running"),
        Reading("rows", f"{status.rows_total:,}", "ever stored"),
        Reading("database", _size(status.database_bytes), status.database),
        Reading("disk free", _size(status.disk_free), "", disk),
        *_archive(status),
        Reading("watching", f"{status.live_clients:,}", "open event streams"),
        Reading("version", status.version, f"up for {_span(status.uptime_s)}"),
    ]


def _archive(status: Status) -> list[Reading]:
    """Nothing while no damage is known."""
    if not status.archive_damaged:
        return []
    more = status.archive_damaged - len(status.archive_faults)
    remark = "; ".join(status.archive_faults) + (f"; and {more:,} more" if more else "")
    return [Reading("archive", f"{status.archive_damaged:,} damaged", remark, "bad")]


def shown(status: Status) -> list[Component]:
    """The readings on the page; a verdict is a word and a sign, not only a colour."""
    words = {"good": "well", "warn": "check this", "bad": "act now", "": ""}
    return [
        html.Div(
            [
                html.Dt(reading.name),
                html.Dd(
                    [
                        reading.value,
                        html.Small(reading.remark),
                        html.Small(words[reading.verdict], className=f"verdict {reading.verdict}"),
                    ]
                ),
            ]
        )
        for reading in readings(status)
    ]


async def read(source: Source, _url: SplitResult) -> Component:
    """Load the page."""
    status, found, runs, tokens = await asyncio.gather(
        source.status(), source.rules.all(), source.newest(RUNS), _tokens_of(source)
    )
    return layout(status, found, runs, tokens)


def register(app: Dash, source: Source) -> None:
    """Register the callbacks: refresh the readings every few seconds, and keep them on failure."""

    @app.callback(
        Output(ids.HEALTH_READINGS, "children"),
        Output(ids.HEALTH_AS_OF, "children"),
        Input(ids.HEALTH_TICK, "n_intervals"),
        prevent_initial_call=True,
    )
    async def refresh(_ticks: int) -> Any:
        try:
            return shown(await source.status()), _as_of()
        except SourceError as error:
            return no_update, f"{error} Trying again."

    rules.register(app, source)


async def _tokens_of(source: Source) -> Sequence[Token] | str:
    try:
        return await source.tokens()
    except RefusedError as error:
        return f"Only an admin token may see them. {error}"


def _as_of() -> list[Component]:
    now = str(time.time())
    return [html.Span("as of "), html.Time(**attributes(data_unix=now))]


def _tokens(tokens: Sequence[Token] | str) -> Component:
    if isinstance(tokens, str):
        return html.P(tokens, className="hint none")
    if not tokens:
        return html.P(
            [
                "None. ",
                html.Code("htga token create NAME"),
                " makes one; without any, only this machine is answered.",
            ],
            className="hint none",
        )
    headers = ("name", "may", "project", "made", "ends")
    rows = [
        html.Tr(
            [
                html.Th(token.name, scope="row"),
                html.Td(", ".join(token.scopes)),
                html.Td(token.project or "all"),
                html.Td(cards.time_ago(token.created)),
                html.Td(_end(token)),
            ]
        )
        for token in tokens
    ]
    table = html.Table(
        [html.Thead(html.Tr([html.Th(header) for header in headers])), html.Tbody(rows)]
    )
    return html.Div(table, className="scroll", tabIndex=0)


def _end(token: Token) -> Any:
    if token.revoked is not None:
        return ["revoked ", cards.time_ago(token.revoked)]
    if token.expires is None:
        return "never"
    if token.expires < time.time():
        return ["expired ", cards.time_ago(token.expires)]
    return time.strftime("%d %b %Y", time.localtime(token.expires))


def _size(count: int) -> str:
    size = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.3g} {unit}"
        size /= 1024
    return f"{size:,.3g} TiB"


def _span(seconds: float) -> str:
    for unit, length in (("days", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length:.0f} {unit}"
    return f"{seconds:.0f} s"
