"""Archived runs as Parquet: a folder for each run, with a manifest of its files."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa

from htga_client.wire import Archive
from htga_server.archive.arrow_export import METRICS, STEPS, metric_batches, step_batches
from htga_server.problems import Conflict
from htga_server.runs.lookup import NOT_DELETED, lock_writable
from htga_server.runs.serialize import get
from htga_server.storage.tables import runs

MANIFEST = "manifest.json"


def archive_run(connection: sa.Connection, run_id: str, folder: Path) -> Archive:
    """Write a run to `folder/<run id>` and mark it as archived; its rows stay in the database.

    The files are written to a temporary folder, read back, counted and synced; one rename then
    moves the folder into place.

    Raises:
        NotFound: No such run exists.
        Conflict: The run has not finished, or is in the archive alone.
    """
    lock_writable(connection, run_id)
    run = get(connection, run_id)
    if run.state not in {"finished", "failed", "lost"}:
        raise Conflict(f"run {run_id} is {run.state}; only a run that is over is archived")
    partial = folder / f"{run.id}.part"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    this = runs.c.id == run.id
    rows = {
        "steps": _write(partial / "steps.parquet", STEPS, step_batches(connection, this)),
        "metrics": _write(partial / "metrics.parquet", METRICS, metric_batches(connection, this)),
    }
    archive = Archive(
        run_id=run.id,
        rows=rows,
        files={f"{name}.parquet": _describe(partial / f"{name}.parquet") for name in rows},
        created=time.time(),
    )
    text = json.dumps(asdict(archive) | {"run": asdict(run)}, indent=1)
    (partial / MANIFEST).write_text(text, encoding="utf-8")
    for path in partial.iterdir():
        _sync(path)
    final = folder / run.id
    if final.is_symlink():  # what it points to is not ours to remove
        final.unlink()
    shutil.rmtree(final, ignore_errors=True)
    partial.rename(final)
    _sync(folder)
    connection.execute(sa.update(runs).where(this).values(archived=True))
    return archive


def find_folder(run_id: str, folder: Path) -> Path | None:
    """Return the folder of an archived run, or None; symbolic links are not followed."""
    folder_of_run = folder / run_id
    if not (folder_of_run / MANIFEST).exists() or any(
        path.is_symlink() for path in (folder_of_run, *folder_of_run.iterdir())
    ):
        return None
    return folder_of_run


def verify_run(run_id: str, folder: Path) -> None:
    """Check that a run's files match its manifest.

    Raises:
        OSError: A file is missing or differs.
    """
    manifest = json.loads((folder / run_id / MANIFEST).read_text(encoding="utf-8"))
    for name, expected in manifest["files"].items():
        if _describe(folder / run_id / name) != expected:
            raise OSError(f"{folder / run_id / name} is not the file that was archived")


def archived_ids(connection: sa.Connection, folder: Path, project: str | None = None) -> list[str]:
    """Return the ids of archived runs of a project, or of all, without deleted ones."""
    found = sorted(path.parent.name for path in folder.glob(f"*/{MANIFEST}"))
    found = [run_id for run_id in found if find_folder(run_id, folder) is not None]
    visible = NOT_DELETED if project is None else sa.and_(NOT_DELETED, runs.c.project == project)
    known = set(connection.scalars(sa.select(runs.c.id).where(visible)))
    return [run_id for run_id in found if run_id in known]


def remove_files(run_id: str, folder: Path) -> None:
    """Delete a run's files, if any; `run_id` must come from the database."""
    shutil.rmtree(folder / run_id, ignore_errors=True)


def _write(path: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> int:
    rows = 0
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for batch in batches:
            writer.write_batch(batch)
            rows += batch.num_rows
    stored = sum(len(batch) for batch in pq.ParquetFile(path).iter_batches(columns=["step"]))
    if stored != rows:
        raise OSError(f"{path.name}: {rows} rows were written, but {stored} can be read")
    return rows


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
