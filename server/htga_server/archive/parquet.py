"""Finished runs as Parquet: one folder per run, with a manifest that says what must be in it."""

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
from htga_server.runs.lookup import HERE, lock_open
from htga_server.runs.serialize import get
from htga_server.storage.tables import runs

MANIFEST = "manifest.json"


def create(connection: sa.Connection, run_id: str, folder: Path) -> Archive:
    """Write a run to `folder/<run id>` and mark it as archived.

    The files are written beside their place, synced, read back and counted, and only then moved
    there in one rename. The rows stay in the database.

    Raises:
        NotFound: There is no such run.
        Conflict: The run has not finished, or is in the archive alone.
    """
    lock_open(connection, run_id)
    run = get(connection, run_id)
    if run.state not in {"finished", "failed", "lost"}:
        raise Conflict(f"run {run_id} is {run.state}; only a run that is over is archived")
    part = folder / f"{run.id}.part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    this = runs.c.id == run.id
    rows = {
        "steps": _write(part / "steps.parquet", STEPS, step_batches(connection, this)),
        "metrics": _write(part / "metrics.parquet", METRICS, metric_batches(connection, this)),
    }
    archive = Archive(
        run_id=run.id,
        rows=rows,
        files={f"{name}.parquet": _describe(part / f"{name}.parquet") for name in rows},
        created=time.time(),
    )
    text = json.dumps(asdict(archive) | {"run": asdict(run)}, indent=1)
    (part / MANIFEST).write_text(text, encoding="utf-8")
    for path in part.iterdir():
        _sync(path)
    final = folder / run.id
    if final.is_symlink():  # it leads to what is not ours to remove
        final.unlink()
    shutil.rmtree(final, ignore_errors=True)
    part.rename(final)
    _sync(folder)
    connection.execute(sa.update(runs).where(this).values(archived=True))
    return archive


def find(run_id: str, folder: Path) -> Path | None:
    """Where an archived run lies, if it does: a link to another place is not followed."""
    own = folder / run_id
    if not (own / MANIFEST).exists() or any(path.is_symlink() for path in (own, *own.iterdir())):
        return None
    return own


def verify(run_id: str, folder: Path) -> None:
    """Check that a run's files are what its manifest says.

    Raises:
        OSError: One is missing, or another.
    """
    manifest = json.loads((folder / run_id / MANIFEST).read_text(encoding="utf-8"))
    for name, said in manifest["files"].items():
        if _describe(folder / run_id / name) != said:
            raise OSError(f"{folder / run_id / name} is not the file that was archived")


def ids(connection: sa.Connection, folder: Path, project: str | None = None) -> list[str]:
    """The runs in the archive, of one project or of all; not those that were deleted."""
    found = sorted(path.parent.name for path in folder.glob(f"*/{MANIFEST}"))
    found = [run_id for run_id in found if find(run_id, folder) is not None]
    seen = HERE if project is None else sa.and_(HERE, runs.c.project == project)
    own = set(connection.scalars(sa.select(runs.c.id).where(seen)))
    return [run_id for run_id in found if run_id in own]


def remove(run_id: str, folder: Path) -> None:
    """Delete a run's files, if there are any; `run_id` must come from the database."""
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
    """Have a file, or a folder's list of names, reach the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
