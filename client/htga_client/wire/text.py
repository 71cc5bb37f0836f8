"""Text that every database, file and console can hold."""

from __future__ import annotations

import re

REPLACEMENT = "\ufffd"
"""Stands for a character that cannot be stored, as Unicode prescribes."""

_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


def clean_text(text: str) -> str:
    """The text with U+FFFD for each NUL and each lone surrogate.

    Postgres stores no NUL, and UTF-8 has no surrogates; Python makes them of bytes in file names
    that are not UTF-8.
    """
    # `str` of a subclass could be anything.
    return _UNSTORABLE.sub(REPLACEMENT, str.__str__(text))


def as_text(value: object) -> str:
    """`str(value)`, cleaned; what cannot be shown is named by its type."""
    try:
        return clean_text(str(value))
    except Exception:  # noqa: BLE001  foreign code, which may raise anything
        return _unnamed(value)


def shown(value: object, limit: int | None = 60) -> str:
    """`repr(value)`, cleaned, for a message; what cannot be shown is named by its type.

    Args:
        value: Anything.
        limit: Maximum number of characters; None for no limit.
    """
    try:
        text = clean_text(repr(value))
    except Exception:  # noqa: BLE001  foreign code, which may raise anything
        text = _unnamed(value)
    return text if limit is None or len(text) <= limit else f"{text[: limit - 1]}…"


def _unnamed(value: object) -> str:
    return clean_text(f"<{type(value).__name__} that cannot be shown>")
