"""Archived runs as Parquet: a folder for each run, with a manifest of its files.

A run is written from a snapshot, beside the writes of other runs. The files of each writing have a
generation in their names and never change; the manifest is put last. Then the catalog in the
database is changed in one short transaction, if no row has come meanwhile. Files that no catalog
names are removed later, so whoever reads them is not disturbed.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa

from htga_client.wire import Archive, ArchivedIds
from htga_server.archive.archived_files import MANIFEST
from htga_server.archive.arrow_export import METRICS, STEPS, metric_batches, step_batches
from htga_server.archive.column_hashes import ColumnHashes
from htga_server.problems import Conflict
from htga_server.runs.lookup import NOT_DELETED, lock_writable
from htga_server.runs.serialize import get
from htga_server.storage.tables import archive_files, runs

OVER = frozenset({"finished", "failed", "lost"})
"""The states of a run that is over."""
ROWS_PER_GROUP = 2**17
_VERSION = (runs.c.rows, runs.c.attempt, runs.c.updated, runs.c.name)


@dataclass(frozen=True, slots=True)
class WrittenRun:
    """The files of a run that are written and not yet in the catalog.

    Attributes:
        archive: What they are.
        generation: The number in their names.
        version: What the run was when its rows were read; it changes with each new row.
    """

    archive: Archive
    generation: int
    version: tuple[Any, ...]


def write_run(connection: sa.Connection, run_id: str, folder: Path) -> WrittenRun:
    """Write the rows of a run to `folder/<run id>`, on a snapshot.

    Each file is read back, and all its values are compared with those of the database.

    Raises:
        NotFound: No such run exists.
        Conflict: It has not finished, or is in the archive alone.
        OSError: A file cannot be written, or does not hold what was written.
    """
    run = get(connection, run_id)
    this = runs.c.id == run.id
    key, pruned, *version = connection.execute(
        sa.select(runs.c.run_key, runs.c.pruned, *_VERSION).where(this)
    ).one()
    if pruned is not None:
        raise Conflict(f"run {run_id} is in the archive alone", slug="run-closed")
    if run.state not in OVER:
        raise Conflict(f"run {run_id} is {run.state}; only a run that is over is archived")
    last = sa.select(sa.func.max(archive_files.c.generation)).where(archive_files.c.run_key == key)
    generation = (connection.scalar(last) or 0) + 1
    own = folder / run.id
    if own.is_symlink():  # what it points to is not ours to change
        own.unlink()
    own.mkdir(parents=True, exist_ok=True)
    names = {
        kind: f"{kind}-{generation}-{time.time_ns():x}.parquet" for kind in ("steps", "metrics")
    }
    rows = {
        "steps": _write(own / names["steps"], STEPS, step_batches(connection, this)),
        "metrics": _write(own / names["metrics"], METRICS, metric_batches(connection, this)),
    }
    files = {name: _describe(own / name) for name in names.values()}
    archive = Archive(run_id=run.id, rows=rows, files=files, created=time.time())
    manifest = asdict(archive) | {"generation": generation, "tables": names, "run": asdict(run)}
    partial = own / f"{MANIFEST}.{generation}"
    partial.write_text(json.dumps(manifest, indent=1), encoding="utf-8")
    for path in (*(own / name for name in files), partial):
        _sync(path)
    partial.replace(own / MANIFEST)
    _sync(own)
    _sync(folder)
    return WrittenRun(archive, generation, tuple(version))


def commit_run(connection: sa.Connection, written: WrittenRun) -> Archive:
    """Put the files of a run into the catalog; its rows stay in the database.

    Raises:
        NotFound: No such run exists.
        Conflict: It has got rows since they were written, or is in the archive alone.
    """
    archive = written.archive
    row = lock_writable(connection, archive.run_id)
    now = tuple(getattr(row, column.name) for column in _VERSION)
    if now != written.version:
        raise Conflict(
            f"run {archive.run_id} has changed while it was archived; archive it again",
            slug="run-changed",
        )
    this = archive_files.c.run_key == row.run_key
    connection.execute(sa.delete(archive_files).where(this))
    connection.execute(
        sa.insert(archive_files),
        [
            {
                "run_key": row.run_key,
                "kind": name.partition("-")[0],
                "name": name,
                "rows": archive.rows[name.partition("-")[0]],
                "generation": written.generation,
                "created": archive.created,
                **told,
            }
            for name, told in archive.files.items()
        ],
    )
    connection.execute(sa.update(runs).where(runs.c.run_key == row.run_key).values(archived=True))
    return archive


def archived_ids(
    connection: sa.Connection, *, project: str | None, after: int, limit: int
) -> ArchivedIds:
    """Return the ids of archived runs of a project, or of all, without deleted ones.

    Args:
        after: The cursor of the page before.
        limit: Maximum number of ids.
    """
    visible = NOT_DELETED if project is None else sa.and_(NOT_DELETED, runs.c.project == project)
    query = sa.select(runs.c.run_key, runs.c.id).where(
        runs.c.archived.is_(True), visible, runs.c.run_key > after
    )
    found = connection.execute(query.order_by(runs.c.run_key).limit(limit + 1)).all()
    following = str(found[limit - 1].run_key) if len(found) > limit else None
    return ArchivedIds(items=tuple(run_id for _, run_id in found[:limit]), next=following)


def remove_files(run_id: str, folder: Path) -> None:
    """Delete a run's files, if any; `run_id` must come from the database."""
    own = folder / run_id
    if own.is_symlink():
        own.unlink()
    shutil.rmtree(own, ignore_errors=True)


def _write(path: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> int:
    """Write a file and read it back; return the number of its rows."""
    written, read = ColumnHashes(schema), ColumnHashes(schema)
    floats = [field.name for field in schema if pa.types.is_floating(field.type)]
    others = [field.name for field in schema if field.name not in {*floats, "histogram"}]
    with pq.ParquetWriter(
        path,
        schema,
        compression="zstd",
        compression_level=3,
        use_dictionary=others,
        use_byte_stream_split=floats,
    ) as writer:
        for batch in batches:
            writer.write_batch(batch, row_group_size=ROWS_PER_GROUP)
            written.update(batch)
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches():
            read.update(batch)
        rows = file.metadata.num_rows
    if written.digests() != read.digests():
        raise OSError(f"{path.name} does not hold what was written; see to the disk")
    return int(rows)


def _describe(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"bytes": path.stat().st_size, "sha256": digest}


def _sync(path: Path) -> None:
    """Sync a file, or the names in a folder, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
