"""The tensors that a step rewrites, flat, and how they are sharded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, distributed
from torch.distributed import ProcessGroup

from htga.tail.flat_tensors import values


@dataclass(frozen=True, slots=True)
class FlatParameter:
    """The gradient or the update of one parameter.

    Attributes:
        entries: Entries on this process, flat in the order of memory; written to in place.
        numel: Number of entries on all processes together.
        groups: Process groups over which the tensor is sharded, one after another.
        store: Writes `entries` back to where they came from, if they are a copy.
    """

    entries: Tensor
    numel: int
    groups: tuple[ProcessGroup, ...]
    store: Callable[[], None]


def flat_parameter(x: Tensor, *, sharded_as: Tensor | None = None) -> FlatParameter:
    """Flatten a dense or distributed tensor on this process.

    Args:
        x: Any shape.
        sharded_as: The distributed tensor that `x` is the local shard of, if it is one.

    Raises:
        ValueError: A distributed tensor is not reduced yet.
    """
    local = values(x)
    order = sorted(range(local.dim()), key=local.stride, reverse=True)
    in_memory = local if local.is_contiguous() else local.permute(order)
    flat = in_memory.reshape(-1)
    flat = flat if flat.element_size() > 1 else flat.float()

    def store() -> None:
        if flat.dtype != in_memory.dtype or flat.data_ptr() != in_memory.data_ptr():
            in_memory.copy_(flat.view(in_memory.shape))

    whole = x if sharded_as is None else sharded_as
    return FlatParameter(flat, whole.numel(), _sharded_over(whole), store)


def gradient_of(parameter: Tensor) -> FlatParameter:
    """Flatten the gradient of a parameter; of a sparse gradient, the touched entries.

    Raises:
        ValueError: There is no gradient, or a distributed one is not reduced yet.
    """
    grad = parameter.grad
    if grad is None:
        raise ValueError(f"a parameter of shape {tuple(parameter.shape)} has no gradient")
    if not grad.is_sparse:
        return flat_parameter(grad)
    coalesced = grad.coalesce()
    entries = coalesced.values()
    flat = entries.reshape(-1)

    def store() -> None:
        parameter.grad = torch.sparse_coo_tensor(
            coalesced.indices(),
            flat.view(entries.shape),
            coalesced.shape,
            is_coalesced=True,
            check_invariants=False,
        )

    return FlatParameter(flat, flat.numel(), (), store)


def separate_gradients(parameters: Iterable[Tensor]) -> None:
    """Give a gradient a memory of its own if entries of it, or other gradients, lie in the same.

    The gradient of a sum is one number that is expanded; written in place, it would be weighted
    once for each entry.
    """
    taken = set()
    for parameter in parameters:
        grad = parameter.grad
        if grad is None or grad.layout != torch.strided:
            continue
        local = grad if type(grad) is Tensor else values(grad)
        address = local.data_ptr()
        if not address:  # there are no entries, or no numbers
            continue
        if address in taken or not (local.is_contiguous() or _is_injective(local)):
            parameter.grad = grad.clone(memory_format=torch.contiguous_format)
        else:
            taken.add(address)


def _is_injective(x: Tensor) -> bool:
    """Whether no two entries lie in the same place; as far as the strides tell."""
    reach = 0
    for stride, size in sorted(zip(x.stride(), x.shape, strict=True)):
        if size > 1:
            if stride <= reach:
                return False
            reach += stride * (size - 1)
    return True


def all_reduce(x: Tensor, groups: Sequence[ProcessGroup]) -> Tensor:
    """The sum of `x` over process groups, in place."""
    for group in groups:
        distributed.all_reduce(x, group=group)
    return x


def _sharded_over(x: Tensor) -> tuple[ProcessGroup, ...]:
    placements = getattr(x, "placements", ())
    if any(placement.is_partial() for placement in placements):
        raise ValueError(
            f"a gradient must be sharded or replicated, got {placements}; call redistribute first"
        )
    mesh = getattr(x, "device_mesh", None)
    return tuple(
        mesh.get_group(i)
        for i, placement in enumerate(placements)
        if mesh is not None and placement.is_shard() and mesh.size(i) > 1
    )
