"""Parts of rows that cannot be stored, counted by what they are."""

from __future__ import annotations

from collections import Counter

from htga_client.wire import LeftOut
from htga_client.wire.text import clean_text

MAX_LISTED = 20
MAX_NAME = 128

LeftOutParts = Counter[tuple[str, str, str]]
"""Numbers of rows by what was left out of them, its name, and the reason."""


def listed(parts: LeftOutParts) -> tuple[LeftOut, ...]:
    """Return the parts for a receipt; beyond `MAX_LISTED` those of one reason are one entry."""
    named = [
        LeftOut(what=what, name=clean_text(name)[:MAX_NAME], reason=reason, rows=rows)
        for (what, name, reason), rows in list(parts.items())[:MAX_LISTED]
    ]
    others: Counter[tuple[str, str]] = Counter()
    for (what, _, reason), rows in list(parts.items())[MAX_LISTED:]:
        others[what, reason] += rows
    further = [LeftOut(what=w, name="", reason=r, rows=rows) for (w, r), rows in others.items()]
    return (*named, *further)
