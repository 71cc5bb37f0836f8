"""Several collectors on one Postgres tell each other what changed, by LISTEN and NOTIFY."""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
from typing import Any

import psycopg
import sqlalchemy as sa

from htga_server.live.broker import Broker, Key
from htga_server.live.viewers import ViewedRuns

logger = logging.getLogger(__name__)
CHANNEL = "htga"
GATHER = 0.02
"""Seconds in which changes are gathered into one notification."""
AGAIN = 1.0
"""Seconds until a broken connection is opened anew."""
LOOK = "look"
"""Said of a run that is read; no news to listeners."""
MOST_BYTES = 7500  # Postgres takes 8000


class Replicas:
    """The link of one process to the others. Its tasks live on the broker's event loop.

    Args:
        url: Of the Postgres database.
        broker, viewed: They get what other processes announce, and announce to those.
    """

    def __init__(self, url: sa.URL, broker: Broker, viewed: ViewedRuns) -> None:
        self._address = url.set(drivername="postgresql").render_as_string(hide_password=False)
        self._broker = broker
        self._viewed = viewed
        self._self = secrets.token_hex(4)
        self._pending: dict[Key, dict[str, Any]] = {}
        self._news = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Listen before the first request is answered, so that none is missed."""
        listening = asyncio.Event()
        self._broker.announce = self._note
        self._viewed.announce = lambda run_id: self._note((LOOK, run_id), {})
        self._tasks = [
            asyncio.create_task(self._keep(lambda: self._listen(listening))),
            asyncio.create_task(self._keep(self._tell)),
        ]
        await asyncio.wait_for(listening.wait(), 10)

    async def stop(self) -> None:
        """Close the connections."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _note(self, key: Key, data: dict[str, Any]) -> None:
        self._pending[key] = data
        self._news.set()

    async def _keep(self, work: Any) -> None:
        while True:
            try:
                await work()
            except (psycopg.Error, OSError) as error:
                logger.warning("the link to other collectors is down: %s", error)
            await asyncio.sleep(AGAIN)

    async def _listen(self, listening: asyncio.Event) -> None:
        async with await psycopg.AsyncConnection.connect(
            self._address, autocommit=True
        ) as connection:
            await connection.execute(f"LISTEN {CHANNEL}")
            if listening.is_set():
                self._broker.reset()  # who knows what was said in the meantime
            listening.set()
            async for notice in connection.notifies():
                self._hear(notice.payload)

    def _hear(self, payload: str) -> None:
        try:
            said = json.loads(payload)
            if said["from"] == self._self:
                return
            for event, run_id, data in said["news"]:
                if event == LOOK:
                    self._viewed.mark_viewed_by_peer(run_id)
                else:
                    self._broker.deliver((event, run_id), data)
        except (ValueError, KeyError, TypeError):
            logger.warning("a notification on %s is none of ours", CHANNEL)

    async def _tell(self) -> None:
        async with await psycopg.AsyncConnection.connect(
            self._address, autocommit=True
        ) as connection:
            while True:
                await self._news.wait()
                await asyncio.sleep(GATHER)
                self._news.clear()
                while self._pending:
                    await connection.execute(
                        "SELECT pg_notify(%s, %s)", (CHANNEL, self._some_news())
                    )

    def _some_news(self) -> str:
        """As much of what is pending as a notification holds."""
        news: list[tuple[str, str, dict[str, Any]]] = []
        size = 100
        while self._pending:
            key = next(iter(self._pending))
            size += len(json.dumps((*key, self._pending[key]))) + 2
            if news and size > MOST_BYTES:
                break
            news.append((*key, self._pending.pop(key)))
        return json.dumps({"from": self._self, "news": news})
