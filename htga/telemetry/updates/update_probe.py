"""Measurement of what a step changes, from a copy of the weights before it."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from htga.tail.norm import sum_of_squares
from htga.telemetry.guard import Guard, WarnOnce
from htga.telemetry.ranks import total
from htga.telemetry.sharded import AnyMeasurement, measure_own_parts
from htga.telemetry.updates.momentum import momentum_of
from htga.telemetry.updates.paired_entries import (
    flat_as,
    inner_products,
    joined,
    own_entries,
    subtract,
)
from htga.telemetry.updates.update_measurement import PRODUCTS, UpdateMeasurement

HEADROOM = 4
"""How many copies of the weights must fit into the memory of a CUDA device before one is made: the
optimizer needs some within its step, and would fail in the place of telemetry."""

Tail = Callable[[Sequence[Tensor], bool], AnyMeasurement]
"""Measures tensors, or draws a sample of them; whether they are one layer's."""


@dataclass(frozen=True, slots=True)
class _Before:
    """The state of the parameters that have a gradient, before a step.

    Attributes:
        parameters: The parameters.
        like: Their entries in their shapes, by which all that belongs to them is flattened.
        parts: A copy of their entries, flat, as views of `flat`.
        gradients: Their gradients, flat, and how often each had been written to.
        copies: Copies of the gradients, if the optimizer writes to them.
        layers: The places of the parameter of each layer, and of all others under "".
        starts: The first four of the products of each of these, see `UpdateMeasurement`.
    """

    parameters: list[nn.Parameter]
    like: list[Tensor]
    flat: Tensor
    parts: list[Tensor]
    gradients: list[tuple[Tensor, int]]
    copies: list[Tensor] | None
    layers: dict[str, list[int]]
    starts: dict[str, Tensor]

    @property
    def gradients_changed(self) -> bool:
        """Whether a gradient was written to since."""
        return any(x._version != version for x, version in self.gradients)  # noqa: SLF001


