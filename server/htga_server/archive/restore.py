"""Put the rows of a pruned run back into the database.

They are inserted some at a time while readers still read the files, and count only after the last
transaction, which compares their number with the catalog. So an interruption changes no answer, and
restoring again goes on.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import sqlalchemy as sa
from starlette.concurrency import run_in_threadpool

from htga_client.wire import Run
from htga_server.archive.archived_files import ArchivedFile, CheckedFiles, files_of
from htga_server.problems import Conflict
from htga_server.runs import serialize
from htga_server.runs.lookup import key_of, lock, name_ids
from htga_server.storage import bulk
from htga_server.storage.bulk import Column
from htga_server.storage.database import Database
from htga_server.storage.tables import archive_files, packs, runs
from htga_server.timeseries.histogram_blocks import encode_block, from_list
from htga_server.timeseries.rollup import WINDOW_STEPS
from htga_server.timeseries.series_key import LAYERS, METRICS, SeriesKind

ROWS_PER_TRANSACTION = 10_000
"""Rows put back in one transaction; ingest waits no longer than that takes."""
NAME_COLUMNS = {LAYERS: "layer", METRICS: "key"}


async def restore_rows(database: Database, run_id: str, folder: Path, checked: CheckedFiles) -> Run:
    """Put the rows of a pruned run back, so that it takes new ones again.

    Raises:
        NotFound: No such run exists.
        Conflict: Its rows are in the database, or are still being removed from it.
        Damaged: A file is not what was archived.
    """
    files = await database.read(
        partial(_checked_files, run_id=run_id, folder=folder, checked=checked)
    )
    size = 0
    for kind, file in files.items():
        batches = _batches(file)
        while (batch := await run_in_threadpool(next, batches, None)) is not None:
            size += batch.nbytes
            await database.write(partial(_insert, run_id=run_id, kind=kind, batch=batch))
    await database.write(partial(_open, run_id=run_id, size=size))
    return await database.read(partial(serialize.get, run_id=run_id))


def _checked_files(
    connection: sa.Connection, run_id: str, folder: Path, checked: CheckedFiles
) -> dict[SeriesKind, ArchivedFile]:
    key_of(connection, run_id)
    _closed(connection.execute(sa.select(runs).where(runs.c.id == run_id)).one())
    found = {}
    for kind, table in ((LAYERS, "steps"), (METRICS, "metrics")):
        (found[kind],) = files_of(connection, runs.c.id == run_id, table, folder)
        checked.check(found[kind])
    return found


def _closed(run: sa.Row[Any]) -> int:
    """Return the key of a run whose rows are in the archive alone."""
    if run.pruned is None:
        raise Conflict(f"run {run.id} has its rows; there is nothing to restore")
    if run.pruning:
        raise Conflict(f"rows of run {run.id} are still being removed; try again in a minute")
    return int(run.run_key)


def _batches(file: ArchivedFile) -> Iterator[pa.RecordBatch]:
    try:
        with pq.ParquetFile(file.path) as parquet:
            yield from parquet.iter_batches(ROWS_PER_TRANSACTION)
    except (pa.ArrowException, OSError) as error:
        raise file.damaged("cannot be read as Parquet") from error


def _insert(
    connection: sa.Connection, run_id: str, kind: SeriesKind, batch: pa.RecordBatch
) -> None:
    """Insert rows; those that an interrupted attempt has left stay."""
    run_key = _closed(lock(connection, run_id))
    numbers = name_ids(connection, run_key, kind.name)
    ids = np.array([numbers[name] for name in batch[NAME_COLUMNS[kind]].to_pylist()], np.int64)
    columns = {
        "run_key": Column(np.full(batch.num_rows, run_key)),
        kind.name_id: Column(ids),
    }
    known = ("rank", "step", "attempt", "time", *kind.keys)
    columns |= {name: _column(batch[name]) for name in known if name in batch.schema.names}
    bulk.insert(connection, kind.table, columns, fresh=False)
    if kind is LAYERS:
        bulk.upsert(connection, packs, list(_blocks(run_key, ids, batch)))


def _column(array: pa.Array) -> Column:
    kind = np.float64 if pa.types.is_floating(array.type) else np.int64
    values = array.fill_null(0).to_numpy(zero_copy_only=False).astype(kind)
    measured = array.is_valid().to_numpy(zero_copy_only=False) if array.null_count else None
    return Column(values, measured)


def _blocks(run_key: int, ids: np.ndarray[Any, Any], batch: pa.RecordBatch) -> Iterator[Any]:
    """Yield rows of the table of packs, one for each window of each series and attempt."""
    has = pc.is_valid(batch["histogram"]).to_numpy(zero_copy_only=False)
    rank, step, attempt = (batch[name].to_numpy()[has] for name in ("rank", "step", "attempt"))
    blobs, owner = batch["histogram"].drop_null().to_pylist(), ids[has]
    order = np.lexsort((step, attempt, step // WINDOW_STEPS, rank, owner))
    places = np.array([owner, rank, step // WINDOW_STEPS, attempt])[:, order]
    begins = np.flatnonzero((np.diff(places, prepend=-1) != 0).any(axis=0)).tolist()
    for begin, end in pairwise([*begins, order.size]):
        own = order[begin:end]
        steps, at = step[own].astype(np.int64), own[0]
        block = encode_block(steps, from_list([blobs[i] for i in own.tolist()]))
        yield run_key, int(owner[at]), int(rank[at]), int(steps[0]), int(attempt[at]), block


def _open(connection: sa.Connection, run_id: str, size: int) -> None:
    """Let the rows in the database count, if they are those of the catalog."""
    run_key = _closed(lock(connection, run_id))
    catalog = sa.select(archive_files.c.kind, archive_files.c.rows)
    rows = dict(map(tuple, connection.execute(catalog.where(archive_files.c.run_key == run_key))))
    for kind in (LAYERS, METRICS):
        count = sa.select(sa.func.count()).where(kind.table.c.run_key == run_key)
        found, wanted = connection.scalar(count), rows.get(kind.table.name)
        if wanted is not None and found != wanted:
            raise Conflict(
                f"run {run_id} has {found} of {wanted} rows of {kind.table.name}; restore it again"
            )
    opened = {"pruned": None, "restored": time.time(), "bytes": size}
    connection.execute(sa.update(runs).where(runs.c.run_key == run_key).values(opened))
