"""Text from outside, made safe for a figure.

Plotly reads labels as a little HTML. What comes from whoever sends telemetry is shown as it was
written instead, on one line, and short.
"""

from __future__ import annotations

import html
import unicodedata

LONGEST = 48


def plain(text: str, longest: int = LONGEST, *, end: bool = False) -> str:
    """`text` as a label that plotly shows letter by letter.

    Control characters and those that turn the direction of writing are left out: in a legend they
    would reach into the next label. Of a longer text its beginning is kept, or else its `end`.
    """
    kept = "".join(
        " " if letter.isspace() else letter
        for letter in text
        if letter.isspace() or not unicodedata.category(letter).startswith("C")
    )
    dots = "\N{HORIZONTAL ELLIPSIS}"
    short = kept
    if len(kept) > longest:
        short = dots + kept[1 - longest :] if end else kept[: longest - 1] + dots
    return html.escape(short, quote=False)
