"""What a collector does by itself, now and then: it purges what was deleted."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from functools import partial

import sqlalchemy as sa

from htga_server import archive, trash
from htga_server.database import Database
from htga_server.problems import ServerError
from htga_server.settings import Settings

logger = logging.getLogger(__name__)
EVERY = 60.0
"""Seconds between two rounds."""
CHUNK = 10_000
"""Rows that are removed in one transaction: ingest waits for no more than that."""


class Housekeeping:
    """One collector's chores; several on one database may do them at the same time.

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
        """A round every now and then, until cancelled."""
        while True:
            try:
                await self.round()
            except (sa.exc.DBAPIError, ServerError, OSError) as error:
                logger.warning("housekeeping is put off: %s", error)
            await asyncio.sleep(EVERY)

    async def round(self) -> None:
        """Do what is due now."""
        before = self._clock() - self._settings.undo_hours * 3600
        expired = await self._database.write(partial(trash.expire, before=before))
        for run_key, run_id in expired.items():
            # Files first: while the run is there, a round that was cut short is taken up again.
            await asyncio.to_thread(archive.remove, run_id, self._settings.archive)
            while not await self._database.write(partial(trash.purge, run_key=run_key, most=CHUNK)):
                pass
            logger.info("purged run %s", run_id)
