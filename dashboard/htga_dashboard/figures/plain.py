"""Text from outside, made safe for a figure.

Plotly reads labels as a little HTML. What comes from whoever sends telemetry is shown as it was
written instead, on one line, and short.
"""

from __future__ import annotations

import html
import unicodedata

LONGEST = 48


def plain(text: str) -> str:
    """`text` as a label that plotly shows letter by letter.

    Control characters and those that turn the direction of writing are left out: in a legend they
    would reach into the next label.
    """
    kept = "".join(
        " " if letter.isspace() else letter
        for letter in text
        if letter.isspace() or not unicodedata.category(letter).startswith("C")
    )
    short = kept if len(kept) <= LONGEST else kept[: LONGEST - 1] + "\N{HORIZONTAL ELLIPSIS}"
    return html.escape(short, quote=False)
