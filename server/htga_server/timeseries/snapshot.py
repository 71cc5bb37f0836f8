"""One consistent view of the database and, for pruned runs, of the archive."""

from __future__ import annotations

from collections.abc import Callable

import sqlalchemy as sa

from htga_server.problems import Damaged
from htga_server.runs.lookup import is_pruned
from htga_server.timeseries.raw_rows import RawRows, StoredRows
from htga_server.timeseries.series_key import SeriesKind

ArchivedRowsOf = Callable[[sa.Connection, int, SeriesKind], RawRows]
"""Gives the rows of a pruned run, by its key.

Raises:
    Damaged: A file of the archive is not what was archived.
"""


class Snapshot:
    """What a reader sees: rollups from the database, and rows from where each run has them.

    Args:
        connection: To the database.
        archived: Gives the rows of pruned runs.

    Attributes:
        connection: Likewise.
        damaged: A sentence for each damaged file in whose place rollups are read.
    """

    def __init__(self, connection: sa.Connection, archived: ArchivedRowsOf) -> None:
        self.connection = connection
        self.damaged: list[str] = []
        self._archived = archived
        self._stored = StoredRows(connection)
        self._rows: dict[tuple[int, str], RawRows | None] = {}

    def rows_of(self, run_key: int, kind: SeriesKind) -> RawRows | None:
        """Return the rows of a run's layers or metrics; None if their file is damaged."""
        place = run_key, kind.name
        if place not in self._rows:
            self._rows[place] = self._find(run_key, kind)
        return self._rows[place]

    def _find(self, run_key: int, kind: SeriesKind) -> RawRows | None:
        if not is_pruned(self.connection, run_key):
            return self._stored
        try:
            return self._archived(self.connection, run_key, kind)
        except Damaged as error:
            self.damaged.append(str(error))
            return None