class UpdateProbe:
    """Measures the updates of some steps: what a step subtracts from the weights.

    While the optimizer steps it holds a copy of the weights, and one of the gradients if the
    optimizer writes to them; between steps it holds nothing.

    Args:
        tails: Those of "update" and "weight" whose tail index is measured, too.
        sharded: Whether all processes measure together, each its part, and no layers.
    """

    def __init__(self, *, tails: Collection[str], sharded: bool) -> None:
        self._tails = frozenset(tails)
        self._sharded = sharded
        self._device = torch.device("cpu")
        self._before: _Before | None = None
        self._is_begun = False
        self._copies = True  # in the first step, which tells whether it is needed
        self._guard = Guard("the update of a step could not be measured")
        self._warn_once = WarnOnce()

    @torch.no_grad()
    def begin(
        self,
        optimizer: Optimizer,
        layers: Sequence[tuple[str, nn.Parameter]],
        *,
        copies: bool = False,
    ) -> None:
        """Keep the state before a step, for which the gradients are there by now.

        Args:
            optimizer: Its parameters are measured.
            layers: Names and parameters to measure one by one as well.
            copies: Whether the optimizer is known to write to the gradients.
        """
        self.forget()
        with self._guard:
            owners = {id(p): p for group in optimizer.param_groups for p in group["params"]}
            parameters = [p for p in owners.values() if p.grad is not None]
            if parameters:
                self._is_begun = True
                self._copies |= copies
                self._device = parameters[0].device
                if self._has_room(sum(p.numel() for p in parameters)):
                    self._before = self._kept(optimizer, parameters, layers)

    def forget(self) -> None:
        """Let go of what `begin` has kept."""
        self._before, self._is_begun = None, False

    @torch.no_grad()
    def end(self, measure: Tail, *, anew: bool) -> Mapping[str, UpdateMeasurement]:
        """The measurements by layer, after the step; none if `begin` was not called before it.

        Args:
            measure: Measures a tail.
            anew: Whether to take the gradient that is there now: a fused optimizer under a
                GradScaler unscales it within its step.
        """
        before, is_begun = self._before, self._is_begun
        self.forget()
        if not is_begun or (before is None and not self._sharded):
            return {}
        # Every process takes part in the collective operations, whatever fails on one of them.
        weights = self._tail_of("weight", before, measure)
        products, is_known = {}, True
        with self._guard:
            if before is not None:
                products = self._products(before, anew=anew)
                is_known = anew or before.copies is not None or not before.gradients_changed
                self._copies = before.gradients_changed
        updates = self._tail_of("update", before, measure)
        if self._sharded:
            products = {"": total(products.get("", self._unknown()))}
        return {
            layer: UpdateMeasurement(
                found,
                knows_gradient=is_known,
                update_tail=updates.get(layer),
                weight_tail=weights.get(layer),
            )
            for layer, found in products.items()
        }

    def _kept(
        self,
        optimizer: Optimizer,
        parameters: list[nn.Parameter],
        layers: Sequence[tuple[str, nn.Parameter]],
    ) -> _Before:
        like = [self._own(p) for p in parameters]
        flat = joined([flat_as(x, x) for x in like])
        parts = list(flat.split([x.numel() for x in like]))
        gradients = self._gradients(parameters, like)
        momenta = [momentum_of(optimizer, p) for p in parameters]
        moved = [
            None if m is None else flat_as(self._own(m), x)
            for m, x in zip(momenta, like, strict=True)
        ]
        places = {id(p): place for place, p in enumerate(parameters)}
        own = {name: places[id(p)] for name, p in layers if id(p) in places}
        others = sorted(set(places.values()) - set(own.values()))
        groups = {"": others} | {name: [place] for name, place in own.items()}

        def start(group: list[int]) -> Tensor:
            of = [flat] if len(group) == len(parts) else [parts[place] for place in group]
            pairs = [(m, gradients[place]) for place in group if (m := moved[place]) is not None]
            products = inner_products([m for m, _ in pairs], [g for _, g in pairs], self._device)
            squares = sum_of_squares(of) if of else products[0]  # both are zero
            return torch.cat([squares.reshape(1), products])

        return _Before(
            parameters=parameters,
            like=like,
            flat=flat,
            parts=parts,
            gradients=[(g, g._version) for g in gradients],  # noqa: SLF001
            copies=[g.clone() for g in gradients] if self._copies else None,
            layers=groups,
            starts={name: start(group) for name, group in groups.items()},
        )

    def _products(self, before: _Before, *, anew: bool) -> dict[str, Tensor]:
        """The products of each layer; `before.flat` then holds the update."""
        after = [self._own(p) for p in before.parameters]
        flats = [flat_as(x, like) for x, like in zip(after, before.like, strict=True)]
        subtract(before.flat, flats)
        if anew:
            gradients = self._gradients(before.parameters, before.like)
        else:
            gradients = before.copies or [gradient for gradient, _ in before.gradients]
        narrow = [x.element_size() < 4 for x in before.like]
        found = {}
        for name, group in before.layers.items():
            parts = [before.parts[place] for place in group]
            ended = inner_products(parts, [gradients[place] for place in group], self._device)
            is_one = len(group) == len(narrow) and all(narrow)  # of which one look suffices
            half = [before.parts[place] for place in group if narrow[place]]
            still = _still([before.flat] if is_one else half, self._device)
            found[name] = torch.cat([before.starts[name], ended, still])
        return found | {"": torch.stack(list(found.values())).sum(0)}

    def _gradients(self, parameters: list[nn.Parameter], like: list[Tensor]) -> list[Tensor]:
        grads = [p.grad if p.grad is not None else torch.zeros_like(p) for p in parameters]
        return [flat_as(self._own(g), x) for g, x in zip(grads, like, strict=True)]

    def _own(self, x: Tensor) -> Tensor:
        return own_entries(x, self._device, sharded=self._sharded)

    def _unknown(self) -> Tensor:
        return torch.full((PRODUCTS,), math.nan, dtype=torch.float64, device=self._device)

    def _tail_of(
        self, name: str, before: _Before | None, measure: Tail
    ) -> dict[str, AnyMeasurement]:
        """The tail of what `before.flat` holds now, by layer, if it is asked for."""
        if name not in self._tails:
            return {}
        if self._sharded:
            return {"": measure_own_parts([] if before is None else before.parts, self._device)}
        found: dict[str, AnyMeasurement] = {}
        with self._guard:
            if before is not None:
                # The shapes tell a sample which strides would visit one column again and again.
                shaped = [
                    part.view(x.shape) for part, x in zip(before.parts, before.like, strict=True)
                ]
                found[""] = measure(shaped, False)
                for layer, group in before.layers.items():
                    if layer:
                        found[layer] = measure([shaped[place] for place in group], True)
        return found

    def _has_room(self, numel: int) -> bool:
        """Whether a copy of so many entries leaves the optimizer enough memory, as far as known."""
        if self._device.type != "cuda":
            return True
        free, _ = torch.cuda.mem_get_info(self._device)
        unused = torch.cuda.memory_reserved(self._device) - torch.cuda.memory_allocated(
            self._device
        )
        has_room = free + unused >= HEADROOM * 4 * numel
        if not has_room:
            self._warn_once(
                "room",
                f"updates are measured only while {self._device} has room for {HEADROOM} copies of "
                "the weights; updates_every=0 measures none",
            )
        return has_room


def _still(parts: Sequence[Tensor], device: torch.device) -> Tensor:
    """The number of updates that are zero, and of all, of weights in half precision, [2]."""
    numel = sum(part.numel() for part in parts)
    found = torch.zeros(2, dtype=torch.float64, device=device)
    if numel:
        moved = torch.stack([torch.count_nonzero(part) for part in parts]).sum()
        found[0], found[1] = numel - moved, numel
    return found
