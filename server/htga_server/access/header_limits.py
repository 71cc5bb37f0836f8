"""Limits on the address and the headers of a request."""

from __future__ import annotations

from starlette.responses import Response
from starlette.types import Scope

from htga_server import problems

MAX_ADDRESS_BYTES = 32 * 2**10
"""Bytes of path and query; a page may name hundreds of runs by their ids."""
MAX_HEADER_BYTES = 32 * 2**10
"""Bytes of all headers."""
MAX_PARAMETERS = 64


def check(scope: Scope) -> Response | None:
    """Return the refusal of a request that exceeds a limit, or None."""
    query: bytes = scope.get("query_string", b"")
    size = len(scope.get("raw_path") or scope["path"]) + len(query)
    if size > MAX_ADDRESS_BYTES:
        return problems.problem_response(
            414, f"an address has at most {MAX_ADDRESS_BYTES} bytes, not {size}"
        )
    size = sum(len(name) + len(value) for name, value in scope["headers"])
    if size > MAX_HEADER_BYTES:
        return problems.problem_response(
            431, f"headers have at most {MAX_HEADER_BYTES} bytes, not {size}"
        )
    number = query.count(b"&") + 1
    if number > MAX_PARAMETERS:
        return problems.problem_response(
            422, f"a query has at most {MAX_PARAMETERS} parts, not {number}"
        )
    return None
