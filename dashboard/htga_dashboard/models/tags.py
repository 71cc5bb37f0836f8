"""Tags as a person types them."""

from __future__ import annotations


def tags_of(text: str) -> tuple[str, ...]:
    """Split `text` at its commas; every tag appears once."""
    return tuple(dict.fromkeys(tag.strip() for tag in text.split(",") if tag.strip()))
