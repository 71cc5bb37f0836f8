"""Refuse requests by pages of other sites: foreign hosts, foreign origins, forms."""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import Scope

from htga_client.wire import ARROW_STREAM
from htga_server.problems import BadRequest, Forbidden, ServerError
from htga_server.settings import Settings

SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
BODY_TYPES = {ARROW_STREAM, "application/json"}


def check_origin(scope: Scope, headers: Headers, settings: Settings) -> ServerError | None:
    """Return the refusal of a foreign host, origin or content type, or None."""
    hosts = headers.getlist("host")
    host = host_name(hosts[0]) if len(hosts) == 1 else None
    if host is None or host not in {name.lower() for name in settings.allowed_hosts}:
        return BadRequest(
            "this Host is not answered; the operator lists names in HTGA_ALLOWED_HOSTS",
            status=400,
            slug="unknown-host",
        )
    if not _is_own_page(scope, headers, hosts[0], settings):
        return Forbidden(
            "pages of another origin are not answered; if this is the collector's own page, its"
            " proxy must pass on Host with its port, or HTGA_ALLOWED_ORIGINS must list the origin",
            slug="foreign-origin",
        )
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if scope["path"].startswith("/api/") and kind and kind not in BODY_TYPES:
        return BadRequest(
            f"Content-Type must be {' or '.join(sorted(BODY_TYPES))}",
            status=415,
            slug="unsupported-media-type",
        )
    return None


@lru_cache(1024)
def host_name(host: str) -> str | None:
    """Return the name in a Host header in lower case, without its port; None if it is malformed.

    Names are compared whole, never by a pattern: "127.0.0.1.evil.example" is not 127.0.0.1.
    """
    if not re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[0-9a-zA-Z_.-]+)(:\d{1,5})?", host):
        return None
    try:
        name = urlsplit(f"//{host}").hostname
        return str(ipaddress.ip_address(name)) if name and ":" in name else name
    except ValueError:
        return None


def _is_own_page(scope: Scope, headers: Headers, host: str, settings: Settings) -> bool:
    """Whether no page sent the request, or a page of this app or of an allowed origin did.

    Only a browser sets Sec-Fetch-Site, and no page can change it. It knows what a proxy may hide:
    the scheme and the port. A browser leaves it out on http, but on this machine.
    """
    site = headers.get("sec-fetch-site")
    if site == "same-origin":
        return True
    scheme = "https" if scope["scheme"] in {"https", "wss"} else "http"
    own = {f"{scheme}://{host.lower()}", *settings.allowed_origins}
    if any(origin.lower() not in own for origin in headers.getlist("origin")):
        return False
    return site != "cross-site" or scope.get("method") in SAFE_METHODS
