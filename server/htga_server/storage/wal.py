"""A guard for SQLite's write-ahead log, which holds acknowledged rows until a checkpoint."""

from __future__ import annotations

import logging
from pathlib import Path

import sqlalchemy as sa

from htga_server.problems import Busy

logger = logging.getLogger(__name__)


class WalGuard:
    """Notices when somebody deletes or replaces the log, or its index, of a database in use.

    A connection goes on with the files that it opened, whatever happens to their names; what it
    commits to deleted files is lost once it closes.

    Args:
        path: The database's file.
    """

    def __init__(self, path: Path) -> None:
        self._paths = tuple(Path(f"{path}{suffix}") for suffix in ("-wal", "-shm"))
        self._first: list[tuple[int, int] | None] = []

    def check(self) -> None:
        """Refuse to start without a log that must exist.

        SQLite removes both files or neither; an index without a log proves that there was one.

        Raises:
            ValueError: The log is missing; the message says what to do.
        """
        log, index = self._paths
        if index.exists() and not log.exists():
            raise ValueError(
                f"{log} is missing, and with it rows that were acknowledged; nothing was written."
                " Put it back, or restore the database from a backup; to go on without those rows,"
                f" remove {index}"
            )

    def reset(self) -> None:
        """Start over, because a new connection has opened the files."""
        self._first = []

    def was_replaced(self) -> bool:
        """Whether a file is missing, or is another one than at the first call."""
        found = [_identity(path) for path in self._paths]
        self._first = self._first or found
        return found != self._first or None in found

    def checkpoint(self, engine: sa.Engine) -> None:
        """Move everything that the connection has committed into the database itself.

        Raises:
            Busy: A reader still uses what is in the log.
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
