"""The optimizers that are compared, each a name and what makes it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from torch.optim import SGD, AdamW, Optimizer

from htga.optim import HTGA, Lion

Base = Literal["SGD", "AdamW", "Signum", "Lion"]


@dataclass(frozen=True, slots=True)
class Method:
    """An optimizer with all its settings but the learning rate.

    Attributes:
        base: What steps: SGD with momentum 0.9, AdamW with torch's defaults, Signum (the sign of an
            average with 0.9), or Lion.
        clips: Whether the gradient's norm is clipped first, at the task's value.
        settings: Arguments of HTGA around it; None for the base alone.
    """

    base: Base
    clips: bool = False
    settings: dict[str, Any] | None = None

    @property
    def name(self) -> str:
        """As a table shows it."""
        parts = ["clip"] if self.clips else []
        if self.settings is not None:
            preset, *rest = self.settings.items()
            parts.append(" ".join([str(preset[1]), *(f"{name}={value}" for name, value in rest)]))
        return " + ".join([*parts, self.base])

    @property
    def alone(self) -> Method:
        """The same without HTGA, which it is compared with."""
        return Method(self.base, self.clips)

    @property
    def first_rates(self) -> range:
        """Where a search for the learning rate begins, see `rate_search.rate`."""
        raw = self.settings is not None and self.settings.get("preset") == "seed"
        return range(-7, -4) if raw else _FIRST[self.base]  # Raw weights are up to d**beta.

    def optimizer(self, parameters: Iterable[Any], lr: float) -> Optimizer:
        """Make it."""
        base: Optimizer
        if self.base == "SGD":
            base = SGD(parameters, lr=lr, momentum=0.9)
        elif self.base == "AdamW":
            base = AdamW(parameters, lr=lr)
        else:
            base = Lion(parameters, lr=lr, betas=BETAS[self.base])
        return base if self.settings is None else HTGA(base, **self.settings)


BETAS = {"Signum": (0.9, 0.9), "Lion": (0.9, 0.99)}

_FIRST: dict[Base, range] = {
    "SGD": range(-3, 0),
    "AdamW": range(-5, -2),
    "Signum": range(-6, -3),
    "Lion": range(-6, -3),
}
