"""JSON in the body of a request, with text that every database and every response can hold."""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


class _CleanRequest(Request):
    async def json(self) -> Any:
        """The body, with "\ufffd" for each half of a character."""
        found = await super().json()
        return without_surrogates(found) if _SURROGATE.search(await self.body()) else found


class JsonRoute(APIRoute):
    """A route whose JSON body has no lone surrogate, which JSON can spell and UTF-8 cannot."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler of a request (hook of FastAPI)."""
        handle = super().get_route_handler()

        async def handle_clean(request: Request) -> Response:
            return await handle(_CleanRequest(request.scope, request.receive))

        return handle_clean


def without_surrogates(value: Any) -> Any:
    """Return a JSON value with "\ufffd" for each lone surrogate in its texts and keys."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [without_surrogates(one) for one in value]
    if isinstance(value, dict):
        return {without_surrogates(key): without_surrogates(one) for key, one in value.items()}
    return value
