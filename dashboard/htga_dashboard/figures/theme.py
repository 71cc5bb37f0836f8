"""The colours of the figures, in light and in dark.

The page around them has the same colours as CSS variables in `assets/base.css`; plotly draws its
own SVG and cannot read those.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Theme:
    """One palette.

    Attributes:
        text, muted: Of labels and of ticks.
        grid, surface: Of grid lines and of the card behind the figure.
        lines: Of curves, in order; every one keeps a contrast of 3 against `surface`, and stays
            apart from the others for the colour-blind.
        danger: Of marks that tell of NaN and infinity.
        heat: From the emptiest to the fullest cell, increasing in contrast to `surface`.
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
    """The palette called `name`; anything but "dark" is light."""
    return DARK if name == "dark" else LIGHT


def translucent(colour: str, opacity: float) -> str:
    """`colour`, given as #rrggbb, at the given opacity."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity})"
