"""A queue of messages to webhooks, sent one after the other in the background."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from htga_server.alerts import webhook

logger = logging.getLogger(__name__)
MAX_WAITING = 1000
"""Messages that may wait; further ones are dropped, but their events are stored anyway."""
RETRY_DELAYS = (2.0, 20.0)
"""Seconds before a failed message is sent again."""

Post = Callable[[str, Mapping[str, Any]], Awaitable[None]]


class WebhookQueue:
    """Sends messages in turn.

    Args:
        post: Sends one message.
        retry_delays: As `RETRY_DELAYS`.
    """

    def __init__(
        self, post: Post = webhook.post, retry_delays: tuple[float, ...] = RETRY_DELAYS
    ) -> None:
        self._post = post
        self._retry_delays = retry_delays
        self._waiting: deque[tuple[str, Mapping[str, Any]]] = deque()
        self._wake = asyncio.Event()

    def send(self, url: str, message: Mapping[str, Any]) -> None:
        """Queue a message."""
        if len(self._waiting) >= MAX_WAITING:
            logger.warning("%d messages wait for webhooks; one more is dropped", MAX_WAITING)
            return
        self._waiting.append((url, message))
        self._wake.set()

    async def run(self) -> None:
        """Send messages until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                await self._deliver(*self._waiting.popleft())

    async def _deliver(self, url: str, message: Mapping[str, Any]) -> None:
        for delay in (*self._retry_delays, None):
            try:
                await self._post(url, message)
            except (OSError, TimeoutError, ssl.SSLError) as error:
                if delay is None:
                    # The URL may hold a secret; the error names the host, which is enough.
                    logger.warning("a webhook was not reached: %s", error or "it took too long")
                    return
                await asyncio.sleep(delay)
            else:
                return
