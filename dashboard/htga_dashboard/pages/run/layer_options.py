"""Which layers of a run are looked at, and how."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Self
from urllib.parse import parse_qs

from htga_dashboard.models.layer_rows import MEASURES, Order

PINNED = 24
"""Layers pinned at most."""

ACROSS = 4
"""Small charts beside one another, where there is room."""

Form = Literal["map", "multiples"]

FORMS: dict[Form, str] = {"map": "heat map", "multiples": "small charts"}

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
        form: A heat map of all layers, or a small chart for each of the first.
        order, match, among: As in `strata`.
        pinned: Layers that have their own curves.
        across: Small charts beside one another; the width of the page says it.
    """

    key: str = "alpha_hat"
    form: Form = "map"
    order: Order = "telling"
    match: str = ""
    among: tuple[str, ...] = ()
    pinned: tuple[str, ...] = ()
    across: int = ACROSS

    @classmethod
    def from_query(cls, query: str) -> Self:
        """What an address says after its "?"; what it says wrongly is as if it were not there."""
        said = parse_qs(query.lstrip("?"))
        key, form, order = (said.get(name, [""])[0] for name in ("layers", "as", "order"))
        return cls(
            key=key if key in MEASURES else cls().key,
            form="multiples" if form == "multiples" else "map",
            order=next((known for known in ORDERS if known == order), cls().order),
            match=said.get("match", [""])[0],
            among=tuple(said.get("among", [])),
            pinned=tuple(dict.fromkeys(said.get("layer", [])))[:PINNED],
        )
