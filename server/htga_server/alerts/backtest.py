"""Backtest a rule on stored values: where it would have fired."""

from __future__ import annotations

import time

import sqlalchemy as sa

from htga_client.wire import Firing, Firings, Trial
from htga_server.alerts import conditions
from htga_server.alerts.evaluate import detect, watched_series
from htga_server.problems import BadRequest
from htga_server.runs.lookup import NOT_DELETED
from htga_server.storage.tables import runs
from htga_server.timeseries.rollup import MAX_STEP
from htga_server.timeseries.snapshot import Snapshot

MAX_FIRINGS = 1000
MAX_RUNS = 200


def backtest(snapshot: Snapshot, trial: Trial, *, seconds: float) -> Firings:
    """Return where a rule would have fired, newest runs first.

    An answer ends after the run that completes `MAX_FIRINGS`, or after `MAX_RUNS` runs.

    Args:
        seconds: Maximum time.

    Raises:
        BadRequest: The cursor is invalid, or the backtest takes too long.
    """
    connection = snapshot.connection
    detector, until = conditions.from_rule(trial.rule), time.monotonic() + seconds
    query = sa.select(runs.c.run_key, runs.c.id, runs.c.name).where(
        NOT_DELETED, runs.c.project == trial.rule.project
    )
    if trial.runs:
        query = query.where(runs.c.id.in_(trial.runs))
    if trial.cursor is not None:
        if not trial.cursor.isdecimal() or len(trial.cursor) > 18:
            raise BadRequest(f"cursor {trial.cursor[:40]!r} is none of ours")
        query = query.where(runs.c.run_key < int(trial.cursor))
    found: list[Firing] = []
    rows = connection.execute(query.order_by(runs.c.run_key.desc()).limit(MAX_RUNS + 1)).all()
    for number, row in enumerate(rows, 1):
        for series, own in watched_series(connection, row.run_key, [detector]).items():
            stored = snapshot.rows_of(row.run_key, series.kind)
            for one in detect(stored, series, own, 0, MAX_STEP) if stored else ():
                if len(found) < MAX_FIRINGS:
                    found.append(
                        Firing(
                            run_id=row.id,
                            run_name=row.name,
                            rank=series.rank,
                            step=one.step,
                            value=one.value,
                            text=detector.text(one.value),
                        )
                    )
        if time.monotonic() > until:
            raise BadRequest(f"the trial took longer than {seconds:g} s; name fewer runs")
        if number < len(rows) and (len(found) >= MAX_FIRINGS or number == MAX_RUNS):
            damaged = tuple(snapshot.damaged)
            return Firings(items=tuple(found), next=str(row.run_key), damaged=damaged)
    return Firings(items=tuple(found), damaged=tuple(snapshot.damaged))
