"""How much a request may hold besides its body."""

from __future__ import annotations

from starlette.responses import Response
from starlette.types import Scope

from htga_server import problems

LONGEST_ADDRESS = 32 * 2**10
"""Bytes of path and query: a page may compare hundreds of runs by their ids."""
LARGEST_HEADERS = 32 * 2**10
"""Bytes of all headers."""
MOST_PARAMETERS = 64


def refusal(scope: Scope) -> Response | None:
    """The answer to a request that brings more than is read; None where it may go on."""
    query: bytes = scope.get("query_string", b"")
    size = len(scope.get("raw_path") or scope["path"]) + len(query)
    if size > LONGEST_ADDRESS:
        return problems.answer(414, f"an address has at most {LONGEST_ADDRESS} bytes, not {size}")
    size = sum(len(name) + len(value) for name, value in scope["headers"])
    if size > LARGEST_HEADERS:
        return problems.answer(431, f"headers have at most {LARGEST_HEADERS} bytes, not {size}")
    number = query.count(b"&") + 1
    if number > MOST_PARAMETERS:
        return problems.answer(422, f"a query has at most {MOST_PARAMETERS} parts, not {number}")
    return None
