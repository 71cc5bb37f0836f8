"""The address of a collector."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

DEFAULT_URL = "http://127.0.0.1:8642"


def checked_url(url: str) -> str:
    """The base address without trailing slashes.

    Raises:
        ValueError: The address is not http or https, has no host, or an impossible port.
    """
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ValueError(f"url (or HTGA_URL) must look like {DEFAULT_URL!r}, got {url!r}")
    return url.rstrip("/")


def is_loopback(url: str) -> bool:
    """Whether an address belongs to this machine."""
    return is_loopback_host(urlsplit(url).hostname or "")


def is_loopback_host(host: str) -> bool:
    """Whether a name or an IP address belongs to this machine."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
