"""Numbers and times, for people and, exactly, for programs."""

from __future__ import annotations

import datetime as dt
import json
import math
import time
from collections.abc import Mapping
from typing import Any

_UNITS = ((86_400, "day"), (3_600, "hour"), (60, "min"), (1, "s"))
TIMES = frozenset({"created", "updated", "finished", "expires", "revoked"})
"""The members of a run, a token and an archive that are seconds since 1970."""


def word(value: Any) -> str:  # noqa: PLR0911  one for each kind of value
    """A value in a table: three digits after the point or four in all, thousands with commas."""
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case float():
            return number(value)
        case str():
            return value
        case list() | tuple() | set() | frozenset():
            return ", ".join(word(item) for item in value) or "-"
        case Mapping():
            return json.dumps(value, ensure_ascii=False, default=str) if value else "-"
    return str(value)


def number(value: float) -> str:
    """A number, with thousands by commas and a power of ten only where it is far from one."""
    if not math.isfinite(value):
        return str(value)
    size = abs(value)
    if value == 0 or 1e-3 <= size < 1:
        return f"{value:.4g}"
    if 1 <= size < 1e9:
        return f"{value:,.3f}" if size < 1e3 else f"{value:,.0f}"
    return f"{value:.3e}"


def ago(when: float | None, *, now: float | None = None) -> str:
    """A time in seconds since 1970, as "3 min ago" or "in 2 days"; "-" for none."""
    if when is None:
        return "-"
    apart = (time.time() if now is None else now) - when
    size, unit = next(((s, u) for s, u in _UNITS if abs(apart) >= s), (1, "s"))
    count = int(apart // size if apart > 0 else -(apart // size))  # rounded towards the past
    if unit == "s" and count < 10:
        return "now"
    plural = "s" if count > 1 and unit in {"day", "hour"} else ""
    said = f"{count:,} {unit}{plural}"
    return f"{said} ago" if apart > 0 else f"in {said}"


def moment(when: float | None) -> str:
    """A time in seconds since 1970 on this machine's clock, with how long ago it is."""
    if when is None:
        return "-"
    local = dt.datetime.fromtimestamp(when).astimezone()
    return f"{local.isoformat(' ', 'seconds')} ({ago(when)})"


def duration(seconds: float | None) -> str:
    """A length of time in its two largest units, as "2 hours 5 min"."""
    if seconds is None:
        return "-"
    if seconds < 60:
        return f"{seconds:.3g} s"
    left, parts = int(seconds), []
    for size, unit in _UNITS:
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count:,} {unit}{'s' if count > 1 and unit in {'day', 'hour'} else ''}")
    return " ".join(parts[:2])


def size(count: float) -> str:
    """A number of bytes, as "1.5 GiB"."""
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:,.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:,.1f} TiB"


def as_utf8(text: str) -> str:
    """Text of the command line, which Python reads as bytes where the locale has ASCII only."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def iso(record: Mapping[str, Any]) -> dict[str, Any]:
    """A run, a token or an archive with its times in ISO 8601, exact to the microsecond."""
    return {
        key: dt.datetime.fromtimestamp(value, dt.UTC).isoformat()
        if key in TIMES and value is not None
        else value
        for key, value in record.items()
    }
