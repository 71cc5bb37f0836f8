"""Saying what changed: a broker in the process, and its server-sent events.

An event carries no data but the run's name and how far it is; readers fetch the data through the
same endpoints as ever. So a missed event costs nothing, and a slow reader is never queued for: all
that happened since it last listened is one entry per run.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

HEARTBEAT = 15.0


class Broker:
    """Hands each change to every listener. Lives on one event loop."""

    def __init__(self) -> None:
        self._listeners: set[Listener] = set()
        self._next_id = 1
        self.closed = False

    def publish(self, event: str, run_id: str, **data: object) -> None:
        """Tell every listener that `run_id` has news; a later one of a kind replaces the former."""
        for listener in self._listeners:
            listener.offer((event, run_id), {"run": run_id, **data}, self._next_id)
        self._next_id += 1

    def listen(self, run_id: str | None = None) -> Listener:
        """A new listener, for one run or for all; its iteration ends when the broker closes."""
        return Listener(self, run_id)

    def add(self, listener: Listener) -> None:
        """Begin to tell a listener."""
        self._listeners.add(listener)

    def remove(self, listener: Listener) -> None:
        """Stop telling a listener."""
        self._listeners.discard(listener)

    def close(self) -> None:
        """End every listener, so that open streams do not keep a stopping server alive."""
        self.closed = True
        for listener in self._listeners:
            listener.wake()


class Listener:
    """One open stream: an async iterator of server-sent events as text."""

    def __init__(self, broker: Broker, run_id: str | None) -> None:
        self._broker = broker
        self._run_id = run_id
        self._pending: dict[tuple[str, str], tuple[int, dict[str, object]]] = {}
        self._news = asyncio.Event()

    def offer(self, key: tuple[str, str], data: dict[str, object], number: int) -> None:
        """Note a change, unless it is of a run that this listener does not follow."""
        if self._run_id in {None, key[1]}:
            self._pending[key] = (number, data)
            self._news.set()

    def wake(self) -> None:
        """Let the iteration look at what is pending, and at whether the broker has closed."""
        self._news.set()

    async def events(self) -> AsyncIterator[str]:
        """Events as they come; a comment when nothing came for a while."""
        self._broker.add(self)
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
                pending, self._pending = self._pending, {}
                for (event, _), (number, data) in pending.items():
                    yield f"event: {event}\nid: {number}\ndata: {json.dumps(data)}\n\n"
        finally:
            self._broker.remove(self)
