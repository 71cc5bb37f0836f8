"""Post to a user-supplied URL, only if it resolves to public addresses (SSRF protection).

A name can point anywhere, and elsewhere a moment later. So it is resolved once, all its addresses
must be public, and the connection goes to one of them, with the certificate checked for the name.
No redirect is followed, and of the answer only the head is read.
"""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx2

from htga_server.problems import BadRequest

SECONDS = 10.0
"""How long a post may take in all."""
MAX_URL = 2048
GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")
"""The IPv6 addresses that the internet routes; translations to IPv4 lie outside, but for two."""
NOT_ROUTED = [
    ipaddress.ip_network(net)
    for net in ("2002::/16", "2001::/23", "2001:db8::/32", "3fff::/20", "192.88.99.0/24")
]
"""6to4, Teredo and other protocols, documentation; and 6to4's relays."""

Lookup = Callable[[str, int], Awaitable[list[str]]]


def address(url: str, inside: Collection[str] = ()) -> tuple[str, int, str]:
    """Return host, port and path of a webhook.

    Args:
        inside: Hosts that may be called although they are not public.

    Raises:
        BadRequest: It is no https URL, or its host is an address that is not public.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or 443
    except ValueError:
        parts, host, port = urlsplit(""), "", 0
    if parts.scheme != "https" or not host or "@" in parts.netloc or len(url) > MAX_URL:
        raise BadRequest("webhook must be an https address without a user name")
    if not url.isascii() or not url.isprintable() or " " in url:
        raise BadRequest("webhook must be in ASCII without spaces")
    try:
        literal = ipaddress.ip_address(host)
    except ValueError:
        literal = None
    if literal is not None and host not in inside and not is_public(host):
        raise BadRequest(
            f"webhook must be out on the internet, and {host} is not;"
            " the operator lists others in HTGA_WEBHOOK_HOSTS"
        )
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return host, port, path


def is_public(ip: str) -> bool:
    """Return whether an address is on the public internet."""
    found = ipaddress.ip_address(ip.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return is_public(str(found.ipv4_mapped))
        if found not in GLOBAL_UNICAST:
            return False
    return (
        found.is_global
        and not found.is_multicast
        and not any(found in net for net in NOT_ROUTED if net.version == found.version)
    )


async def lookup(host: str, port: int) -> list[str]:
    """Return the addresses of a name."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=1)  # SOCK_STREAM
    return [str(one[4][0]) for one in found]


async def post(
    url: str,
    message: Mapping[str, Any],
    *,
    inside: Collection[str] = (),
    lookup: Lookup = lookup,
    allowed: Callable[[str], bool] = is_public,
    trust: ssl.SSLContext | None = None,
) -> None:
    """Post a message as JSON.

    Args:
        inside: Hosts that may be called wherever they are.
        lookup: Resolves a name to addresses.
        allowed: Says whether an address may be called.
        trust: The certificates to trust; None trusts those of the system.

    Raises:
        OSError: The message was not delivered; says why.
        TimeoutError: It took longer than `SECONDS`.
    """
    host, port, path = address(url, inside)
    named = f"[{host}]" if ":" in host else host
    async with asyncio.timeout(SECONDS):
        ips = await lookup(host, port)
        hidden = [] if host in inside else [ip for ip in ips if not allowed(ip)]
        if hidden or not ips:
            raise OSError(f"{host} is not out on the internet: {', '.join(hidden) or 'nowhere'}")
        # To the vetted address itself, and not by a proxy, which would resolve the name again. Each
        # phase has a limit of its own: httpx2 closes the socket of a handshake that it gives up,
        # but not that of one that is cancelled.
        target = httpx2.URL(scheme="https", host=ips[0], port=port, raw_path=path.encode())
        async with (
            httpx2.AsyncClient(
                verify=trust or ssl.create_default_context(), trust_env=False, timeout=SECONDS / 4
            ) as client,
            _as_os_error(host),
            client.stream(
                "POST",
                target,
                json=dict(message),
                headers={"Host": f"{named}:{port}", "User-Agent": "htga", "Connection": "close"},
                extensions={"sni_hostname": host},
                follow_redirects=False,
            ) as answer,
        ):
            if not answer.is_success:  # the body is never read
                raise OSError(f"{host} answers {answer.status_code}")


@asynccontextmanager
async def _as_os_error(host: str) -> AsyncIterator[None]:
    """Raise what went wrong with the connection, or with the answer, as an `OSError`."""
    try:
        yield
    except httpx2.ProtocolError as error:
        raise OSError(f"{host} does not answer in HTTP") from error
    except httpx2.TransportError as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, OSError):
            cause = cause.__cause__ or cause.__context__
        raise cause or OSError(f"{host}: {error}") from error
