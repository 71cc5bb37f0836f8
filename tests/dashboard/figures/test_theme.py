from __future__ import annotations

import re
from pathlib import Path

import pytest

import htga_dashboard
from htga_dashboard.figures import theme
from htga_dashboard.figures.theme import Theme

CSS = Path(htga_dashboard.__file__).parent / "assets/base.css"


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("palette", [theme.LIGHT, theme.DARK])
def test_lines_and_text_stand_out_from_their_card(palette: Theme) -> None:
    for colour in (*palette.lines, palette.danger):
        assert contrast(colour, palette.surface) >= 3.0, colour
    for colour in (palette.text, palette.muted):
        assert contrast(colour, palette.surface) >= 4.5, colour


@pytest.mark.parametrize("palette", [theme.LIGHT, theme.DARK])
def test_a_fuller_cell_of_the_heat_map_stands_out_more(palette: Theme) -> None:
    contrasts = [contrast(colour, palette.surface) for colour in palette.heat]
    assert contrasts == sorted(contrasts)


def test_the_page_and_its_figures_have_the_same_colours() -> None:
    css = dict(re.findall(r"--(\w+): light-dark\((#\w+, #\w+)\);", CSS.read_text()))
    for name, variable in (("surface", "surface"), ("text", "text"), ("muted", "muted")):
        assert css[variable] == f"{getattr(theme.LIGHT, name)}, {getattr(theme.DARK, name)}"
    assert css["line"].split(", ")[1] == theme.DARK.grid


def test_the_text_of_the_page_stands_out_from_its_ground() -> None:
    css = dict(re.findall(r"--([\w-]+): light-dark\((#\w+, #\w+)\);", CSS.read_text()))
    pairs = [
        ("text", "ground"),
        ("muted", "ground"),
        ("muted", "surface"),
        ("muted", "raised"),
        ("accent", "surface"),
        ("good", "good-soft"),
        ("warn", "warn-soft"),
        ("bad", "bad-soft"),
    ]
    for text, ground in pairs:
        for one, other in zip(css[text].split(", "), css[ground].split(", "), strict=True):
            assert contrast(one, other) >= 4.5, (text, ground)


def test_anything_but_dark_is_light() -> None:
    assert theme.named("dark") is theme.DARK
    assert theme.named("light") is theme.named(None) is theme.LIGHT
