"""Asking a collector until it has answered."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from htga_client.console import say
from htga_client.errors import ClientError, Refused
from htga_client.http.backoff import Backoff
from htga_client.url import is_loopback

T = TypeVar("T")

KEEP = frozenset({401, 403})
"""Refusals that a person can undo, by another token: the rows wait for that."""

_REMEDIES = dict.fromkeys(KEEP, "the token is what token=... or HTGA_TOKEN says") | {
    404: "url (or HTGA_URL) must be the address of a collector, as `htga up` prints it"
}


class Persistence:
    """Repeats requests, without a limit in time, and says once what stands in their way.

    Args:
        url: Of the collector, for messages.
        backoff: Delays between tries.
        patience: Seconds between tries where only a person can help, as with a wrong token.
        pause: Waits for that many seconds; True if someone is in a hurry and woke it early.

    Attributes:
        retries: Number of requests that were repeated.
        failures: Requests that failed since the last answer.
        reached: Whether the collector has ever answered.
    """

    def __init__(
        self,
        url: str,
        *,
        backoff: Backoff,
        patience: float,
        pause: Callable[[float], bool],
    ) -> None:
        self.retries = 0
        self.failures = 0
        self.reached = False
        self._url = url
        self._backoff = backoff
        self._patience = patience
        self._pause = pause
        self._told: set[str] = set()

    def ask(self, request: Callable[[], T], *, final: bool = True) -> T:
        """The answer to a request, however often it takes.

        Args:
            request: Does it once.
            final: Whether a refusal is an answer, too.

        Raises:
            Refused: The collector said no, and not for want of the right token.
        """
        self._backoff.reset()
        while True:
            try:
                answer = request()
            except Refused as error:
                if final and error.status not in KEEP:
                    self._answered()
                    raise
                self.failures += 1
                remedy = _REMEDIES.get(error.status)
                kept = "rows are kept until this is settled"
                self.tell("patience", f"{error}; {kept}{f': {remedy}' if remedy else ''}")
                delay = self._patience
            except Exception as error:  # noqa: BLE001  no error may end the worker or lose a row
                self._failed(error)
                delay = self._backoff.delay(getattr(error, "retry_after", None))
            else:
                self._answered()
                return answer
            if self._pause(delay):
                self._backoff.reset()
            self.retries += 1

    def tell(self, topic: str, message: str) -> None:
        """Say something the first time that there is something to say about a topic."""
        if topic not in self._told:
            self._told.add(topic)
            say(message, level=logging.WARNING)

    def _failed(self, error: Exception) -> None:
        self.failures += 1
        # An answer that is lost now and then is not worth a line; a collector that was never
        # there is, at once.
        if self.failures == (3 if self.reached else 1):
            what = str(error) if isinstance(error, ClientError) else repr(error)
            never = not self.reached and is_loopback(self._url)
            remedy = "once it is there: `htga up` starts one" if never else "when it is back"
            say(f"{what}; rows are kept and will be delivered {remedy}", level=logging.WARNING)
            self._told.add("unreachable")

    def _answered(self) -> None:
        if "unreachable" in self._told:
            self._told.remove("unreachable")
            say(f"{self._url} is back; rows are being delivered")
        self.failures = 0
        self.reached = True
