"""Which layers of a run are looked at, and how."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self
from urllib.parse import parse_qs

from htga_dashboard.strata import MEASURES, Order

PINNED = 24
"""Layers pinned at most."""

ORDERS: dict[Order, str] = {
    "telling": "most telling first",
    "varying": "most varying first",
    "model": "as in the model",
    "name": "by name",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """Which layers are looked at, and how.

    Attributes:
        key: The value that is compared.
        order, match, among: As in `strata`.
        pinned: Layers that have their own curves.
    """

    key: str = "alpha_hat"
    order: Order = "telling"
    match: str = ""
    among: tuple[str, ...] = ()
    pinned: tuple[str, ...] = ()

    @classmethod
    def from_query(cls, query: str) -> Self:
        """What an address says after its "?"; what it says wrongly is as if it were not there."""
        said = parse_qs(query.lstrip("?"))
        key, order = (said.get(name, [""])[0] for name in ("layers", "order"))
        return cls(
            key=key if key in MEASURES else cls().key,
            order=next((known for known in ORDERS if known == order), cls().order),
            match=said.get("match", [""])[0],
            pinned=tuple(dict.fromkeys(said.get("layer", [])))[:PINNED],
        )
