"""One series of a run as a small SVG."""

from __future__ import annotations

import math
from html import escape

MAX_POINTS = 400
WIDTH, HEIGHT = 240, 48


class Curve:
    """The values of a series over the steps; of many, every so many-th is kept.

    Args:
        name: Name of the series.
        colour: Of the line, as CSS writes it.
    """

    def __init__(self, name: str, colour: str) -> None:
        self.name = name
        self._colour = colour
        self._points: list[tuple[int, float]] = []
        self._last: tuple[int, float] | None = None
        self._stride = 1
        self._seen = 0

    def add(self, step: int, value: float) -> None:
        """Add the value of a step; one that is not finite interrupts the line."""
        self._last = step, value
        if self._seen % self._stride == 0:
            self._points.append((step, value))
            if len(self._points) > MAX_POINTS:
                self._points = self._points[::2]
                self._stride *= 2
        self._seen += 1

    def svg(self) -> str:
        """The curve with its name and its last value; empty before the first."""
        if self._last is None:
            return ""
        step, value = self._last
        label = escape(f"{self.name} {value:.4g} at step {step}")
        lines = "".join(
            f'<polyline points="{points}" fill="none" stroke="{self._colour}" '
            'stroke-width="1.5" stroke-linejoin="round" stroke-linecap="round"/>'
            for points in self._lines([*self._points, self._last])
        )
        return (
            '<span style="display:inline-block;margin:4px 16px 0 0">'
            f'<svg role="img" aria-label="{label}" width="{WIDTH}" height="{HEIGHT}" '
            f'viewBox="0 0 {WIDTH} {HEIGHT}" style="display:block">{lines}</svg>'
            f'<span style="color:{self._colour}">{label}</span></span>'
        )

    @staticmethod
    def _lines(points: list[tuple[int, float]]) -> list[str]:
        """The line's coordinates, in pieces between values that are not finite."""
        finite = [(step, value) for step, value in points if math.isfinite(value)]
        if not finite:
            return []
        steps, values = zip(*finite, strict=True)
        left, low = min(steps), min(values)
        wide, high = max(1, max(steps) - left), max(values) - low
        pieces: list[list[str]] = [[]]
        for step, value in points:
            if math.isfinite(value):
                x = (step - left) / wide * (WIDTH - 4) + 2
                share = (value - low) / high if 0 < high < math.inf else 0.5
                pieces[-1].append(f"{x:.1f},{(1 - share) * (HEIGHT - 4) + 2:.1f}")
            elif pieces[-1]:
                pieces.append([])
        return [" ".join(piece) for piece in pieces if piece]
