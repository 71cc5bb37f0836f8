"""What a collector does by itself, now and then: it purges what was deleted, prunes what is old."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from functools import partial

import sqlalchemy as sa

from htga_server.archive import parquet as archive
from htga_server.archive import retention
from htga_server.problems import ServerError
from htga_server.runs import deletion as trash
from htga_server.settings import Settings
from htga_server.storage.database import Database

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
        await self._purge()
        await self.prune()

    async def prune(self) -> None:
        """Move the rows of old runs to the archive."""
        look = partial(retention.due, settings=self._settings, now=self._clock())
        for old in await self._database.read(look):
            await self._unless_in_trouble(self._close, old.id)
        for run_key, run_id in (await self._database.read(retention.begun)).items():
            await self._unless_in_trouble(self._empty, run_key, run_id)

    async def _close(self, run_id: str) -> None:
        folder = self._settings.archive
        await self._database.write(partial(retention.close, run_id=run_id, folder=folder))

    async def _empty(self, run_key: int, run_id: str) -> None:
        await asyncio.to_thread(archive.verify, run_id, self._settings.archive)
        await self._in_chunks(partial(retention.prune, run_key=run_key, most=CHUNK))
        logger.info("pruned run %s", run_id)

    async def _unless_in_trouble(
        self, work: Callable[..., Awaitable[None]], *arguments: object
    ) -> None:
        """Trouble with one run must not keep the others from their turn."""
        try:
            await work(*arguments)
        except (ServerError, OSError) as error:
            logger.warning("a run keeps its rows: %s", error)

    async def _purge(self) -> None:
        before = self._clock() - self._settings.undo_hours * 3600
        expired = await self._database.write(partial(trash.expire, before=before))
        for run_key, run_id in expired.items():
            # Files first: while the run is there, a round that was cut short is taken up again.
            await asyncio.to_thread(archive.remove, run_id, self._settings.archive)
            await self._in_chunks(partial(trash.purge, run_key=run_key, most=CHUNK))
            logger.info("purged run %s", run_id)

    async def _in_chunks(self, work: Callable[[sa.Connection], bool]) -> None:
        while not await self._database.write(work):
            pass
