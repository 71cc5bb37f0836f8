"""The options of the section of layers: value, form, order, filter and pinned layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Self
from urllib.parse import parse_qs

from htga_dashboard.models.layer_rows import MEASURES, Order

PINNED = 24
"""Maximum number of pinned layers."""

ACROSS = 4
"""Maximum number of small charts side by side."""

Form = Literal["map", "multiples"]

FORMS: dict[Form, str] = {"map": "heat map", "multiples": "small charts"}

ORDERS: dict[Order, str] = {
    "worst": "worst first",
    "varying": "most varying first",
    "model": "as in the model",
    "name": "by name",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerOptions:
    """Which layers are shown, and how.

    Attributes:
        key: The scalar to compare.
        form: A heat map of all layers, or a small chart for each of the first.
        order, match, among: See `layer_rows`.
        pinned: Layers with curves of their own.
        across: Number of small charts side by side, which depends on the width of the page.
    """

    key: str = "alpha_hat"
    form: Form = "map"
    order: Order = "worst"
    match: str = ""
    among: tuple[str, ...] = ()
    pinned: tuple[str, ...] = ()
    across: int = ACROSS

    @classmethod
    def from_query(cls, query: str) -> Self:
        """Parse the query of an address; invalid parts are ignored."""
        params = parse_qs(query.lstrip("?"))
        key, form, order = (params.get(name, [""])[0] for name in ("layers", "as", "order"))
        return cls(
            key=key if key in MEASURES else cls().key,
            form="multiples" if form == "multiples" else "map",
            order=next((known for known in ORDERS if known == order), cls().order),
            match=params.get("match", [""])[0],
            among=tuple(params.get("among", [])),
            pinned=tuple(dict.fromkeys(params.get("layer", [])))[:PINNED],
        )
