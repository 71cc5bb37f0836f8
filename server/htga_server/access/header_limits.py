"""Limits on the address and the headers of a request."""

from __future__ import annotations

from starlette.types import Scope

from htga_server.problems import SLUGS, BadRequest, ServerError

MAX_ADDRESS_BYTES = 32 * 2**10
"""Bytes of path and query; a page may name hundreds of runs by their ids."""
MAX_HEADER_BYTES = 32 * 2**10
"""Bytes of all headers."""
MAX_PARAMETERS = 64


def check(scope: Scope) -> ServerError | None:
    """Return the refusal of a request that exceeds a limit, or None."""
    query: bytes = scope.get("query_string", b"")
    address = len(scope.get("raw_path") or scope["path"]) + len(query)
    headers = sum(len(name) + len(value) for name, value in scope["headers"])
    for status, what, limit, actual in (
        (414, "an address has at most {} bytes", MAX_ADDRESS_BYTES, address),
        (431, "headers have at most {} bytes", MAX_HEADER_BYTES, headers),
        (422, "a query has at most {} parts", MAX_PARAMETERS, query.count(b"&") + 1),
    ):
        if actual > limit:
            detail = f"{what.format(limit)}, not {actual}"
            return BadRequest(detail, status=status, slug=SLUGS[status])
    return None
