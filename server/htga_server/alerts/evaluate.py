"""Looking for alarms in what is stored; whether live or on trial, in the one same way."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import sqlalchemy as sa

from htga_client.wire import SCALARS
from htga_server.alerts.conditions import Alarm, Steps, Values
from htga_server.runs.lookup import name_ids
from htga_server.storage.tables import tracks
from htga_server.storage.values import numbers
from htga_server.timeseries.series_key import LAYERS, METRICS, Track

CHUNK = 20_000
"""Rows that are looked at at a time."""


class Found(NamedTuple):
    """Where an alarm went off."""

    alarm: Alarm
    track: Track
    attempt: int
    step: int
    time: float
    value: float


def watched(
    connection: sa.Connection, run_key: int, alarms: Iterable[Alarm]
) -> dict[Track, list[Alarm]]:
    """The tracks of a run that hold the alarms' keys: the whole model and metrics, on all ranks."""
    whole = name_ids(connection, run_key, "layer").get("")
    metrics = name_ids(connection, run_key, "metric")
    wanted: dict[tuple[str, int], list[Alarm]] = {}
    for alarm in alarms:
        kind = LAYERS if alarm.key in SCALARS else METRICS
        name_id = whole if kind is LAYERS else metrics.get(alarm.key)
        if name_id is not None:
            wanted.setdefault((kind.name, name_id), []).append(alarm)
    place = sa.tuple_(tracks.c.kind, tracks.c.name_id)
    rows = connection.execute(
        sa.select(tracks.c.kind, tracks.c.name_id, tracks.c.rank)
        .where(tracks.c.run_key == run_key, place.in_(list(wanted)))
        .order_by(tracks.c.kind, tracks.c.name_id, tracks.c.rank)
    )
    kinds = {kind.name: kind for kind in (LAYERS, METRICS)}
    return {
        Track(kinds[kind], run_key, name_id, rank): wanted[kind, name_id]
        for kind, name_id, rank in rows
    }


def look(
    connection: sa.Connection, track: Track, alarms: Sequence[Alarm], start: int, stop: int
) -> Iterator[Found]:
    """Where alarms go off in `start <= step < stop`, each attempt at a step for itself.

    What lies before `start` is read as far as it decides.
    """
    columns = {alarm: _column(track, alarm) for alarm in alarms}
    keys = list(dict.fromkeys(columns.values()))
    while rows := _rows(connection, track, keys, start, stop):
        start = rows[-1][0] + 1
        step = np.array([row[0] for row in rows], np.int64)
        attempts = np.array([row[1] for row in rows], np.int64)
        for column, key in enumerate(keys, 3):
            values, measured = numbers([row[column] for row in rows])
            own = [alarm for alarm in alarms if columns[alarm] == key]
            most = max(alarm.context for alarm in own)
            for attempt in np.unique(attempts[measured]).tolist():
                which = np.flatnonzero(measured & (attempts == attempt))
                first = int(step[which[0]])
                before = _before(connection, track, key, attempt=attempt, step=first, most=most)
                steps = np.concatenate([before[0], step[which]])
                all_values = np.concatenate([before[1], values[which]])
                for alarm in own:
                    goes_off = alarm.goes_off(steps, all_values)[before[0].size :]
                    for at in which[goes_off].tolist():
                        when, value = rows[at][2], float(values[at])
                        yield Found(alarm, track, attempt, rows[at][0], when, value)


def _column(track: Track, alarm: Alarm) -> str:
    return alarm.key if track.kind is LAYERS else "value"


def _rows(
    connection: sa.Connection, track: Track, keys: Sequence[str], start: int, stop: int
) -> list[Any]:
    """Step, attempt, time and values of the next rows, all attempts at a step together."""
    table = track.kind.table
    query = (
        sa.select(table.c.step, table.c.attempt, table.c.time, *(table.c[key] for key in keys))
        .where(*track.of(table), table.c.step >= start, table.c.step < stop)
        .order_by(table.c.step, table.c.attempt)
    )
    rows: list[Any] = list(connection.execute(query.limit(CHUNK)))
    if len(rows) == CHUNK:
        last = rows[-1][0]
        rest = query.where(table.c.step == last)
        rows = [row for row in rows if row[0] < last] + list(connection.execute(rest))
    return rows


def _before(
    connection: sa.Connection, track: Track, key: str, *, attempt: int, step: int, most: int
) -> tuple[Steps, Values]:
    """The last values before a step as an attempt at it found them, `most` of them if there are."""
    table = track.kind.table
    query = (
        sa.select(table.c.step, table.c[key])
        .where(*track.of(table), table.c.step < step, table.c.attempt <= attempt)
        .where(table.c[key].is_not(None))
        .order_by(table.c.step.desc(), table.c.attempt.desc())
    )
    limit = most
    while True:
        rows = connection.execute(query.limit(limit)).all()
        found: dict[int, Any] = dict(map(tuple, reversed(rows)))  # of a step the latest attempt
        if len(found) >= most or len(rows) < limit:
            break
        limit *= 4  # steps were taken more than once
    steps = sorted(found)[-most:]
    values, _ = numbers([found[at] for at in steps])
    return np.array(steps, np.int64), values
