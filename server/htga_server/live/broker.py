"""Saying what changed: a broker in the process, and its server-sent events.

An event carries no data but the run's name and how far it is; readers fetch the data through the
same endpoints as ever. So a slow reader is never queued for: all that happened since it last
listened is one entry per run. Who comes back with the id of the last event gets what it missed, or
the event `reset` where that is not known any more: look at everything anew.
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
"""Least seconds between two looks at what is new for one reader."""
MOST_LISTENERS = 512
MOST_PENDING = 1000
REMEMBERED = 10_000

Key = tuple[str, str]
Filter = Callable[[str], Awaitable[bool]]


class Broker:
    """Hands each change to every listener. Lives on one event loop.

    Attributes:
        announce: Told of every change that began here, with what other processes need to know.
    """

    def __init__(self) -> None:
        self._listeners: set[Listener] = set()
        self._epoch = secrets.token_hex(4)
        self._number = 0
        self._latest: dict[Key, tuple[int, dict[str, Any]]] = {}
        self._forgotten = 0
        self.announce: Callable[[Key, dict[str, Any]], None] = lambda _key, _data: None
        self.closed = False

    def publish(self, event: str, run_id: str, **data: object) -> None:
        """Tell everybody that `run_id` has news; a later one of a kind replaces the former."""
        self.deliver((event, run_id), {"run": run_id, **data})
        self.announce((event, run_id), {"run": run_id, **data})

    def deliver(self, key: Key, data: dict[str, Any]) -> None:
        """Tell the listeners of this process."""
        self._number += 1
        self._latest.pop(key, None)
        self._latest[key] = (self._number, data)
        if len(self._latest) > REMEMBERED:
            oldest = next(iter(self._latest))
            self._forgotten = self._latest.pop(oldest)[0]
        for listener in self._listeners:
            listener.offer(key, data, self._number)

    def reset(self) -> None:
        """Have every listener look at everything anew: news may have been missed."""
        for listener in self._listeners:
            listener.reset()

    def listen(
        self, run_id: str | None = None, *, after: str | None = None, only: Filter | None = None
    ) -> Listener:
        """A new listener; its iteration ends when the broker closes.

        Args:
            run_id: The run that it follows; all where it is None.
            after: The id of the last event that the reader had.
            only: Says of a run whether the reader may know of it.

        Raises:
            Busy: Too many listen already.
        """
        if len(self._listeners) >= MOST_LISTENERS:
            raise Busy(f"{MOST_LISTENERS} readers follow this collector already")
        return Listener(self, run_id, after, only)

    @property
    def readers(self) -> int:
        """Number of open streams."""
        return len(self._listeners)

    def name(self, number: int) -> str:
        """The id of an event."""
        return f"{self._epoch}-{number}"

    def add(self, listener: Listener, after: str | None) -> None:
        """Begin to tell a listener, with what came after an event."""
        self._listeners.add(listener)
        if after is not None:
            self._catch_up(listener, after)

    def remove(self, listener: Listener) -> None:
        """Stop telling a listener."""
        self._listeners.discard(listener)

    def close(self) -> None:
        """End every listener, so that open streams do not keep a stopping server alive."""
        self.closed = True
        for listener in self._listeners:
            listener.wake()

    def _catch_up(self, listener: Listener, after: str) -> None:
        epoch, _, number = after.partition("-")
        if epoch != self._epoch or not number.isdecimal() or int(number) < self._forgotten:
            listener.reset()
            return
        for key, (own, data) in self._latest.items():
            if own > int(number):
                listener.offer(key, data, own)


class Listener:
    """One open stream: an async iterator of server-sent events as text."""

    def __init__(
        self, broker: Broker, run_id: str | None, after: str | None, only: Filter | None
    ) -> None:
        self._broker = broker
        self._run_id = run_id
        self._after = after
        self._only = only
        self._pending: dict[Key, tuple[int, dict[str, Any]]] = {}
        self._reset = False
        self._news = asyncio.Event()

    def offer(self, key: Key, data: dict[str, Any], number: int) -> None:
        """Note a change, unless it is of a run that this listener does not follow."""
        if self._run_id in {None, key[1]}:
            self._pending[key] = (number, data)
            if len(self._pending) > MOST_PENDING:
                self.reset()
            self._news.set()

    def reset(self) -> None:
        """Have the reader look at everything anew, instead of at what is pending."""
        self._pending.clear()
        self._reset = True
        self._news.set()

    def wake(self) -> None:
        """Let the iteration look at what is pending, and at whether the broker has closed."""
        self._news.set()

    async def events(self) -> AsyncIterator[str]:
        """Events as they come; a comment when nothing came for a while."""
        self._broker.add(self, self._after)
        try:
            # The first bytes tell the browser, and any proxy between, that the stream is open.
            yield ": open\n\n"
            while not self._broker.closed:
                try:
                    await asyncio.wait_for(self._news.wait(), HEARTBEAT)
                except TimeoutError:
                    yield ": still here\n\n"
                    continue
                self._news.clear()
                for text in self._taken():
                    if await self._may(text[0]):
                        yield text[1]
                if not self._broker.closed:
                    await asyncio.sleep(INTERVAL)
        finally:
            self._broker.remove(self)

    def _taken(self) -> list[tuple[str | None, str]]:
        pending, self._pending = self._pending, {}
        reset, self._reset = self._reset, False
        texts: list[tuple[str | None, str]] = (
            [(None, "event: reset\ndata: {}\n\n")] if reset else []
        )
        for (event, run_id), (number, data) in sorted(pending.items(), key=lambda one: one[1][0]):
            name, said = self._broker.name(number), json.dumps(data)
            texts.append((run_id, f"event: {event}\nid: {name}\ndata: {said}\n\n"))
        return texts

    async def _may(self, run_id: str | None) -> bool:
        return run_id is None or self._only is None or await self._only(run_id)
