"""The colours of the figures, light and dark.

The page has the same colours as CSS variables in `assets/base.css`, which plotly cannot read.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Theme:
    """One palette.

    Attributes:
        text, muted: Labels and ticks.
        grid, surface: Grid lines, and the card behind the figure.
        lines: Curves, in order. Each has a contrast of at least 3 against `surface`, and differs
            from the others for colour-blind readers.
        danger: Marks of NaN and infinity.
        heat: Colour scale from the emptiest to the fullest cell, in increasing contrast to
            `surface`.
    """

    text: str
    muted: str
    grid: str
    surface: str
    lines: tuple[str, ...]
    danger: str
    heat: tuple[str, ...]


LIGHT = Theme(
    text="#17202e",
    muted="#5b6678",
    grid="#e9edf2",
    surface="#ffffff",
    lines=("#0072b2", "#d55e00", "#009e73", "#b0578d", "#7a4f00", "#566072"),
    danger="#c62828",
    heat=("#edf4fa", "#b5d6ec", "#62a9d6", "#1d77b0", "#0b4a7a", "#052a4a"),
)
DARK = Theme(
    text="#e6ebf2",
    muted="#9aa7b8",
    grid="#253040",
    surface="#161d28",
    lines=("#56b4e9", "#ff8a5c", "#2fc79a", "#e08bc0", "#e6b84a", "#b9a3ff"),
    danger="#ff7a6b",
    heat=("#1b2838", "#1f4666", "#2c74a6", "#56b4e9", "#a5dbfa", "#f4fbff"),
)


def named(name: str | None) -> Theme:
    """The dark palette if `name` is "dark", else the light one."""
    return DARK if name == "dark" else LIGHT


def translucent(colour: str, opacity: float) -> str:
    """`colour`, given as #rrggbb, at the given opacity."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity})"
