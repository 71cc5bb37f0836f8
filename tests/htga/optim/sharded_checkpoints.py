"""What several processes save of a sharded optimizer, and load again."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_optimizer_state_dict,
    get_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.optim import ZeroRedundancyOptimizer
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel
from torch.optim import SGD, Adam, AdamW, Optimizer

from htga.optim import HTGA
from tests.htga.training import loss_of, net, remembered, same

BASES: dict[str, Callable[[Any], Optimizer]] = {
    "sgd": lambda p: SGD(p, lr=0.05),
    "sgd_momentum": lambda p: SGD(p, lr=0.05, momentum=0.9),
    "adamw": lambda p: AdamW(p, lr=0.01),
    "amsgrad": lambda p: Adam(p, lr=0.01, amsgrad=True),
}
OPTIONS: list[dict[str, Any]] = [
    {},
    {"flatten_optimizer_state_dict": True},
    {"full_state_dict": True},
    {"full_state_dict": True, "cpu_offload": True, "broadcast_from_rank0": True},
]


def sharded() -> nn.Module:
    model = net()
    mesh = init_device_mesh("cpu", (distributed.get_world_size(),))
    for layer in (*model.children(), model):
        if list(layer.parameters()):
            fully_shard(layer, mesh=mesh)
    return model


def replicated() -> nn.Module:
    return DistributedDataParallel(net())


def made(form: Callable[[], nn.Module], base: Callable[[Any], Optimizer]) -> tuple[nn.Module, HTGA]:
    model = form()
    return model, HTGA(base(model.parameters()), actuator="both", law="integral", scope="tensor")


def train(model: nn.Module, optimizer: HTGA, steps: range) -> None:
    for step in steps:
        optimizer.zero_grad()
        torch.autograd.backward(loss_of(model, 2 * step + distributed.get_rank()))
        optimizer.step()
    optimizer.zero_grad()


def local(model: nn.Module) -> list[Tensor]:
    return [p.to_local() if isinstance(p, DTensor) else p.detach() for p in model.parameters()]


def goes_round(
    form: Callable[[], nn.Module], base: str, options: dict[str, Any], folder: Path | None
) -> None:
    """Training goes on bit for bit from what was saved, by DCP if there is a folder."""
    model, optimizer = made(form, BASES[base])
    train(model, optimizer, range(2))
    asked = StateDictOptions(**options)
    states = copy.deepcopy(get_state_dict(model, optimizer, options=asked))
    revived, other = made(form, BASES[base])
    if folder is not None:
        save(dict(zip("mo", states, strict=True)), checkpoint_id=folder)
        states = get_state_dict(revived, other, options=asked)
        load(dict(zip("mo", states, strict=True)), checkpoint_id=folder)
    set_model_state_dict(revived, states[0], options=asked)
    set_optimizer_state_dict(revived, other, states[1], options=asked)
    what = (form.__name__, base, options, folder)
    assert same(remembered(other), remembered(optimizer)), what
    train(model, optimizer, range(2, 4))
    train(revived, other, range(2, 4))
    assert same(local(model), local(revived)), what
    assert same(remembered(other), remembered(optimizer)), what


def an_initialization_counts_on_no_process() -> None:
    model, optimizer = made(sharded, BASES["sgd"])
    for _ in range(2):
        get_optimizer_state_dict(model, optimizer)
    assert optimizer.tail is None


def zero_redundancy_is_a_base_as_any() -> None:
    """Its state comes together on one process, as without HTGA."""
    model = replicated()
    base = ZeroRedundancyOptimizer(model.parameters(), optimizer_class=AdamW, lr=0.01)
    optimizer = HTGA(base)
    train(model, optimizer, range(2))
    optimizer.consolidate_state_dict(to=0)  # Lightning asks for this one
    states = [copy.deepcopy(optimizer.state_dict()) if distributed.get_rank() == 0 else None]
    distributed.broadcast_object_list(states)
    assert states[0] is not None
    revived = replicated()
    base = ZeroRedundancyOptimizer(revived.parameters(), optimizer_class=AdamW, lr=0.01)
    other = HTGA(base)
    revived.load_state_dict(model.state_dict())
    other.load_state_dict(states[0])
    train(model, optimizer, range(2, 4))
    train(revived, other, range(2, 4))
    assert same(local(model), local(revived))


def every_checkpoint_goes_round(folder: Path) -> None:
    for base in BASES:
        for form in (sharded, replicated) if base == "adamw" else (sharded,):
            for options in OPTIONS:
                # PyTorch itself loads no whole state that is empty.
                if base != "sgd" or "full_state_dict" not in options:
                    goes_round(form, base, options, None)
    for i, options in enumerate(OPTIONS[:2]):
        for form in (sharded, replicated):
            goes_round(form, "adamw", options, folder / f"{form.__name__}{i}")
    an_initialization_counts_on_no_process()
    zero_redundancy_is_a_base_as_any()
