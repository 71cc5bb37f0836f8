"""A broker of changes, and the server-sent events of its subscribers.

An event names a run and its last step; subscribers fetch the data through the read endpoints. So
nothing is queued for a slow subscriber but one entry for each run. A subscriber that returns with
the id of its last event gets what it missed, or `reset` if that is not known any more: it must
then read everything again.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from htga_server.problems import Busy

HEARTBEAT = 5.0
"""Seconds of silence after which a stream says that it is open; a run stays viewed so long."""
INTERVAL = 0.05
"""Minimum seconds between two deliveries to one subscriber."""
MAX_SUBSCRIBERS = 512
MAX_PENDING = 1000
MAX_REMEMBERED = 10_000

Key = tuple[str, str]
Filter = Callable[[str], Awaitable[bool]]


class Broker:
    """Passes each change to every subscriber. Lives on one event loop.

    Attributes:
        announce: Called with every change of this process, for other processes.
    """

    def __init__(self) -> None:
        self._subscribers: set[Subscriber] = set()
        self._epoch = secrets.token_hex(4)
        self._number = 0
        self._latest: dict[Key, tuple[int, dict[str, Any]]] = {}
        self._oldest_forgotten = 0
        self.announce: Callable[[Key, dict[str, Any]], None] = lambda _key, _data: None
        self.closed = False

    def publish(self, event: str, run_id: str, **data: object) -> None:
        """Publish that a run changed; a later event of the same kind replaces an earlier one."""
        self.deliver((event, run_id), {"run": run_id, **data})
        self.announce((event, run_id), {"run": run_id, **data})

    def deliver(self, key: Key, data: dict[str, Any]) -> None:
        """Pass a change to the subscribers of this process."""
        self._number += 1
        self._latest.pop(key, None)
        self._latest[key] = (self._number, data)
        if len(self._latest) > MAX_REMEMBERED:
            oldest = next(iter(self._latest))
            self._oldest_forgotten = self._latest.pop(oldest)[0]
        for subscriber in self._subscribers:
            subscriber.enqueue(key, data, self._number)

    def reset(self) -> None:
        """Make every subscriber read everything again, because changes may have been missed."""
        for subscriber in self._subscribers:
            subscriber.reset()

    def subscribe(
        self, run_id: str | None = None, *, after: str | None = None, only: Filter | None = None
    ) -> Subscriber:
        """Return a new subscriber, whose events end when the broker closes.

        Args:
            run_id: The run to subscribe to; None for all.
            after: The id of the last event that the reader received.
            only: Returns whether the reader may see a run.

        Raises:
            Busy: There are too many subscribers.
        """
        if len(self._subscribers) >= MAX_SUBSCRIBERS:
            raise Busy(f"{MAX_SUBSCRIBERS} streams of events are open already")
        return Subscriber(self, run_id, after, only)

    @property
    def subscriber_count(self) -> int:
        """The number of open streams."""
        return len(self._subscribers)

    def event_id(self, number: int) -> str:
        """Return the id of an event."""
        return f"{self._epoch}-{number}"

    def add(self, subscriber: Subscriber, after: str | None) -> None:
        """Add a subscriber, and pass on what changed after an event."""
        self._subscribers.add(subscriber)
        if after is not None:
            self._catch_up(subscriber, after)

    def remove(self, subscriber: Subscriber) -> None:
        """Remove a subscriber."""
        self._subscribers.discard(subscriber)

    def close(self) -> None:
        """End every stream, so that none keeps a stopping server alive."""
        self.closed = True
        for subscriber in self._subscribers:
            subscriber.notify()

    def _catch_up(self, subscriber: Subscriber, after: str) -> None:
        epoch, _, number = after.partition("-")
        if epoch != self._epoch or not number.isdecimal() or int(number) < self._oldest_forgotten:
            subscriber.reset()
            return
        for key, (own, data) in self._latest.items():
            if own > int(number):
                subscriber.enqueue(key, data, own)


class Subscriber:
    """One open stream of server-sent events."""

    def __init__(
        self, broker: Broker, run_id: str | None, after: str | None, only: Filter | None
    ) -> None:
        self._broker = broker
        self._run_id = run_id
        self._after = after
        self._only = only
        self._pending: dict[Key, tuple[int, dict[str, Any]]] = {}
        self._reset = False
        self._wake = asyncio.Event()

    def enqueue(self, key: Key, data: dict[str, Any], number: int) -> None:
        """Queue a change, unless it is of another run than the subscriber's."""
        if self._run_id in {None, key[1]}:
            self._pending[key] = (number, data)
            if len(self._pending) > MAX_PENDING:
                self.reset()
            self._wake.set()

    def reset(self) -> None:
        """Send `reset` in place of what is pending."""
        self._pending.clear()
        self._reset = True
        self._wake.set()

    def notify(self) -> None:
        """Wake the stream to see what is pending, or that the broker has closed."""
        self._wake.set()

    async def events(self) -> AsyncIterator[str]:
        """Yield events as text, and a comment after a while without any."""
        self._broker.add(self, self._after)
        try:
            # The first bytes show the browser, and any proxy, that the stream is open.
            yield ": open\n\n"
            while not self._broker.closed:
                try:
                    await asyncio.wait_for(self._wake.wait(), HEARTBEAT)
                except TimeoutError:
                    yield ": still here\n\n"
                    continue
                self._wake.clear()
                for text in self._take_pending():
                    if await self._is_visible(text[0]):
                        yield text[1]
                if not self._broker.closed:
                    await asyncio.sleep(INTERVAL)
        finally:
            self._broker.remove(self)

    def _take_pending(self) -> list[tuple[str | None, str]]:
        pending, self._pending = self._pending, {}
        reset, self._reset = self._reset, False
        texts: list[tuple[str | None, str]] = (
            [(None, "event: reset\ndata: {}\n\n")] if reset else []
        )
        for (event, run_id), (number, data) in sorted(pending.items(), key=lambda one: one[1][0]):
            event_id, payload = self._broker.event_id(number), json.dumps(data)
            texts.append((run_id, f"event: {event}\nid: {event_id}\ndata: {payload}\n\n"))
        return texts

    async def _is_visible(self, run_id: str | None) -> bool:
        return run_id is None or self._only is None or await self._only(run_id)
