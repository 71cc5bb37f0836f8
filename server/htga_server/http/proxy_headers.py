"""What a proxy in front of the app says about a request: its client, its scheme and its path."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.datastructures import Headers
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from htga_client.url import clean_root_path
from htga_client.wire import ROOT_PATH


class ProxyHeaders(ProxyHeadersMiddleware):
    """ASGI middleware that makes a request look as if there were no proxy.

    Client and scheme come from `X-Forwarded-For` and `X-Forwarded-Proto`, and the root path from
    `X-Forwarded-Prefix`, all of them only from a trusted proxy. The root path is removed from the
    path of a request if the proxy left it there; the scope has it under `wire.ROOT_PATH`.

    Args:
        root_path: The root path of requests without a trusted `X-Forwarded-Prefix`.
        trusted: Addresses or networks of proxies; "*" trusts everyone.
    """

    def __init__(self, app: Any, *, root_path: str = "", trusted: Sequence[str] = ()) -> None:
        super().__init__(app, list(trusted))
        self._root_path = clean_root_path(root_path)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Forward a request."""
        if scope["type"] in {"http", "websocket"}:
            root = self._root_path_of(scope)
            scope = {**scope, ROOT_PATH: root}
            if root and f"{scope['path']}/".startswith(f"{root}/"):
                scope["path"] = scope["path"].removeprefix(root) or "/"
                scope["raw_path"] = (scope.get("raw_path") or b"").removeprefix(root.encode())
        await super().__call__(scope, receive, send)

    def _root_path_of(self, scope: Any) -> str:
        proxy = scope["client"][0] if scope.get("client") else None
        named = Headers(scope=scope).get("x-forwarded-prefix")
        if named is not None and proxy in self.trusted_hosts:
            try:
                return clean_root_path(named)
            except ValueError:
                pass  # the header may come from the client, through a proxy that does not set it
        return self._root_path
