"""The gradients of all parameters, read as one vector and written back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor

from htga.tail.entries import flatten, values


@dataclass(frozen=True, slots=True)
class Gradients:
    """The gradients that one step will use.

    Attributes:
        owners: The parameters that have one.
        values: Their entries, in each parameter's shape; of a sparse gradient the touched ones.
    """

    owners: list[Tensor]
    values: list[Tensor]

    @classmethod
    def of(cls, param_groups: Iterable[dict[str, Any]]) -> Self:
        """Collect the gradients of parameter groups."""
        found = [
            (parameter, values(parameter.grad))
            for group in param_groups
            for parameter in group["params"]
            if parameter.grad is not None
        ]
        return cls([owner for owner, _ in found], [entries for _, entries in found])

    def flat(self) -> Tensor:
        """All entries, float32 or wider, shape [d]."""
        return flatten(self.values)

    def shaped(self, flat: Tensor) -> list[Tensor]:
        """`flat`, cut into the shapes, dtypes and devices of the gradients."""
        parts = torch.split(flat, [entries.numel() for entries in self.values])
        return [
            part.view(entries.shape).to(entries.device, entries.dtype)
            for part, entries in zip(parts, self.values, strict=True)
        ]

    def write(self, updates: list[Tensor]) -> None:
        """Put new values, shaped as `shaped` does, into the gradients."""
        for owner, entries, update in zip(self.owners, self.values, updates, strict=True):
            grad = owner.grad
            if grad is not None and grad.is_sparse:
                owner.grad = torch.sparse_coo_tensor(
                    grad.coalesce().indices(),
                    update,
                    grad.shape,
                    is_coalesced=True,
                    check_invariants=False,
                )
            else:
                entries.copy_(update)
