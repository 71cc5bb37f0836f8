"""Exchange changes between several collectors on one Postgres, by LISTEN and NOTIFY."""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
from collections.abc import Awaitable
from typing import Any

import psycopg
import sqlalchemy as sa

from htga_server.live.broker import Broker, Key
from htga_server.live.viewers import ViewedRuns

logger = logging.getLogger(__name__)
CHANNEL = "htga"
GATHER_SECONDS = 0.02
"""Seconds during which changes are collected into one notification."""
RETRY_SECONDS = 1.0
"""Seconds before a broken connection is opened again."""
VIEW = "view"
"""The event of a run that is viewed; subscribers do not see it."""
MAX_PAYLOAD_BYTES = 7500  # Postgres accepts 8000


class Replicas:
    """Connects one process to the others. Its tasks live on the broker's event loop.

    Args:
        url: URL of the Postgres database.
        broker, viewed: They get what other processes announce, and announce to those.
    """

    def __init__(self, url: sa.URL, broker: Broker, viewed: ViewedRuns) -> None:
        self._address = url.set(drivername="postgresql").render_as_string(hide_password=False)
        self._broker = broker
        self._viewed = viewed
        self._self = secrets.token_hex(4)
        self._pending: dict[Key, dict[str, Any]] = {}
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Start to listen; return once no notification can be missed."""
        listening = asyncio.Event()
        self._broker.announce = self._enqueue
        self._viewed.announce = lambda run_id: self._enqueue((VIEW, run_id), {})
        self._tasks = [
            asyncio.create_task(self._reconnecting(lambda: self._listen(listening))),
            asyncio.create_task(self._reconnecting(self._notify)),
        ]
        await asyncio.wait_for(listening.wait(), 10)

    async def stop(self) -> None:
        """Close the connections."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _enqueue(self, key: Key, data: dict[str, Any]) -> None:
        self._pending[key] = data
        self._wake.set()

    async def _reconnecting(self, work: Any) -> None:
        while True:
            try:
                await work()
            except (psycopg.Error, OSError) as error:
                logger.warning("the link to other collectors is down: %s", error)
            await asyncio.sleep(RETRY_SECONDS)

    def _connect(self) -> Awaitable[psycopg.AsyncConnection[Any]]:
        return psycopg.AsyncConnection.connect(self._address, autocommit=True)

    async def _listen(self, listening: asyncio.Event) -> None:
        async with await self._connect() as connection:
            await connection.execute(f"LISTEN {CHANNEL}")
            if listening.is_set():
                self._broker.reset()  # notifications may have been missed meanwhile
            listening.set()
            async for notification in connection.notifies():
                self._receive(notification.payload)

    def _receive(self, payload: str) -> None:
        try:
            message = json.loads(payload)
            if message["from"] == self._self:
                return
            for event, run_id, data in message["news"]:
                if event == VIEW:
                    self._viewed.mark_viewed_by_peer(run_id)
                else:
                    self._broker.deliver((event, run_id), data)
        except (ValueError, KeyError, TypeError):
            logger.warning("a notification on %s is none of ours", CHANNEL)

    async def _notify(self) -> None:
        async with await self._connect() as connection:
            while True:
                await self._wake.wait()
                await asyncio.sleep(GATHER_SECONDS)
                self._wake.clear()
                while self._pending:
                    await connection.execute(
                        "SELECT pg_notify(%s, %s)", (CHANNEL, self._next_payload())
                    )

    def _next_payload(self) -> str:
        """Take as many pending changes as fit into a notification."""
        changes: list[tuple[str, str, dict[str, Any]]] = []
        size = 100
        while self._pending:
            key = next(iter(self._pending))
            size += len(json.dumps((*key, self._pending[key]))) + 2
            if changes and size > MAX_PAYLOAD_BYTES:
                break
            changes.append((*key, self._pending.pop(key)))
        return json.dumps({"from": self._self, "news": changes})
