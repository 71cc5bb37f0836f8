"""An HTTP connection to one collector: address, token, time limits, and errors by meaning."""

from __future__ import annotations

import contextlib
import email.utils
import encodings.idna  # noqa: F401  the first look-up of a name would import it: see `_open`
import json
import os
import time
from collections.abc import Mapping
from typing import Any

import httpx2

from htga_client import wire
from htga_client.errors import ClientError, NotAnAcknowledgement, Refused, Unreachable
from htga_client.url import checked_url, is_loopback, without_password

_TRANSIENT = frozenset({408, 425, 429})
_ENVIRONMENT = frozenset(
    {"ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"}
)
"""What the library for HTTP reads from the environment, in upper or lower case."""


class Connection:
    """Requests to the API of one collector.

    Args:
        url: Base address of the collector, such as "http://127.0.0.1:8642"; a path is kept, and so
            are a name and a password, for a proxy that asks for them.
        token: Sent as bearer token, if given.
        timeout: Seconds that a whole answer may take.
        max_answer: Maximum size of an answer in bytes, or None for no limit.

    Attributes:
        base: As given, without trailing slashes.
        url: The same without name and password, to be shown.

    Raises:
        ValueError: `url` is no http or https address, or `token` cannot stand in a header.
    """

    def __init__(
        self,
        url: str,
        token: str | None = None,
        *,
        timeout: float = 10.0,
        max_answer: int | None = None,
    ) -> None:
        self.base = checked_url(url)
        self.url = without_password(self.base)
        self._headers = {"Accept-Encoding": "identity"}
        if token:
            if not isinstance(token, str) or not token.isascii() or not token.isprintable():
                raise ValueError("token must be printable ASCII; copy it again without line breaks")
            self._headers["Authorization"] = f"Bearer {token}"
        self._timeout = timeout
        self._max_answer = max_answer
        self._client: httpx2.Client | None = None
        self._pid = 0
        # Opening imports the rest of the library. That must not happen on a thread: a process that
        # forks meanwhile leaves its child half a module, and an import lock that is never freed.
        # What the environment says of proxies and certificates may be wrong: `request` says so.
        with contextlib.suppress(Exception):
            self._open()

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        content: bytes | None = None,
        content_type: str = "application/json",
        accept: str = "application/json",
    ) -> bytes:
        """Make a request and return the body of the answer, whose status is 200 to 299.

        Args:
            method: HTTP method.
            path: Path below the API's prefix, with a leading slash.
            params: Query parameters; those that are None are left out.
            content: Body of the request.
            content_type, accept: Media types of the request and of the answer.

        Raises:
            Unreachable: No answer, or one that says to try again later.
            Refused: The collector refuses the request.
            NotAnAcknowledgement: The answer is not a collector's.
        """
        headers = {"Accept": accept}
        if content is not None:
            headers["Content-Type"] = content_type
        deadline = time.monotonic() + self._timeout
        try:
            with self._open().stream(
                method,
                f"{self.base}{wire.PREFIX}{path}",
                params={key: value for key, value in (params or {}).items() if value is not None},
                content=content,
                headers=headers,
            ) as response:
                body = self._read(response, deadline)
        except ClientError:
            raise
        except Exception as error:
            raise Unreachable(f"{self.url} is unreachable ({_reason(error)})") from error
        _check_status(response, body, request=f"{method} {path}", url=self.url)
        return body

    def _read(self, response: httpx2.Response, deadline: float) -> bytes:
        body = bytearray()
        # Raw, so that a hostile answer cannot decompress to more than the limit.
        for chunk in response.iter_raw():
            body += chunk
            if self._max_answer is not None and len(body) > self._max_answer:
                raise NotAnAcknowledgement(
                    f"{self.url} answered with more than {self._max_answer} bytes"
                )
            if time.monotonic() > deadline:
                raise Unreachable(f"{self.url} took longer than {self._timeout:g} s")
        return bytes(body)

    def close(self) -> None:
        """Close the sockets; a later request opens new ones."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _open(self) -> httpx2.Client:
        # A forked child must neither write to its parent's sockets nor wait for a lock that a
        # thread of the parent held.
        if self._client is None or self._pid != os.getpid():
            self._pid = os.getpid()
            self._client = httpx2.Client(
                headers=self._headers,
                timeout=httpx2.Timeout(self._timeout, connect=min(3.0, self._timeout)),
                follow_redirects=False,
                trust_env=not is_loopback(self.url),  # no proxy leads to this machine
            )
        return self._client


def _reason(error: Exception) -> str:
    """What went wrong, without the address of a proxy, which may hold a password."""
    reason = str(error)
    said = type(error).__name__ if not reason or "@" in reason else reason
    if isinstance(error, httpx2.TransportError):
        return said
    named = [name for name in os.environ if name.upper() in _ENVIRONMENT and os.environ[name]]
    return f"{said}; see {', '.join(named)} in the environment" if named else said


def _check_status(response: httpx2.Response, body: bytes, *, request: str, url: str) -> None:
    status = response.status_code
    if response.is_success:
        return
    if status in _TRANSIENT or response.is_server_error:
        detail = str(_problem(body).get("detail") or "")
        raise Unreachable(
            f"{url} answered {status} to {request}{': ' if detail else ''}{detail[:1000]}",
            retry_after=_seconds(response.headers.get("Retry-After")),
        )
    if not response.is_client_error:
        raise NotAnAcknowledgement(
            f"{url} answered {status} to {request}; redirects are not followed, "
            "so url must be the collector's own address"
        )
    problem = _problem(body)
    detail = str(problem.get("detail") or problem.get("title") or response.reason_phrase)
    expected = problem.get("expected_seq")
    raise Refused(
        f"{url} refused {request} with {status}: {detail}",
        status=status,
        detail=detail,
        kind=str(problem.get("type") or ""),
        expected_seq=expected if isinstance(expected, int) else None,
    )


def _problem(body: bytes) -> dict[str, Any]:
    try:
        problem = json.loads(body)
    except (ValueError, RecursionError):
        problem = None
    if isinstance(problem, dict):
        return problem
    return {"detail": body[:200].decode(errors="replace").strip()}


def _seconds(retry_after: str | None) -> float | None:
    """A Retry-After header, which is a number of seconds or a date (RFC 9110, section 10.2.3)."""
    if retry_after is None:
        return None
    if retry_after.strip().isdecimal():
        return float(retry_after)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(retry_after).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None
