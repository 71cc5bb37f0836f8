"""Storing a request's rows: one transaction that either happened, whole, or did not.

A writer numbers its rows. `writers.next_seq` moves in the same transaction that stores them, so a
batch that is sent again, because its answer was lost, is recognised however late it comes.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any, Literal

import numpy as np
import sqlalchemy as sa

from htga_client.wire import Receipt
from htga_server import bulk, events, settle
from htga_server.columns import to_json
from htga_server.decode import Batch
from htga_server.keys import lock_open, name_ids
from htga_server.problems import Conflict, Quota
from htga_server.rows import Rows
from htga_server.settings import Settings
from htga_server.tables import gaps, names, runs, writers
from htga_server.tracks import LAYERS, METRICS
from htga_server.writers import Writer, take_up

Summary = dict[str, float]

# Built once: building a statement takes longer than executing it.
_TOUCH = (
    sa.update(runs)
    .where(runs.c.run_key == sa.bindparam("key"))
    .values(
        {name: sa.bindparam(name) for name in ("updated", "last_step", "summary", "low", "high")}
    )
    .values(rows=runs.c.rows + sa.bindparam("accepted"))
    .values(archived=False)  # what the archive holds is no longer all of it
)
_ADVANCE = (
    sa.update(writers)
    .where(writers.c.run_key == sa.bindparam("key"), writers.c.writer == sa.bindparam("own"))
    .values({name: sa.bindparam(name) for name in ("next_seq", "batch_first", "batch_digest")})
)


def store(connection: sa.Connection, run_id: str, batch: Batch, limits: Settings) -> Receipt:
    """Store a batch of rows of one run.

    A row whose key is stored already in the same attempt is merged into it: what the new row
    measured wins, what it leaves null stays.

    Raises:
        NotFound: There is no such run.
        Conflict: Rows before this batch are missing (the problem says `expected_seq`), or others
            were stored under these numbers, or the run was pruned.
        Quota: The run would have more layers, metrics or writers than is allowed.
    """
    run = lock_open(connection, run_id)
    rows, sent = batch.rows, batch.rows.sent
    if batch.writer is None:
        attempt, known = run.attempt, 0
    else:
        writer = take_up(connection, run.run_key, batch.writer, most=limits.writers_per_run)
        attempt = writer.attempt
        expected = _after_gaps(connection, run.run_key, batch, writer.next_seq)
        if batch.first_seq > expected:
            raise Conflict(
                f"rows {expected} to {batch.first_seq - 1} of this writer are missing",
                slug="sequence-gap",
                expected_seq=expected,
            )
        _refuse_other_rows(writer, batch)
        known = min(expected - batch.first_seq, sent)
    steps, metrics = rows.steps.since(known), rows.metrics.since(known)
    rejected = tuple(r for r in rows.rejected if r.row >= known)
    layer_ids = _intern(connection, run.run_key, "layer", steps.names, limits.layers_per_run)
    metric_ids = _intern(connection, run.run_key, "metric", metrics.names, limits.metrics_per_run)
    settle.add(
        connection,
        LAYERS,
        run_key=run.run_key,
        attempt=attempt,
        rows=steps,
        ids=layer_ids,
    )
    settle.add(
        connection,
        METRICS,
        run_key=run.run_key,
        attempt=attempt,
        rows=metrics,
        ids=metric_ids,
    )
    events.store(connection, run.run_key, attempt, [e for e in rows.events if e.row >= known])
    accepted = sent - known - len(rejected)
    if known < sent:
        _touch(connection, run, batch, steps, metrics, accepted=accepted)
    next_seq = None
    if batch.writer is not None:
        next_seq = max(batch.first_seq + sent, expected)
        if known < sent:
            connection.execute(
                _ADVANCE,
                {
                    "key": run.run_key,
                    "own": batch.writer,
                    "next_seq": next_seq,
                    "batch_first": batch.first_seq,
                    "batch_digest": rows.digest,
                },
            )
    return Receipt(
        accepted=accepted,
        duplicates=known,
        rejected=rejected,
        next_seq=next_seq,
    )


def _after_gaps(connection: sa.Connection, run_key: int, batch: Batch, expected: int) -> int:
    """The number expected next when what the writer has lost is passed over, and kept."""
    for first, end in sorted(batch.gaps):
        if first <= expected < end:
            bulk.put(connection, gaps, [(run_key, batch.writer, expected, end, time.time())])
            connection.execute(
                sa.update(writers)
                .where(writers.c.run_key == run_key, writers.c.writer == batch.writer)
                .values(next_seq=end)
            )
            expected = end
    return expected


def _refuse_other_rows(writer: Writer, batch: Batch) -> None:
    """Two processes that number their rows as the same writer would lose each other's."""
    again = batch.first_seq == writer.batch_first and batch.rows.sent > 0
    if (
        again
        and batch.first_seq + batch.rows.sent == writer.next_seq
        and bytes(writer.batch_digest or b"") != batch.rows.digest
    ):
        raise Conflict(
            f"other rows were stored as {batch.first_seq} to {writer.next_seq - 1} of this writer;"
            " a writer's id must belong to one process",
            slug="sequence-conflict",
        )


