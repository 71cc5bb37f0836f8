"""The address of a collector."""

from __future__ import annotations

import contextlib
import ipaddress
import re
from urllib.parse import urlsplit

DEFAULT_URL = "http://127.0.0.1:8642"


API_PREFIX = "/api/v1"
_USERINFO = re.compile(r"\A([^/?#@]*//)?.*@", re.DOTALL)


def checked_url(url: str) -> str:
    """The base address without trailing slashes; a path in it is a prefix that a proxy adds.

    Raises:
        ValueError: The address is not http or https, has no host, an impossible port, a line break,
            a query or a fragment, or is that of the API.
    """
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except (ValueError, TypeError, AttributeError):
        usable = False
    shown = repr(without_password(url) if isinstance(url, str) else url)
    # `urlsplit` drops line breaks and tabs, wherever they are.
    if not usable or not url.isprintable() or " " in url:
        raise ValueError(f"url (or HTGA_URL) must look like {DEFAULT_URL!r}, got {shown}")
    if "?" in url or "#" in url:
        raise ValueError(
            f"url (or HTGA_URL) must have no query or fragment, got {shown}; "
            "leave out what begins with ? or #"
        )
    base = url.rstrip("/")
    if f"{parts.path.rstrip('/')}/".endswith(f"{API_PREFIX}/"):
        raise ValueError(
            f"url (or HTGA_URL) must be the address without {API_PREFIX}, got {shown}; "
            f"use {without_password(base).removesuffix(API_PREFIX)!r}"
        )
    return base


def without_password(url: str) -> str:
    """An address as it may be shown: without the name and the password before the host."""
    if "@" not in url:
        return url
    with contextlib.suppress(ValueError):
        parts = urlsplit(url)
        if parts.scheme and parts.hostname and parts.port != 0:
            return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    return _USERINFO.sub(r"\1", url)


def is_loopback(url: str) -> bool:
    """Whether an address belongs to this machine."""
    return is_loopback_host(urlsplit(url).hostname or "")


def is_loopback_host(host: str) -> bool:
    """Whether a name or an IP address belongs to this machine."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def clean_root_path(path: str) -> str:
    """Return a root path that begins with a slash and does not end with one; "" for none.

    Raises:
        ValueError: It has characters other than letters, digits and `-._~/`, or an empty segment.
    """
    path = path.rstrip("/")
    path = path if path.startswith("/") or not path else f"/{path}"
    if not re.fullmatch(r"(/[A-Za-z0-9._~-]+)*", path) or {".", ".."} & set(path.split("/")):
        raise ValueError(f"root_path must look like '/htga', got {path[:80]!r}")
    return path
