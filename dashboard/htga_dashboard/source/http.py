"""One question to the collector's HTTP API and its answer."""

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
    """The collector did not give what was asked of it."""


class NotFoundError(SourceError):
    """The collector does not know the run."""


class UnavailableError(SourceError):
    """The collector did not answer, or its answer was of no use."""


class RefusedError(SourceError):
    """The collector understood, and says what is wrong with the question."""


class Exchange:
    """Asks a collector.

    Args:
        client: Knows the collector's address, as its `base_url`.
    """

    def __init__(self, client: httpx2.AsyncClient) -> None:
        self.client = client

    @property
    def url(self) -> str:
        """The collector's address."""
        return str(self.client.base_url)

    async def get(self, kind: type[T], path: str, **query: str | int | Sequence[str] | None) -> T:
        """What a GET of `path` answers, as `kind`."""
        params = {name: value for name, value in query.items() if value is not None}
        return self.read(kind, path, await self.ask("GET", path, params=params))

    def read(self, kind: type[T], path: str, answer: httpx2.Response) -> T:
        """An answer as `kind`.

        Raises:
            UnavailableError: It is nothing of the kind.
        """
        try:
            # mypy takes a type for something that has no hash.
            found: T = _adapter(kind).validate_json(answer.content)  # type: ignore[arg-type]
        except ValidationError as error:
            raise UnavailableError(
                f"What {self.url} answered to {path} is no {kind.__name__}: {error}"
            ) from error
        return found

    async def ask(self, method: str, path: str, **how: Any) -> httpx2.Response:
        """The collector's answer, where it is one that was hoped for.

        Raises:
            NotFoundError: It knows nothing of this path.
            RefusedError: It says what is wrong with the question.
            UnavailableError: It did not answer, or not well.
        """
        try:
            answer = await self.client.request(method, PREFIX + path, **how)
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
                f"{answer.text[:300]}"
            )
        return answer


def segment(name: str) -> str:
    """`name` as one segment of a path, so that no id can ask for another resource."""
    return quote(name, safe="")


@cache
def _adapter(kind: type[T]) -> TypeAdapter[T]:
    return TypeAdapter(kind)


def _detail(answer: httpx2.Response) -> str:
    """What a problem document says, or the beginning of whatever came instead."""
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return answer.text[:300]
