"""Periodic chores: purging deleted runs and pruning old ones."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from functools import partial

import sqlalchemy as sa

from htga_server.archive import parquet, retention
from htga_server.problems import ServerError
from htga_server.runs import deletion
from htga_server.settings import Settings
from htga_server.storage.database import Database

logger = logging.getLogger(__name__)
INTERVAL_SECONDS = 60.0
"""Seconds between two runs of the chores."""
ROWS_PER_TRANSACTION = 10_000
"""Rows removed in one transaction; ingest waits no longer than that takes."""


class Housekeeping:
    """The chores of one collector; several collectors on one database may run them at once.

    Args:
        clock: Seconds since the epoch.
    """

    def __init__(
        self, database: Database, settings: Settings, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._database = database
        self._settings = settings
        self._clock = clock

    async def run(self) -> None:
        """Run the chores periodically until cancelled."""
        while True:
            try:
                await self.run_once()
            except (sa.exc.DBAPIError, ServerError, OSError) as error:
                logger.warning("housekeeping failed and will be tried again: %s", error)
            await asyncio.sleep(INTERVAL_SECONDS)

    async def run_once(self) -> None:
        """Purge and prune what is due now."""
        await self._purge()
        await self.prune()

    async def prune(self) -> None:
        """Move the rows of expired runs to the archive."""
        find = partial(retention.expired, settings=self._settings, now=self._clock())
        for run in await self._database.read(find):
            await self._log_failure(self._archive_and_close, run.id)
        for run_key, run_id in (await self._database.read(retention.being_pruned)).items():
            await self._log_failure(self._prune_rows, run_key, run_id)

    async def _archive_and_close(self, run_id: str) -> None:
        folder = self._settings.archive
        await self._database.write(
            partial(retention.archive_and_close, run_id=run_id, folder=folder)
        )

    async def _prune_rows(self, run_key: int, run_id: str) -> None:
        await asyncio.to_thread(parquet.verify_run, run_id, self._settings.archive)
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
