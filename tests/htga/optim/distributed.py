"""Two processes train a model by DDP and by FSDP2, and compare with one that trains alone."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, distributed, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, Partial, Replicate, Shard, distribute_tensor
from torch.multiprocessing.spawn import start_processes
from torch.nn.parallel import DistributedDataParallel
from torch.optim import SGD, AdamW

from htga.optim import HTGA
from tests.htga.distributions import student_t
from tests.htga.optim.sharded_checkpoints import every_checkpoint_goes_round
from tests.htga.training import remembered, update_alpha
from tests.support.rank_exit import exit_together

WORLD = 2
STEPS = 4
SETTINGS: list[dict[str, Any]] = [
    {"preset": "amplify"},
    {"preset": "amplify", "scope": "global", "actuator": "both", "max_coord_share": 0.2},
    {"preset": "amplify", "scope": "tensor", "normalize": "mean_one"},
    {"preset": "amplify", "apply": "update"},
    {"preset": "seed", "ranks": "fast", "ties": "average", "beta": 0.2},
]


def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(30, 80), nn.Tanh(), nn.Linear(80, 50), nn.Tanh(), nn.Linear(50, 3)
    )


def batch(step: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(step)
    return torch.randn(16, 30, generator=generator), torch.randn(16, 3, generator=generator)


def train(net: nn.Module, optimizer: HTGA, rank: int, world: int) -> None:
    for step in range(STEPS):
        x, y = (part.chunk(world)[rank] for part in batch(step))
        optimizer.zero_grad()
        torch.autograd.backward(nn.functional.mse_loss(net(x), y))
        optimizer.step()


def whole(tensor: Tensor) -> Tensor:
    tensor = tensor.detach()
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def gathered(tensor: Tensor) -> list[Tensor]:
    every = [torch.empty_like(tensor) for _ in range(WORLD)]
    distributed.all_gather(every, tensor)
    return every


def alike(one: HTGA, other: HTGA, nets: list[nn.Module], tolerance: float) -> None:
    """Same state and parameters; sums of shards may round otherwise."""
    assert one.tail is not None
    assert other.tail is not None
    for name in ("k", "n", "n_zero", "status"):
        assert torch.equal(getattr(one.tail, name), getattr(other.tail, name)), name
    for name in (
        "control_alpha",
        "control_alpha_bar",
        "gamma",
        "beta",
        "update_alpha",
        "grad_norm",
    ):
        found = getattr(one.tail, name), getattr(other.tail, name)
        if found == (None, None):
            continue
        a, b = map(float, found)
        assert abs(a - b) <= tolerance * abs(b), (name, a, b)
    for a, b in zip(*(net.parameters() for net in nets), strict=True):
        assert torch.allclose(whole(a), whole(b), rtol=0, atol=tolerance)


def ddp_is_training_alone(rank: int, settings: dict[str, Any]) -> None:
    alone, parallel = model(), DistributedDataParallel(model())
    optimizers = [
        HTGA(SGD(net.parameters(), lr=0.05, momentum=0.9), **settings) for net in (alone, parallel)
    ]
    train(alone, optimizers[0], 0, 1)
    train(parallel, optimizers[1], rank, WORLD)
    alike(optimizers[1], optimizers[0], [parallel, alone], 1e-4)
    flat = torch.cat([p.detach().reshape(-1) for p in parallel.parameters()])
    assert torch.equal(*gathered(flat)), "ranks differ"
    state = torch.tensor([remembered(optimizers[1])[x] for x in ("gamma", "beta")])
    assert torch.equal(*gathered(state)), "states differ"


def fsdp_is_training_alone(rank: int, settings: dict[str, Any]) -> None:
    alone, sharded = model(), model()
    for layer in sharded.children():
        if isinstance(layer, nn.Linear):
            fully_shard(layer, mesh=init_device_mesh("cpu", (WORLD,)))
    fully_shard(sharded, mesh=init_device_mesh("cpu", (WORLD,)))
    optimizers = [
        # An eps that is no smaller than the gradient's rounding.
        HTGA(AdamW(net.parameters(), lr=0.01, eps=1e-3), **({"apply": "grad"} | settings))
        for net in (alone, sharded)
    ]
    train(alone, optimizers[0], 0, 1)
    train(sharded, optimizers[1], rank, WORLD)
    alike(optimizers[1], optimizers[0], [sharded, alone], 1e-4)


def one_gradient(make: Any, settings: dict[str, Any]) -> tuple[HTGA, list[Tensor]]:
    """Step once with gradients that `make` distributes."""
    x = student_t(1.5, 24_000).float()
    x[::9] = 0
    sizes = [(120, 100), (40, 100), (80, 100)]
    gradients = [
        part.view(size) * 10.0**-i
        for i, (part, size) in enumerate(zip(x.split([12_000, 4000, 8000]), sizes, strict=True))
    ]
    parameters = [make(i, torch.zeros_like(gradient)) for i, gradient in enumerate(gradients)]
    for i, (parameter, gradient) in enumerate(zip(parameters, gradients, strict=True)):
        parameter.grad = make(i, gradient.clone())
    optimizer = HTGA(SGD(parameters, lr=1.0, foreach=False), **settings)
    optimizer.step()
    return optimizer, parameters


def sharded_is_unsharded(settings: dict[str, Any]) -> None:
    """Of three tensors one is sharded, one replicated as a DTensor, one plain."""
    mesh = init_device_mesh("cpu", (WORLD,))
    placements: list[Any] = [[Shard(0)], [Replicate()], None]

    def distribute(i: int, x: Tensor) -> Tensor:
        placement = placements[i]
        return x if placement is None else distribute_tensor(x, mesh, placement)

    by_shards, sharded = one_gradient(distribute, settings)
    by_one, plain = one_gradient(lambda _, x: x, settings)
    assert by_shards.tail is not None
    assert by_one.tail is not None
    assert by_shards.tail.histogram == by_one.tail.histogram, "counts differ"
    assert abs(
        float(by_shards.tail.control_alpha / by_one.tail.control_alpha) - 1
    ) < 1e-12 or settings.get("scope") in {None, "rms_normalised"}
    for a, b in zip(sharded, plain, strict=True):
        assert torch.allclose(whole(a), b, rtol=1e-6, atol=1e-30)
    assert torch.equal(*gathered(update_alpha(by_shards.tail))), "ranks differ"


def what_cannot_be_done_is_refused() -> None:
    mesh = init_device_mesh("cpu", (WORLD,))
    parameter = distribute_tensor(torch.zeros(1000), mesh, [Shard(0)])
    parameter.grad = distribute_tensor(torch.ones(1000), mesh, [Shard(0)])
    with pytest.raises(ValueError, match="ranks='fast'"):
        HTGA(SGD([parameter], lr=1.0), preset="seed").step()
    parameter = distribute_tensor(torch.zeros(1000), mesh, [Replicate()])
    parameter.grad = DTensor.from_local(torch.ones(1000), mesh, [Partial()])
    with pytest.raises(ValueError, match="redistribute"):
        HTGA(SGD([parameter], lr=1.0)).step()


def a_bad_number_in_one_shard_stops_all() -> None:
    mesh = init_device_mesh("cpu", (WORLD,))
    parameter = distribute_tensor(torch.ones(1000), mesh, [Shard(0)])
    gradient = torch.ones(1000)
    gradient[3] = torch.nan
    parameter.grad = distribute_tensor(gradient, mesh, [Shard(0)])
    optimizer = HTGA(SGD([parameter], lr=1.0))
    optimizer.step()
    assert optimizer.tail is not None
    assert (int(optimizer.tail.n_nonfinite), int(optimizer.tail.skipped)) == (1, 1)
    assert torch.equal(whole(parameter), torch.ones(1000))


def rank(number: int, store: str) -> None:
    """One process: any assertion that fails ends both."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", f"file://{store}", rank=number, world_size=WORLD)
    for settings in SETTINGS:
        ddp_is_training_alone(number, settings)
        fsdp_is_training_alone(number, settings)
        sharded_is_unsharded(settings)
    what_cannot_be_done_is_refused()
    a_bad_number_in_one_shard_stops_all()
    every_checkpoint_goes_round(Path(store).parent)
    exit_together()


if __name__ == "__main__":
    # Forks share what importing torch has taken; no thread runs yet that they would miss.
    start_processes(rank, (sys.argv[1],), WORLD, start_method="fork")
    print("sharded is unsharded")
