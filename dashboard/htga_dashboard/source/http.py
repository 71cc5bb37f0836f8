"""Requests to the collector's HTTP API, with responses as dataclasses and errors as exceptions."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, TypeVar
from urllib.parse import quote

import httpx2
from pydantic import TypeAdapter, ValidationError

from htga_client.wire import PREFIX

T = TypeVar("T")

GONE = {httpx2.codes.NOT_FOUND, httpx2.codes.GONE}


class SourceError(Exception):
    """A request to the collector failed."""


class NotFoundError(SourceError):
    """The run does not exist."""


class UnavailableError(SourceError):
    """The collector did not respond, or its response is unusable."""


class RefusedError(SourceError):
    """The collector refused the request and says why."""


class ApiClient:
    """The API of one collector.

    Args:
        client: An HTTP client with the collector's address as its `base_url`.
    """

    def __init__(self, client: httpx2.AsyncClient) -> None:
        self.client = client

    @property
    def url(self) -> str:
        """The collector's address."""
        return str(self.client.base_url)

    async def get(self, kind: type[T], path: str, **query: str | int | Sequence[str] | None) -> T:
        """GET `path` and return the response as `kind`."""
        params = {name: value for name, value in query.items() if value is not None}
        return self.read(kind, path, await self.request("GET", path, params=params))

    def read(self, kind: type[T], path: str, answer: httpx2.Response) -> T:
        """A response as `kind`.

        Raises:
            UnavailableError: The response is no `kind`.
        """
        try:
            # mypy believes that types are not hashable.
            found: T = _adapter(kind).validate_json(answer.content)  # type: ignore[arg-type]
        except ValidationError as error:
            raise UnavailableError(
                f"What {self.url} answered to {path} is no {kind.__name__}: {error}"
            ) from error
        return found

    async def request(self, method: str, path: str, **options: Any) -> httpx2.Response:
        """Send a request and return its successful response.

        Raises:
            NotFoundError: The path does not exist.
            RefusedError: The collector refuses the request and says why.
            UnavailableError: There was no response, or it reports a failure of the collector.
        """
        try:
            answer = await self.client.request(method, PREFIX + path, **options)
        except httpx2.TransportError as error:
            reason = f"The collector at {self.url} does not answer: {error}"
            raise UnavailableError(reason) from error
        if answer.status_code in GONE:
            raise NotFoundError(f"The collector at {self.url} knows nothing of {path}")
        if answer.is_client_error:
            raise RefusedError(_detail(answer))
        if not answer.is_success:
            raise UnavailableError(
                f"The collector at {self.url} answered {answer.status_code} to {path}: "
                f"{_detail(answer)}"
            )
        return answer


def quote_path(name: str) -> str:
    """`name` quoted as one segment of a path, so that no id can address another resource."""
    return quote(name, safe="")


@cache
def _adapter(kind: type[T]) -> TypeAdapter[T]:
    return TypeAdapter(kind)


def _detail(answer: httpx2.Response) -> str:
    """The detail of a problem document, or the beginning of any other body."""
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return answer.text[:300]
