"""What a sender sends to the collector: runs, rows, ends and heartbeats."""

from __future__ import annotations

from typing import TypeVar

from htga_client import wire
from htga_client.errors import NotAnAcknowledgement
from htga_client.wire.json_codec import dumps, loads

T = TypeVar("T")

MAX_ANSWER = 64 << 20
"""Bytes of an answer. A run has a config, an environment, notes and the last, least and greatest
value of each metric, and one of an older collector may have as much as fits into a request."""


class HttpTransport:
    """A channel to one collector. Its methods raise only the errors of `htga_client.errors`.

    It works in a forked child as if it had been made there.

    Args:
        url: Base address of the collector.
        token: Bearer token that may ingest.

    Raises:
        ValueError: `url` is not an http or https address, or `token` cannot be sent in a header.
    """

    def __init__(self, url: str, token: str | None = None) -> None:
        # Imported late: a machine that only measures, and sends nothing, needs no HTTP.
        from htga_client.http.connection import Connection  # noqa: PLC0415

        self._connection = Connection(url, token, max_answer=MAX_ANSWER)
        self._token = token

    @property
    def url(self) -> str:
        """Base address of the collector."""
        return self._connection.url

    def register(self, run: wire.NewRun) -> wire.RegisteredRun:
        """Make a run known; doing so twice changes nothing."""
        answer = self._connection.request("POST", "/runs", content=dumps(run))
        return self._answer(wire.RegisteredRun, answer)

    def send(self, run_id: str, body: bytes) -> wire.Receipt:
        """Deliver one Arrow IPC stream; returns the receipt for its rows."""
        answer = self._connection.request(
            "POST", f"/runs/{run_id}/rows", content=body, content_type=wire.ARROW_STREAM
        )
        return self._answer(wire.Receipt, answer)

    def finish(self, run_id: str, finish: wire.Finish) -> wire.Run:
        """Report how a run ended."""
        answer = self._connection.request("POST", f"/runs/{run_id}/finish", content=dumps(finish))
        return self._answer(wire.Run, answer)

    def heartbeat(self, run_id: str) -> None:
        """Report that a run is alive although it sends no rows."""
        self._connection.request("POST", f"/runs/{run_id}/heartbeat")

    def close(self) -> None:
        """Close the sockets; a later call opens new ones."""
        self._connection.close()

    def clone(self) -> HttpTransport:
        """Another channel to the same collector, for another thread."""
        return HttpTransport(self._connection.base, self._token)

    def _answer(self, cls: type[T], body: bytes) -> T:
        try:
            return loads(cls, body)
        except ValueError as error:
            raise NotAnAcknowledgement(
                f"{self.url} gave an answer that is no collector's ({error})"
            ) from error
