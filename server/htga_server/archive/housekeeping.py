"""Periodic chores: purging deleted runs and pruning old ones."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from functools import partial

import sqlalchemy as sa

from htga_server.archive import parquet, retention
from htga_server.archive.archived_files import check_run
from htga_server.archive.verification import Verification
from htga_server.problems import ServerError
from htga_server.runs import deletion
from htga_server.settings import Settings
from htga_server.storage.database import Database

logger = logging.getLogger(__name__)
INTERVAL_SECONDS = 60.0
"""Seconds between two runs of the chores."""
VERIFIED_AT_ONCE = 10
"""Archived runs whose files are read again each time."""
GRACE_SECONDS = 3600.0
"""How long a file that no catalog names is kept, for those who may still read or write it."""
ROWS_PER_TRANSACTION = 10_000
"""Rows removed in one transaction; ingest waits no longer than that takes."""


class Housekeeping:
    """The chores of one collector; several collectors on one database may run them at once.

    Args:
        verification: Remembers what is wrong with the archive.
        clock: Seconds since the epoch.
    """

    def __init__(
        self,
        database: Database,
        settings: Settings,
        verification: Verification | None = None,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._settings = settings
        self._clock = clock
        self._verification = verification or Verification(settings.archive)

    async def run(self) -> None:
        """Run the chores periodically until cancelled."""
        while True:
            try:
                await self.run_once()
            except (sa.exc.DBAPIError, ServerError, OSError) as error:
                logger.warning("housekeeping failed and will be tried again: %s", error)
            await asyncio.sleep(INTERVAL_SECONDS)

    async def run_once(self) -> None:
        """Purge, prune and verify what is due now."""
        await self._purge()
        await self.prune()
        await self.verify()

    async def verify(self) -> None:
        """Read the files of some archived runs, in turn; log damage, and remove leftovers."""
        before = self._clock() - GRACE_SECONDS
        work = partial(self._verification.next, limit=VERIFIED_AT_ONCE, before=before)
        for fault in await self._database.read(work):
            logger.warning("%s; restore it from a backup", fault)

    async def prune(self) -> None:
        """Move the rows of expired runs to the archive."""
        find = partial(retention.expired, settings=self._settings, now=self._clock())
        for run in await self._database.read(find):
            await self._log_failure(self._archive_and_close, run.id)
        for run_key, run_id in (await self._database.read(retention.being_pruned)).items():
            await self._log_failure(self._prune_rows, run_key, run_id)

    async def _archive_and_close(self, run_id: str) -> None:
        folder = self._settings.archive
        written = await self._database.read(
            partial(parquet.write_run, run_id=run_id, folder=folder)
        )
        await self._database.write(partial(retention.close_archived, written=written))

    async def _prune_rows(self, run_key: int, run_id: str) -> None:
        check = partial(check_run, run_id=run_id, folder=self._settings.archive)
        for fault in await self._database.read(check):
            raise fault
        await self._until_done(
            partial(retention.prune, run_key=run_key, limit=ROWS_PER_TRANSACTION)
        )
        logger.info("pruned run %s", run_id)

    async def _log_failure(self, work: Callable[..., Awaitable[None]], *arguments: object) -> None:
        """Log the failure of one run, so that the others get their turn."""
        try:
            await work(*arguments)
        except (ServerError, OSError) as error:
            logger.warning("a run keeps its rows: %s", error)

    async def _purge(self) -> None:
        before = self._clock() - self._settings.undo_hours * 3600
        expired = await self._database.write(partial(deletion.expire, before=before))
        for run_key, run_id in expired.items():
            # Files first: as long as the run's row exists, an interrupted purge is continued.
            await asyncio.to_thread(parquet.remove_files, run_id, self._settings.archive)
            await self._until_done(
                partial(deletion.purge, run_key=run_key, limit=ROWS_PER_TRANSACTION)
            )
            logger.info("purged run %s", run_id)

    async def _until_done(self, work: Callable[[sa.Connection], bool]) -> None:
        while not await self._database.write(work):
            pass
