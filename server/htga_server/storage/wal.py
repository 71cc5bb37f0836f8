"""The write-ahead log of a SQLite file: where what was acknowledged lies at first."""

from __future__ import annotations

import logging
from pathlib import Path

import sqlalchemy as sa

from htga_server.problems import Busy

logger = logging.getLogger(__name__)


class Log:
    """The log and its index, which someone may delete while they are in use.

    A connection goes on with the files that it opened, whatever becomes of their names; what it
    commits to them is gone once it is closed.

    Args:
        path: The database's file.
    """

    def __init__(self, path: Path) -> None:
        self._paths = tuple(Path(f"{path}{suffix}") for suffix in ("-wal", "-shm"))
        self._own: list[tuple[int, int] | None] = []

    def check(self) -> None:
        """Refuse to begin without a log that must be there.

        SQLite removes both files, or neither; the index by itself says that there was a log.

        Raises:
            ValueError: Says what to do.
        """
        log, index = self._paths
        if index.exists() and not log.exists():
            raise ValueError(
                f"{log} is missing, and with it rows that were acknowledged; nothing was written."
                " Put it back, or restore the database from a backup; to go on without those rows,"
                f" remove {index}"
            )

    def forget(self) -> None:
        """Look anew: the files are those of another connection."""
        self._own = []

    def is_gone(self) -> bool:
        """Whether a file is not there any more, or is another than at first."""
        found = [_identity(path) for path in self._paths]
        self._own = self._own or found
        return found != self._own or None in found

    def rescue(self, engine: sa.Engine) -> None:
        """Bring all that the connection has committed into the database itself.

        Raises:
            Busy: Someone reads what is in the log, and is still at it.
        """
        connection = engine.raw_connection()
        try:
            cursor = connection.cursor()
            (is_busy, *_) = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            cursor.close()
        finally:
            connection.close()
        if is_busy:
            raise Busy("the database's log was deleted, and is being saved; try again")
        logger.error("%s was deleted; all that was in it is in the database now", self._paths[0])


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