def _touch(
    connection: sa.Connection, run: Any, batch: Batch, steps: Rows, metrics: Rows, *, accepted: int
) -> None:
    """Note on the run how far it is and what it measured last, at least and at most."""
    last, low, high = _extremes(steps, metrics)
    late = (batch.rows.last_step or 0) < (run.last_step or 0)
    connection.execute(
        _TOUCH,
        {
            "key": run.run_key,
            "updated": time.time(),
            "accepted": accepted,
            "last_step": max(
                (s for s in (batch.rows.last_step, run.last_step) if s is not None), default=None
            ),
            "summary": _as_json({**last, **run.summary} if late else {**run.summary, **last}),
            "low": _as_json(_each(np.fmin, low, run.low)),
            "high": _as_json(_each(np.fmax, high, run.high)),
        },
    )


def _extremes(*parts: Rows) -> tuple[Summary, Summary, Summary]:
    """Last, least and greatest values of the whole model's keys and of metrics, on rank 0."""
    last: Summary = {}
    low: Summary = {}
    high: Summary = {}
    for rows in parts:
        for track in rows.tracks():
            name = track.names[track.name[0]]
            if track.rank[0] or (name and "value" not in track.columns):
                continue
            for key, (values, measured) in track.values().items():
                own = values[measured]
                if own.size:
                    label = name or key
                    last[label] = float(own[-1])
                    low[label], high[label] = float(np.fmin.reduce(own)), float(np.fmax.reduce(own))
    return last, low, high


def _each(choose: np.ufunc, new: Summary, old: dict[str, Any]) -> Summary:
    merged = {key: float(value) for key, value in old.items()}
    for key, value in new.items():
        merged[key] = float(choose(value, merged.get(key, value)))
    return merged


def _as_json(values: dict[str, Any]) -> dict[str, float | str]:
    return {key: to_json(float(value)) for key, value in values.items()}


def _intern(
    connection: sa.Connection,
    run_key: int,
    kind: Literal["layer", "metric"],
    wanted: Iterable[str],
    most: int,
) -> dict[str, int]:
    """The numbers of names, giving the next free ones to those not seen before."""
    wanted = list(wanted)
    if not wanted:
        return {}
    known = name_ids(connection, run_key, kind)
    missing = [name for name in wanted if name not in known]
    start = max(known.values(), default=-1) + 1
    if missing and start + len(missing) > most:
        raise Quota(f"a run has at most {most} {kind}s", limit=most, actual=start + len(missing))
    added = {name: start + i for i, name in enumerate(missing)}
    if added:
        bulk.put(
            connection, names, [(run_key, kind, number, name) for name, number in added.items()]
        )
    return known | added
