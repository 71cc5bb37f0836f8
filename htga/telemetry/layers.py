"""The layers that are measured one by one, and their names."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from fnmatch import fnmatchcase

from torch import nn
from torch.optim import Optimizer

WRAPPERS = frozenset({"module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"})
"""What DataParallel, torch.compile, FSDP and activation checkpointing add to names."""


def plain_name(name: str) -> str:
    """A parameter's name in the model that the user wrote."""
    return ".".join(part for part in name.split(".") if part not in WRAPPERS)


def names_of(optimizer: Optimizer, model: nn.Module | None) -> dict[int, str]:
    """Names of an optimizer's parameters, by `id`.

    They are the model's names, or those that the optimizer was given, or else the number of the
    group and the index in it.
    """
    names: dict[int, str] = {}
    for number, group in enumerate(optimizer.param_groups):
        for place, parameter in enumerate(group["params"]):
            names[id(parameter)] = f"{number}.{place}"
        given = group.get("param_names") or ()  # fewer, if a parameter was put there later
        names |= {id(p): plain_name(n) for p, n in zip(group["params"], given, strict=False)}
    if model is not None:
        names |= {id(p): plain_name(n) for n, p in model.named_parameters() if id(p) in names}
    return names


def has_gradient(parameter: nn.Parameter) -> bool:
    """Whether a parameter has a gradient now."""
    return parameter.grad is not None


class Layers:
    """The parameters of an optimizer that are measured one by one, and the names of all.

    They are chosen anew whenever other parameters have a gradient than before: some were frozen or
    unfrozen, or a group was added. The parameters of the last choice are referred to, so that
    their `id` tells them from others.

    Args:
        optimizer: Its parameters are searched.
        model: Gives them their names.
        patterns: Shell patterns of the names to choose: "layer1.*" or "*.weight".
        limit: Maximum number of layers; of more that have a gradient, the largest are chosen.
    """

    def __init__(
        self, optimizer: Optimizer, model: nn.Module | None, patterns: Sequence[str], limit: int
    ) -> None:
        self._model = model
        self._patterns = patterns
        self._limit = limit
        self._known: dict[int, nn.Parameter] = {}
        self._names: dict[int, str] = {}
        self._chosen: list[nn.Parameter] = []
        self._find_names(optimizer)

    def names(self, optimizer: Optimizer, parameters: Collection[int]) -> list[str]:
        """Names of those parameters with these `id`s, in their order."""
        if not self._names.keys() >= set(parameters):
            self._find_names(optimizer)
        return [self._names.get(parameter, "?") for parameter in parameters]

    def chosen(
        self, optimizer: Optimizer, has: Callable[[nn.Parameter], bool] = has_gradient
    ) -> list[tuple[str, nn.Parameter]]:
        """Names and parameters of the layers to measure now, in order; `has` says which may be."""
        if not self._patterns:
            return []
        parameters = (p for group in optimizer.param_groups for p in group["params"])
        known = {id(p): p for p in parameters if has(p)}
        if known.keys() != self._known.keys():
            self._known = known
            self._find_names(optimizer)  # one that was frozen may be gone, and its `id` another's
            names = self.names(optimizer, known)
            matching = [
                parameter
                for name, parameter in zip(names, known.values(), strict=True)
                if any(fnmatchcase(name, pattern) for pattern in self._patterns)
            ]
            largest = sorted(matching, key=lambda parameter: -parameter.numel())[: self._limit]
            kept = {id(parameter) for parameter in largest}
            self._chosen = [parameter for parameter in matching if id(parameter) in kept]
        return [(self._names[id(parameter)], parameter) for parameter in self._chosen]

    def forget(self) -> None:
        """Keep the model and its parameters alive no longer."""
        self._model, self._known, self._chosen = None, {}, []

    def _find_names(self, optimizer: Optimizer) -> None:
        self._names = names_of(optimizer, self._model)
