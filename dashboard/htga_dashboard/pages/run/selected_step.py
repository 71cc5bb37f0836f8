"""Which steps, tail size and layer the tail snapshot shows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self
from urllib.parse import parse_qs

from htga_dashboard.models.step_range import Steps
from htga_dashboard.pages.run.view_state import View


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotQuery:
    """The reader's choice, as the query of the address says.

    Attributes:
        at: A step, or None to follow the latest.
        k: Size of the tail, or None for 1 %.
        layer: A layer; empty for the whole model.
    """

    at: int | None = None
    k: int | None = None
    layer: str = ""

    @classmethod
    def from_query(cls, query: str) -> Self:
        """Parse the query of an address; invalid parts are ignored."""
        params = parse_qs(query.lstrip("?"))
        at, k, layer = (params.get(name, [""])[0] for name in ("at", "k", "of"))
        return cls(at=_number(at), k=_number(k), layer=layer)


@dataclass(frozen=True, slots=True)
class StepWindow:
    """The steps of one snapshot, as many as a column of the heat map has.

    That is a single step in a short run or after zooming, and several steps in a long run.

    Attributes:
        first, last: The range of steps, both included.
        k: Size of the tail, or None for 1 %.
        theme: Name of the palette.
        layer: A layer; empty for the whole model.
    """

    first: int
    last: int
    k: int | None
    theme: str | None
    layer: str = ""

    @classmethod
    def of(cls, view: View, chosen: SnapshotQuery, theme_name: str | None) -> Self:
        """The window that is chosen in a view with histograms."""
        last = view.step or 0
        at = last if chosen.at is None else min(chosen.at, last)
        return cls(max(at - view.heat.width + 1, 0), at, chosen.k, theme_name, chosen.layer)

    @property
    def steps(self) -> Steps:
        """The range of steps."""
        return Steps(self.first, self.last)

    def ending(self, last: int) -> Self:
        """A window with as many steps that ends at `last`."""
        return replace(self, first=max(last - (self.last - self.first), 0), last=last)


def _number(text: str) -> int | None:
    return int(text) if text.isdecimal() and len(text) <= 18 else None
