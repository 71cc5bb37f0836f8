"""Trying a rule on what is stored, before it is made: what it would have said, and when."""

from __future__ import annotations

import time

import sqlalchemy as sa

from htga_client.wire import Firing, Firings, Trial
from htga_server.alerts import conditions as alarms
from htga_server.alerts import evaluate as signals
from htga_server.problems import BadRequest
from htga_server.runs.lookup import HERE
from htga_server.storage.tables import runs
from htga_server.timeseries.rollup import MAX_STEP

MOST_FIRINGS = 1000
MOST_RUNS = 200


def run(connection: sa.Connection, trial: Trial, *, seconds: float) -> Firings:
    """Where a rule would have fired, in the newest runs first.

    An answer ends after the run with which it holds `MOST_FIRINGS`, or `MOST_RUNS` were looked at.

    Args:
        seconds: How long it may take.

    Raises:
        BadRequest: The cursor is none of ours, or it takes too long.
    """
    alarm, until = alarms.of_rule(trial.rule), time.monotonic() + seconds
    query = sa.select(runs.c.run_key, runs.c.id, runs.c.name).where(
        HERE, runs.c.project == trial.rule.project
    )
    if trial.runs:
        query = query.where(runs.c.id.in_(trial.runs))
    if trial.cursor is not None:
        if not trial.cursor.isdecimal() or len(trial.cursor) > 18:
            raise BadRequest(f"cursor {trial.cursor[:40]!r} is none of ours")
        query = query.where(runs.c.run_key < int(trial.cursor))
    found: list[Firing] = []
    rows = connection.execute(query.order_by(runs.c.run_key.desc()).limit(MOST_RUNS + 1)).all()
    for number, row in enumerate(rows, 1):
        for track, own in signals.watched(connection, row.run_key, [alarm]).items():
            for one in signals.look(connection, track, own, 0, MAX_STEP):
                if len(found) < MOST_FIRINGS:
                    found.append(
                        Firing(
                            run_id=row.id,
                            run_name=row.name,
                            rank=track.rank,
                            step=one.step,
                            value=one.value,
                            text=alarm.text(one.value),
                        )
                    )
        if time.monotonic() > until:
            raise BadRequest(f"the trial took longer than {seconds:g} s; name fewer runs")
        if number < len(rows) and (len(found) >= MOST_FIRINGS or number == MOST_RUNS):
            return Firings(items=tuple(found), next=str(row.run_key))
    return Firings(items=tuple(found))
