"""Telling webhooks, one after the other, beside everything else."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from htga_server.alerts import webhook

logger = logging.getLogger(__name__)
MOST = 1000
"""Messages that wait; those beyond are dropped, for their events are kept anyway."""
AGAIN = (2.0, 20.0)
"""Seconds before a message is sent again that did not arrive."""

Tell = Callable[[str, Mapping[str, Any]], Awaitable[None]]


class Messenger:
    """Sends messages in turn.

    Args:
        tell: Sends one.
        again: As `AGAIN`.
    """

    def __init__(self, tell: Tell = webhook.tell, again: tuple[float, ...] = AGAIN) -> None:
        self._tell = tell
        self._again = again
        self._waiting: deque[tuple[str, Mapping[str, Any]]] = deque()
        self._news = asyncio.Event()

    def send(self, url: str, message: Mapping[str, Any]) -> None:
        """Have a message sent soon."""
        if len(self._waiting) >= MOST:
            logger.warning("%d messages wait for webhooks; one more is dropped", MOST)
            return
        self._waiting.append((url, message))
        self._news.set()

    async def run(self) -> None:
        """Send what there is, until cancelled."""
        while True:
            await self._news.wait()
            self._news.clear()
            while self._waiting:
                await self._deliver(*self._waiting.popleft())

    async def _deliver(self, url: str, message: Mapping[str, Any]) -> None:
        for delay in (*self._again, None):
            try:
                await self._tell(url, message)
            except (OSError, TimeoutError, ssl.SSLError) as error:
                if delay is None:
                    # The address may hold a secret; its host is enough to know which.
                    logger.warning("a webhook was not told: %s", error or "it took too long")
                    return
                await asyncio.sleep(delay)
            else:
                return
