"""What a sender sends to the collector: runs, rows, ends and heartbeats."""

from __future__ import annotations

from typing import Protocol, TypeVar

from htga_client import wire
from htga_client.errors import NotAnAcknowledgement
from htga_client.wire.json_codec import dumps, loads

T = TypeVar("T")


class Transport(Protocol):
    """A channel to one collector. Its methods raise the errors of `htga_client.errors` only.

    A transport must work in a forked child as if it had been made there.
    """

    @property
    def url(self) -> str:
        """The collector's address, for messages."""

    def register(self, run: wire.NewRun) -> wire.Run:
        """Make the run known; doing so twice changes nothing."""

    def send(self, run_id: str, body: bytes) -> wire.Receipt:
        """Deliver one Arrow IPC stream and return the receipt for its rows."""

    def finish(self, run_id: str, finish: wire.Finish) -> wire.Run:
        """Report how the run ended."""

    def heartbeat(self, run_id: str) -> None:
        """Report that the run is alive although it sends no rows."""

    def close(self) -> None:
        """Close the sockets; a later call opens new ones."""

    def clone(self) -> Transport:
        """Another channel to the same collector, for another thread."""


class HttpTransport:
    """A `Transport` to a collector over HTTP.

    Args:
        url: Base address of the collector.
        token: Bearer token that may ingest.

    Raises:
        ValueError: `url` is no http or https address, or `token` cannot stand in a header.
    """

    def __init__(self, url: str, token: str | None = None) -> None:
        # Imported late: a machine that only measures, and sends nothing, needs no HTTP.
        from htga_client.http.connection import Connection  # noqa: PLC0415

        self._connection = Connection(url, token, max_answer=1 << 20)
        self._token = token

    @property
    def url(self) -> str:
        """Base address of the collector."""
        return self._connection.url

    def register(self, run: wire.NewRun) -> wire.Run:
        """`POST /runs`."""
        return self._answer(wire.Run, self._connection.request("POST", "/runs", content=dumps(run)))

    def send(self, run_id: str, body: bytes) -> wire.Receipt:
        """`POST /runs/{id}/rows`."""
        answer = self._connection.request(
            "POST", f"/runs/{run_id}/rows", content=body, content_type=wire.ARROW_STREAM
        )
        return self._answer(wire.Receipt, answer)

    def finish(self, run_id: str, finish: wire.Finish) -> wire.Run:
        """`POST /runs/{id}/finish`."""
        answer = self._connection.request("POST", f"/runs/{run_id}/finish", content=dumps(finish))
        return self._answer(wire.Run, answer)

    def heartbeat(self, run_id: str) -> None:
        """`POST /runs/{id}/heartbeat`."""
        self._connection.request("POST", f"/runs/{run_id}/heartbeat")

    def close(self) -> None:
        """Close the sockets."""
        self._connection.close()

    def clone(self) -> HttpTransport:
        """Another with the same address and token."""
        return HttpTransport(self.url, self._token)

    def _answer(self, cls: type[T], body: bytes) -> T:
        try:
            return loads(cls, body)
        except ValueError as error:
            raise NotAnAcknowledgement(
                f"{self.url} gave an answer that is no collector's ({error})"
            ) from error
