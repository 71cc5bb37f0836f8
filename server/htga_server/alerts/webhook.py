"""Telling an address of a user's choice. It is out on the internet, or it is not told.

A name can point anywhere, and somewhere else a moment later. So it is looked up once, every address
that it has must be public, and the connection goes to one of those, while the certificate must be
the name's. No redirect is followed, and of the answer only its first line is read.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import ssl
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from htga_server.problems import BadRequest

SECONDS = 10.0
"""How long all of it may take."""
MAX_URL = 2048
MAX_LINE = 1024
EMBEDDING = [ipaddress.ip_network(net) for net in ("64:ff9b::/96", "2002::/16", "2001::/32")]
"""Networks of version 6 whose addresses lead to one of version 4."""

Lookup = Callable[[str, int], Awaitable[list[str]]]


def address(url: str) -> tuple[str, int, str]:
    """Host, port and path of a webhook.

    Raises:
        BadRequest: It is no https address, or its host is not out on the internet.
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
    if literal is not None and not is_public(host):
        raise BadRequest(f"webhook must be out on the internet, and {host} is not")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return host, port, path


def is_public(ip: str) -> bool:
    """Whether an address is out on the internet: not of this machine, nor of a network near it."""
    found = ipaddress.ip_address(ip.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return is_public(str(found.ipv4_mapped))
        if any(found in net for net in EMBEDDING):
            return False
    return found.is_global and not found.is_multicast


async def lookup(host: str, port: int) -> list[str]:
    """The addresses of a name."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=1)  # SOCK_STREAM
    return [str(one[4][0]) for one in found]


async def tell(
    url: str,
    message: Mapping[str, Any],
    *,
    lookup: Lookup = lookup,
    allowed: Callable[[str], bool] = is_public,
    trust: ssl.SSLContext | None = None,
) -> None:
    """Post a message as JSON.

    Args:
        lookup: Finds the addresses of a name.
        allowed: Says of each whether it may be called.
        trust: Whose certificates are believed; those of the system where it is None.

    Raises:
        OSError: It was not told; says why.
    """
    host, port, path = address(url)
    body = json.dumps(message).encode()
    async with asyncio.timeout(SECONDS):
        ips = await lookup(host, port)
        hidden = [ip for ip in ips if not allowed(ip)]
        if hidden or not ips:
            raise OSError(f"{host} is not out on the internet: {', '.join(hidden) or 'nowhere'}")
        reader, writer = await asyncio.open_connection(
            ips[0],
            port,
            ssl=trust or ssl.create_default_context(),
            server_hostname=host,
            limit=MAX_LINE,
        )
        try:
            named = f"[{host}]" if ":" in host else host
            writer.write(
                f"POST {path} HTTP/1.1\r\nHost: {named}:{port}\r\n"
                "Content-Type: application/json\r\nUser-Agent: htga\r\nConnection: close\r\n"
                f"Content-Length: {len(body)}\r\n\r\n".encode()
                + body
            )
            await writer.drain()
            try:
                line = (await reader.readuntil(b"\n")).decode("latin-1").split()
            except (asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
                raise OSError(f"{host} does not answer in HTTP") from error
        finally:
            writer.transport.abort()
    status = line[1] if len(line) > 1 and line[0].startswith("HTTP/") else "no HTTP"
    if not status.startswith("2"):
        raise OSError(f"{host} answers {status[:40]}")
