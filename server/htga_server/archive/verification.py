"""The archive read again, some runs at a time, and what was found in it."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from htga_server.archive.archived_files import MANIFEST, check_run, remove_leftovers
from htga_server.problems import Damaged
from htga_server.runs.lookup import NOT_DELETED
from htga_server.storage.tables import archive_files, runs


class Verification:
    """Reads the files of all archived runs in turn, round after round.

    Attributes:
        faults: What is wrong, by run id: a sentence for each damaged file.

    Args:
        folder: The folder of the archive.
    """

    def __init__(self, folder: Path) -> None:
        self.faults: dict[str, tuple[str, ...]] = {}
        self._folder = folder
        self._after = 0  # the key of the run whose files were read last
        self._read: set[str] = set()  # the runs of this round

    def next(self, connection: sa.Connection, *, limit: int, before: float) -> list[Damaged]:
        """Read the next runs; return what is wrong, and remove what no catalog names.

        Args:
            limit: Maximum number of runs.
            before: Unix seconds; only files that are older are removed.
        """
        query = sa.select(runs.c.run_key, runs.c.id).where(
            runs.c.archived.is_(True), runs.c.run_key > self._after
        )
        found = connection.execute(query.order_by(runs.c.run_key).limit(limit)).all()
        faults = []
        for run_key, run_id in found:
            own = check_run(connection, run_id, self._folder)
            faults += own
            self._read.add(run_id)
            self.faults.pop(run_id, None)
            if own:
                self.faults[run_id] = tuple(str(fault) for fault in own)
            catalog = sa.select(archive_files.c.name).where(archive_files.c.run_key == run_key)
            if named := set(connection.scalars(catalog)):
                remove_leftovers(self._folder / run_id, {MANIFEST, *named}, before=before)
        self._after = found[-1].run_key if len(found) == limit else 0
        if not self._after:  # a run that was not met is not in the archive any more
            self.faults = {run: own for run, own in self.faults.items() if run in self._read}
            self._read = set()
        return faults

    def faults_of(self, connection: sa.Connection, project: str | None) -> tuple[str, ...]:
        """Return what is wrong with the runs of a project, or of all."""
        query = sa.select(runs.c.id).where(runs.c.id.in_(self.faults), NOT_DELETED)
        if project is not None:
            query = query.where(runs.c.project == project)
        seen = sorted(connection.scalars(query)) if self.faults else []
        return tuple(fault for run_id in seen for fault in self.faults.get(run_id, ()))
