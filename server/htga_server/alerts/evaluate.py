"""Run detectors over stored values, in the same way live and in a backtest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import sqlalchemy as sa

from htga_client.wire import SCALARS
from htga_server.alerts.conditions import Detector
from htga_server.runs.lookup import name_ids
from htga_server.storage.tables import tracks
from htga_server.storage.values import to_array
from htga_server.timeseries.raw_rows import RawRows
from htga_server.timeseries.series_key import KINDS, LAYERS, METRICS, SeriesKey

ROWS_AT_ONCE = 20_000


class Detection(NamedTuple):
    """A value at which a detector fired."""

    detector: Detector
    series: SeriesKey
    attempt: int
    step: int
    time: float
    value: float


def watched_series(
    connection: sa.Connection, run_key: int, detectors: Iterable[Detector]
) -> dict[SeriesKey, list[Detector]]:
    """Return the series with the detectors' keys: the whole model and metrics, on all ranks."""
    whole = name_ids(connection, run_key, "layer").get("")
    metrics = name_ids(connection, run_key, "metric")
    wanted: dict[tuple[str, int], list[Detector]] = {}
    for detector in detectors:
        # A client that is older than a scalar may have logged a metric of its name.
        kind = METRICS if detector.key in metrics or detector.key not in SCALARS else LAYERS
        name_id = whole if kind is LAYERS else metrics.get(detector.key)
        if name_id is not None:
            wanted.setdefault((kind.name, name_id), []).append(detector)
    place = sa.tuple_(tracks.c.kind, tracks.c.name_id)
    rows = connection.execute(
        sa.select(tracks.c.kind, tracks.c.name_id, tracks.c.rank)
        .where(tracks.c.run_key == run_key, place.in_(list(wanted)))
        .order_by(tracks.c.kind, tracks.c.name_id, tracks.c.rank)
    )
    return {
        SeriesKey(KINDS[kind], run_key, name_id, rank): wanted[kind, name_id]
        for kind, name_id, rank in rows
    }


def detect(
    stored: RawRows,
    series: SeriesKey,
    detectors: Sequence[Detector],
    start: int,
    stop: int,
) -> Iterator[Detection]:
    """Yield where detectors fire in `start <= step < stop`, for each attempt by itself.

    Values before `start` are read as far back as the detectors need.

    Args:
        stored: Reads the rows of the series.
    """
    columns = {detector: _column(series, detector) for detector in detectors}
    keys = list(dict.fromkeys(columns.values()))
    while rows := stored.attempts(series, start, stop, keys, ROWS_AT_ONCE):
        start = rows[-1][0] + 1
        step = np.array([row[0] for row in rows], np.int64)
        attempts = np.array([row[1] for row in rows], np.int64)
        for column, key in enumerate(keys, 3):
            values, measured = to_array([row[column] for row in rows])
            own = [detector for detector in detectors if columns[detector] == key]
            limit = max(detector.context for detector in own)
            for attempt in np.unique(attempts[measured]).tolist():
                which = np.flatnonzero(measured & (attempts == attempt))
                first = int(step[which[0]])
                before = stored.before(series, key, attempt=attempt, step=first, limit=limit)
                steps = np.concatenate([before[0], step[which]])
                all_values = np.concatenate([before[1], values[which]])
                for detector in own:
                    fires = detector.fires(steps, all_values)[before[0].size :]
                    for at in which[fires].tolist():
                        when, value = rows[at][2], float(values[at])
                        yield Detection(detector, series, attempt, rows[at][0], when, value)


def _column(series: SeriesKey, detector: Detector) -> str:
    return detector.key if series.kind is LAYERS else "value"
