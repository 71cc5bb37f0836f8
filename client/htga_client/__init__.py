"""The light client of HTGA: wire schema, sender and reader, without torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from htga_client.reader import Client

__all__ = ["Client"]


def __getattr__(name: str) -> Any:
    # Arrow and the HTTP library take 100 ms and more to import; a program that only imports the
    # package should not wait for them.
    if name == "Client":
        from htga_client.reader import Client  # noqa: PLC0415 (see above)

        return Client
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
