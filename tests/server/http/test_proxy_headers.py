"""The root path, the client and the scheme of a request are what a trusted proxy says."""

from __future__ import annotations

from typing import Any

import pytest

from htga_client.url import clean_root_path
from htga_client.wire import ROOT_PATH
from htga_server.http.proxy_headers import ProxyHeaders
from tests.support.in_process import call

PROXY, STRANGER = "10.1.2.3", "203.0.113.9"


def seen(
    path: str = "/runs",
    *,
    peer: str = PROXY,
    root_path: str = "",
    **headers: str,
) -> dict[str, Any]:
    """The scope that an app behind the middleware gets."""
    scopes: list[dict[str, Any]] = []

    async def app(scope: dict[str, Any], _receive: Any, _send: Any) -> None:
        scopes.append(scope)

    scope = {
        "type": "http",
        "path": path,
        "raw_path": path.encode(),
        "scheme": "http",
        "client": (peer, 1),
        "headers": [
            (name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()
        ],
    }
    middleware = ProxyHeaders(app, root_path=root_path, trusted=["10.0.0.0/8"])
    call(lambda: middleware(scope, None, None))
    return scopes[0]


@pytest.mark.parametrize("root_path", ["/htga", "htga/", "/htga/"])
@pytest.mark.parametrize("path", ["/runs", "/htga/runs"])
def test_a_root_path_is_removed_whether_or_not_the_proxy_has_done_so(
    path: str, root_path: str
) -> None:
    for scope in (seen(path, root_path=root_path), seen(path, x_forwarded_prefix=root_path)):
        assert (scope["path"], scope["raw_path"]) == ("/runs", b"/runs")
        assert scope[ROOT_PATH] == "/htga"


@pytest.mark.parametrize(
    ("path", "inner"), [("/htga", "/"), ("/htga/", "/"), ("/htgax/runs", "/htgax/runs"), ("/", "/")]
)
def test_only_whole_segments_are_a_root_path(path: str, inner: str) -> None:
    assert seen(path, root_path="/htga")["path"] == inner


def test_a_stranger_chooses_neither_root_path_nor_address_nor_scheme() -> None:
    said = {
        "x_forwarded_prefix": "/evil",
        "x_forwarded_for": "127.0.0.1",
        "x_forwarded_proto": "https",
    }
    scope = seen(peer=STRANGER, root_path="/htga", **said)
    assert (scope[ROOT_PATH], scope["client"][0], scope["scheme"]) == ("/htga", STRANGER, "http")
    scope = seen(peer=PROXY, root_path="/htga", **said)
    assert (scope[ROOT_PATH], scope["client"][0], scope["scheme"]) == (
        "/evil",
        "127.0.0.1",
        "https",
    )


WRONG = [
    "//evil.example",
    "/a/../b",
    "/.",
    "/a b",
    '/"><script>',
    "/a?b",
    "/a#b",
    "/ä",
    "/a\\b",
    "a://b",
]


@pytest.mark.parametrize("prefix", WRONG)
def test_a_malformed_root_path_is_refused_as_a_setting_and_ignored_as_a_header(prefix: str) -> None:
    with pytest.raises(ValueError, match="root_path must look like '/htga'"):
        clean_root_path(prefix)
    assert seen(x_forwarded_prefix=prefix, root_path="/htga")[ROOT_PATH] == "/htga"
