"""Storing a batch: one transaction that either happened, whole, or did not.

A writer numbers its rows. `writers.next_seq` moves in the same transaction that stores them, so a
batch that is sent again, because its answer was lost, is recognised however late it comes.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from htga_client.wire import SCALARS, Receipt
from htga_server.columns import cells, to_json
from htga_server.decode import Batch, check
from htga_server.problems import Conflict
from htga_server.runs import lock, name_ids, writer_attempt
from htga_server.tables import metrics, names, runs, steps, writers

# What a map is in memory; Arrow can flatten a list of structs, but no map.
PAIRS = pa.list_(pa.struct([("key", pa.string()), ("value", pa.float64())]))


def store(connection: sa.Connection, run_id: str, batch: Batch) -> Receipt:
    """Store a batch of rows of one run.

    A row whose key is stored already in the same attempt is merged into it: what the new row
    measured wins, what it leaves null stays.

    Raises:
        NotFound: There is no such run.
        Conflict: Rows before this batch are missing; the problem says `expected_seq`.
    """
    run = lock(connection, run_id)
    sent = batch.table.num_rows
    if batch.writer is None:
        attempt, known = run.attempt, 0
    else:
        attempt, expected = writer_attempt(connection, run.run_key, batch.writer)
        expected = max([expected, *(end for begin, end in batch.gaps if begin <= expected)])
        if batch.first_seq > expected:
            raise Conflict(
                f"rows {expected} to {batch.first_seq - 1} of this writer are missing",
                expected_seq=expected,
            )
        known = min(expected - batch.first_seq, sent)
    keep, rejected = check(batch.table)
    keep[:known] = False
    rejected = tuple(r for r in rejected if r.row >= known)
    fresh = batch.table.filter(pa.array(keep))
    if fresh.num_rows:
        _store_rows(connection, run, attempt, fresh)
    next_seq = None
    if batch.writer is not None:
        next_seq = max(batch.first_seq + sent, expected)
        if known < sent:
            connection.execute(
                sa.update(writers)
                .where(writers.c.run_key == run.run_key, writers.c.writer == batch.writer)
                .values(next_seq=next_seq)
            )
    return Receipt(accepted=fresh.num_rows, duplicates=known, rejected=rejected, next_seq=next_seq)


def _store_rows(connection: sa.Connection, run: Any, attempt: int, rows: pa.Table) -> None:
    now = time.time()
    rows = rows.set_column(1, "time", pc.fill_null(rows["time"], now))
    rows = rows.set_column(2, "layer", pc.fill_null(rows["layer"], ""))
    rows = rows.set_column(3, "rank", pc.fill_null(rows["rank"], 0))
    key = {"run_key": run.run_key, "attempt": attempt}
    _store_steps(connection, key, rows)
    _store_metrics(connection, key, rows)
    last_step = pc.max(rows["step"]).as_py()
    connection.execute(
        sa.update(runs)
        .where(runs.c.run_key == run.run_key)
        .values(
            updated=now,
            archived=False,  # what the archive holds is no longer all of it
            last_step=max(last_step, run.last_step if run.last_step is not None else -1),
            summary={**run.summary, **_last_values(rows)},
        )
    )


def _store_steps(connection: sa.Connection, key: dict[str, int], rows: pa.Table) -> None:
    measured = np.zeros(rows.num_rows, np.bool_)
    for name in (*SCALARS, "histogram"):
        measured |= np.asarray(pc.is_valid(rows[name]))
    rows = rows.filter(pa.array(measured))
    if rows.num_rows == 0:
        return
    layer_ids = _intern(connection, key["run_key"], "layer", rows["layer"].unique().to_pylist())
    dialect = connection.dialect.name
    columns = {
        name: cells(rows[name], dialect) for name in ("rank", "step", "time", *SCALARS, "histogram")
    }
    columns["layer_id"] = [layer_ids[name] for name in rows["layer"].to_pylist()]
    _merge(connection, steps, key, columns)


def _store_metrics(connection: sa.Connection, key: dict[str, int], rows: pa.Table) -> None:
    pairs = rows["metrics"].combine_chunks().cast(PAIRS)
    lengths = pc.fill_null(pc.list_value_length(pairs), 0)
    if not pc.any(pc.greater(lengths, 0)).as_py():
        return
    row = np.repeat(np.arange(rows.num_rows), np.asarray(lengths))
    flat = pairs.flatten()
    labels = flat.field(0)
    metric_ids = _intern(connection, key["run_key"], "metric", labels.unique().to_pylist())
    taken = rows.select(["rank", "step", "time"]).take(pa.array(row))
    dialect = connection.dialect.name
    columns = {name: cells(taken[name], dialect) for name in taken.column_names}
    columns["value"] = cells(flat.field(1), dialect)
    columns["metric_id"] = [metric_ids[name] for name in labels.to_pylist()]
    _merge(connection, metrics, key, columns)


def _merge(
    connection: sa.Connection, table: sa.Table, key: dict[str, int], columns: dict[str, list[Any]]
) -> None:
    """Insert rows; where a key exists, non-null values replace the stored ones."""
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    insert = dialect.insert(table)
    merged = {
        column.name: sa.func.coalesce(insert.excluded[column.name], column)
        for column in table.columns
        if not column.primary_key
    }
    statement = insert.on_conflict_do_update(
        index_elements=list(table.primary_key.columns), set_=merged
    )
    rows = len(columns["step"])
    columns = columns | {name: [value] * rows for name, value in key.items()}
    # The values are cells already: handed straight to the driver they cost half as much.
    compiled = statement.compile(dialect=connection.dialect, column_keys=list(columns))
    order = getattr(compiled, "positiontup", None)
    values = zip(*(columns[name] for name in order or columns), strict=True)
    parameters: Any = (
        list(values) if order else [dict(zip(columns, row, strict=True)) for row in values]
    )
    connection.exec_driver_sql(str(compiled), parameters)


def _intern(
    connection: sa.Connection,
    run_key: int,
    kind: Literal["layer", "metric"],
    wanted: Iterable[str],
) -> dict[str, int]:
    """The numbers of names, giving the next free ones to those not seen before."""
    known = name_ids(connection, run_key, kind)
    missing = [name for name in wanted if name not in known]
    start = max(known.values(), default=-1) + 1
    added = {name: start + i for i, name in enumerate(missing)}
    if added:
        connection.execute(
            sa.insert(names),
            [
                {"run_key": run_key, "kind": kind, "name": name, "name_id": number}
                for name, number in added.items()
            ],
        )
    return known | added


def _last_values(rows: pa.Table) -> dict[str, float | str]:
    """The latest value of each scalar of the whole model on rank 0, and of each metric there."""
    own = rows.filter(pc.and_(pc.equal(rows["layer"], ""), pc.equal(rows["rank"], 0)))
    own = own.sort_by("step")
    last: dict[str, float | str] = {}
    for name in SCALARS:
        column = own[name].drop_null()
        if len(column):
            last[name] = to_json(float(column[-1].as_py()))
    for pairs in own["metrics"].to_pylist():
        last.update((name, to_json(value)) for name, value in pairs or () if value is not None)
    return last
