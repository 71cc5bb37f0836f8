"""Repeating a request until the collector answers."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from htga_client.console import notify
from htga_client.errors import ClientError, Refused
from htga_client.http.backoff import Backoff
from htga_client.url import is_loopback

T = TypeVar("T")

AUTH_STATUSES = frozenset({401, 403})
"""Refusals that a person can undo, by another token: the rows wait for that."""


def needs_token(refusal: Refused) -> bool:
    """Whether another token would help."""
    return refusal.status in AUTH_STATUSES


_REMEDIES = dict.fromkeys(AUTH_STATUSES, "the token is what token=... or HTGA_TOKEN says") | {
    404: "url (or HTGA_URL) must be the address of a collector, as `htga up` prints it"
}


class Retrier:
    """Repeats requests without a limit in time, and warns once about what is wrong.

    Args:
        url: The collector's, for messages.
        backoff: Delays between tries.
        auth_retry_seconds: Seconds between tries where only a person can help, as with a wrong
            token.
        pause: Waits for that many seconds; True if it was woken early, to try again at once.

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
        auth_retry_seconds: float,
        pause: Callable[[float], bool],
    ) -> None:
        self.retries = 0
        self.failures = 0
        self.reached = False
        self._url = url
        self._backoff = backoff
        self._auth_retry_seconds = auth_retry_seconds
        self._pause = pause
        self._warned: set[str] = set()

    def call(
        self, request: Callable[[], T], *, waits: Callable[[Refused], bool] = needs_token
    ) -> T:
        """Repeat `request` until the collector answers, and return its result.

        Args:
            request: Makes the request once.
            waits: Whether a person can mend what is refused, so that it is worth asking again.

        Raises:
            Refused: The collector refused, and would for ever.
        """
        self._backoff.reset()
        while True:
            try:
                answer = request()
            except Refused as error:
                if not waits(error):
                    self._answered()
                    raise
                self.failures += 1
                remedy = _REMEDIES.get(error.status)
                kept = "rows are kept until this is mended"
                self.warn_once("auth", f"{error}; {kept}{f': {remedy}' if remedy else ''}")
                delay = self._auth_retry_seconds
            except Exception as error:  # noqa: BLE001  no error may end the thread or lose a row
                self._failed(error)
                delay = self._backoff.delay(getattr(error, "retry_after", None))
            else:
                self._answered()
                return answer
            if self._pause(delay):
                self._backoff.reset()
            self.retries += 1

    def warn_once(self, topic: str, message: str) -> None:
        """Print the first warning about a topic, and none after it."""
        if topic not in self._warned:
            self._warned.add(topic)
            notify(message, level=logging.WARNING)

    def _failed(self, error: Exception) -> None:
        self.failures += 1
        # An answer that is lost now and then is not worth a line; a collector that was never
        # there is, at once.
        if self.failures == (3 if self.reached else 1):
            what = str(error) if isinstance(error, ClientError) else repr(error)
            never = not self.reached and is_loopback(self._url)
            remedy = "once it is there: `htga up` starts one" if never else "when it is back"
            notify(f"{what}; rows are kept and will be delivered {remedy}", level=logging.WARNING)
            self._warned.add("unreachable")

    def _answered(self) -> None:
        if "unreachable" in self._warned:
            self._warned.remove("unreachable")
            notify(f"{self._url} is back; rows are being delivered")
        self.failures = 0
        self.reached = True
