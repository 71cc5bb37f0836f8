"""Which moment of a run is looked at, and what of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self
from urllib.parse import parse_qs

from htga_dashboard.models.step_range import Steps
from htga_dashboard.pages.run.view_state import View


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """What a reader has chosen, as an address says it.

    Attributes:
        at: A step, or None for the latest whenever there is a later one.
        k: Size of the tail, or None for n**0.6.
        layer: A layer; empty for the whole model.
    """

    at: int | None = None
    k: int | None = None
    layer: str = ""

    @classmethod
    def from_query(cls, query: str) -> Self:
        """What comes after the "?"; what it says wrongly is as if it were not there."""
        said = parse_qs(query.lstrip("?"))
        at, k, layer = (said.get(name, [""])[0] for name in ("at", "k", "of"))
        return cls(at=_number(at), k=_number(k), layer=layer)


@dataclass(frozen=True, slots=True)
class Moment:
    """What a snapshot shows.

    The moment is as wide as a column of the heat map: a single step of a short run or of a zoom,
    the steps of one column of a long one.

    Attributes:
        first, last: Its steps.
        k: Size of the tail, or None for n**0.6.
        theme: Name of the palette.
        layer: A layer; empty for the whole model.
    """

    first: int
    last: int
    k: int | None
    theme: str | None
    layer: str = ""

    @classmethod
    def of(cls, view: View, chosen: Chosen, theme_name: str | None) -> Self:
        """The chosen moment of a view that has histograms."""
        last = view.step or 0
        at = last if chosen.at is None else min(chosen.at, last)
        return cls(max(at - view.heat.width + 1, 0), at, chosen.k, theme_name, chosen.layer)

    @property
    def steps(self) -> Steps:
        """From its first to its last."""
        return Steps(self.first, self.last)

    def ending(self, last: int) -> Self:
        """As many steps, up to another one."""
        return replace(self, first=max(last - (self.last - self.first), 0), last=last)


def _number(text: str) -> int | None:
    return int(text) if text.isdecimal() and len(text) <= 18 else None
