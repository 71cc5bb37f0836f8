"""The layers that are measured one by one, and their names."""

from __future__ import annotations

from collections.abc import Sequence
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
        given = group.get("param_names") or [
            f"{number}.{place}" for place in range(len(group["params"]))
        ]
        names |= {id(p): plain_name(n) for p, n in zip(group["params"], given, strict=True)}
    if model is not None:
        names |= {id(p): plain_name(n) for n, p in model.named_parameters() if id(p) in names}
    return names


def chosen(
    optimizer: Optimizer, names: dict[int, str], patterns: Sequence[str], limit: int
) -> list[nn.Parameter]:
    """The parameters whose name matches a pattern, in order; the largest of them beyond `limit`.

    Args:
        optimizer: Its parameters are searched.
        names: As returned by `names_of`.
        patterns: Shell patterns: "layer1.*" or "*.weight".
        limit: Maximum number of parameters.
    """
    matching = [
        parameter
        for group in optimizer.param_groups
        for parameter in group["params"]
        if any(fnmatchcase(names.get(id(parameter), ""), pattern) for pattern in patterns)
    ]
    largest = sorted(matching, key=lambda parameter: -parameter.numel())[:limit]
    kept = {id(parameter) for parameter in largest}
    return [parameter for parameter in matching if id(parameter) in kept]
