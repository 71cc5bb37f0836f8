"""The catalog of archived files, and whether a file is still what was archived.

The database says which files a run has, with their sizes and hashes. A file is believed only after
its hash has been compared; that is done once for each state of a file.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import stat
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from htga_server.problems import Damaged
from htga_server.storage.tables import archive_files, runs

MANIFEST = "manifest.json"
TABLES = ("steps", "metrics")


@dataclass(frozen=True, slots=True)
class ArchivedFile:
    """A file of the archive.

    Attributes:
        run_id, table: Whose rows it holds, and of which table, "steps" or "metrics".
        attempts: How many attempts the run has.
        path: Where it is; None if nothing says.
        bytes, sha256: What it was when it was written.
    """

    run_id: str
    table: str
    attempts: int
    path: Path | None
    bytes: int
    sha256: str

    def damaged(self, fault: str) -> Damaged:
        """Return the error that names this file, and its folder to nobody."""
        name = f"{self.table}.parquet" if self.path is None else self.path.name
        return Damaged(
            f"the archive of run {self.run_id} is damaged: {name} {fault}",
            run_id=self.run_id,
            file=name,
        )


def files_of(
    connection: sa.Connection, which: sa.ColumnElement[bool], table: str, folder: Path
) -> list[ArchivedFile]:
    """Return the files of a table of those runs that fulfil `which`.

    A run that was archived before there was a catalog has its files in its manifest.

    Args:
        which: Condition on `tables.runs`.
        folder: The folder of the archive.
    """
    query = (
        sa.select(
            runs.c.id,
            runs.c.attempt,
            archive_files.c.name,
            archive_files.c.bytes,
            archive_files.c.sha256,
        )
        .join_from(
            runs,
            archive_files,
            sa.and_(runs.c.run_key == archive_files.c.run_key, archive_files.c.kind == table),
            isouter=True,
        )
        .where(which)
        .order_by(runs.c.run_key)
    )
    return [
        ArchivedFile(run_id, table, attempts, folder / run_id / name, size, digest)
        if name is not None
        else _of_manifest(run_id, table, attempts, folder / run_id)
        for run_id, attempts, name, size, digest in connection.execute(query)
    ]


def _of_manifest(run_id: str, table: str, attempts: int, folder: Path) -> ArchivedFile:
    name = f"{table}.parquet"
    try:
        manifest: Mapping[str, Any] = json.loads((folder / MANIFEST).read_text("utf-8"))
        told = manifest["files"][name]
        if manifest["run_id"] == run_id:
            size, digest = int(told["bytes"]), str(told["sha256"])
            return ArchivedFile(run_id, table, attempts, folder / name, size, digest)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        pass  # said where the file is read
    return ArchivedFile(run_id, table, attempts, None, 0, "")


def check_run(connection: sa.Connection, run_id: str, folder: Path) -> list[Damaged]:
    """Read the files of an archived run again; return what is wrong with them."""
    faults = []
    for table in TABLES:
        for file in files_of(connection, runs.c.id == run_id, table, folder):
            try:
                CheckedFiles().check(file)
            except Damaged as error:
                faults.append(error)
    return faults


def remove_leftovers(folder: Path, named: Collection[str], *, before: float) -> None:
    """Remove files of a run's folder that have no place in the archive and are older than `before`.

    A process that was killed while it wrote leaves them, and so does a run that is archived again.
    """
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            if path.name not in named and path.lstat().st_mtime < before and not path.is_dir():
                path.unlink(missing_ok=True)


class CheckedFiles:
    """Remembers which files were found to be what was archived."""

    def __init__(self) -> None:
        self._sound: dict[Path, tuple[object, ...]] = {}

    def sound(
        self, files: Iterable[ArchivedFile], left_out: list[str] | None = None
    ) -> Iterator[ArchivedFile]:
        """Yield those files that are what was archived.

        Args:
            left_out: Gets a sentence for each damaged file; None raises instead.

        Raises:
            Damaged: A file is missing, unreadable or another one.
        """
        for file in files:
            try:
                self.check(file)
            except Damaged as error:
                if left_out is None:
                    raise
                left_out.append(str(error))
            else:
                yield file

    def check(self, file: ArchivedFile) -> None:
        """Check a file, without reading it if it has not changed since it was found sound.

        Raises:
            Damaged: It is missing, unreadable or another one.
        """
        path = file.path
        if path is None:
            raise file.damaged(f"is named by no manifest; {MANIFEST} is missing or unreadable")
        try:
            for at in (path.parent, path):
                if at.is_symlink():
                    raise file.damaged("is a symbolic link, and was none when it was written")
            found = path.stat()
            if not stat.S_ISREG(found.st_mode):
                raise file.damaged("is no file")
            if found.st_size != file.bytes:
                raise file.damaged(f"has {found.st_size} bytes instead of {file.bytes}")
            state = (found.st_ino, found.st_size, found.st_mtime_ns, file.sha256)
            if self._sound.get(path) == state:
                return
            with path.open("rb") as data:
                digest = hashlib.file_digest(data, "sha256").hexdigest()
        except FileNotFoundError as error:
            raise file.damaged("is missing") from error
        except OSError as error:
            raise file.damaged(f"cannot be read: {error.strerror}") from error
        if digest != file.sha256:
            raise file.damaged("is not what was archived: its content has another hash")
        self._sound[path] = state
