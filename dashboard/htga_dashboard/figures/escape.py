"""Text from telemetry, escaped for a figure: plotly would read it as HTML."""

from __future__ import annotations

import html
import unicodedata

MAX_LENGTH = 48


def escape(text: str, max_length: int = MAX_LENGTH, *, end: bool = False) -> str:
    """`text` as a label of at most `max_length` characters that plotly shows literally.

    Control and bidirectional characters are dropped, because in a legend they would affect the next
    label. A longer text keeps its beginning, or its `end`.
    """
    kept = "".join(
        " " if letter.isspace() else letter
        for letter in text
        if letter.isspace() or not unicodedata.category(letter).startswith("C")
    )
    dots = "\N{HORIZONTAL ELLIPSIS}"
    short = kept
    if len(kept) > max_length:
        short = dots + kept[1 - max_length :] if end else kept[: max_length - 1] + dots
    return html.escape(short, quote=False)
