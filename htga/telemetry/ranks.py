"""The rank of this process among those that train one model."""

from __future__ import annotations

import os
import uuid
from dataclasses import dataclass
from typing import Any

from torch import Tensor, distributed
from torch.optim import Optimizer

from htga_client.run_ids import random_name, uuid7

_NAMESPACE = uuid.UUID("6f0cbd5e-0b51-4f0e-9d1c-2f4f5f1f6a5d")


@dataclass(frozen=True, slots=True)
class Ranks:
    """The position of this process among those that train together.

    Attributes:
        rank: Rank of this process, from 0.
        world: Number of processes.
    """

    rank: int = 0
    world: int = 1

    @classmethod
    def current(cls) -> Ranks:
        """The ranks of the process group, or of the environment that torchrun sets."""
        if _has_group():
            return cls(distributed.get_rank(), distributed.get_world_size())
        try:
            return cls(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]))
        except (KeyError, ValueError):
            return cls()


def agreed(run_id: str, name: str, ranks: Ranks) -> tuple[str, str]:
    """A run's id and name on which all ranks agree; an empty one is generated.

    With a process group they are rank 0's, and every rank must call this. Without one they are
    derived from torchrun's job id.

    Raises:
        ValueError: There is neither a process group nor an id that all ranks know.
    """
    own = (run_id or str(uuid7()), name or random_name())
    if ranks.world == 1:
        return own
    if _has_group():
        box = [own]
        distributed.broadcast_object_list(box, src=0)
        return box[0]
    job = os.environ.get("TORCHELASTIC_RUN_ID", "none")
    if not run_id and job == "none":
        raise ValueError(
            "ranks 'all' needs an id that all ranks know: call init_process_group before attach, "
            "give run_id, or start torchrun with --rdzv-id or --standalone"
        )
    run_id = run_id or str(uuid.uuid5(_NAMESPACE, job))
    return run_id, name or run_id[:8]


def is_sharded(optimizer: Optimizer) -> bool:
    """Whether each process holds only parts of the parameters, as under FSDP2."""
    parameters = (p for group in optimizer.param_groups for p in group["params"])
    return any(hasattr(parameter, "to_local") for parameter in parameters)


def own_part(gradient: Tensor) -> Tensor:
    """The entries that this process counts, such that all processes count each entry once."""
    if not hasattr(gradient, "to_local"):
        return gradient if Ranks.current().rank == 0 else gradient.new_empty(0)
    distributed_tensor: Any = gradient
    mesh, placements = distributed_tensor.device_mesh, distributed_tensor.placements
    copies = [
        mesh.get_local_rank(dim) for dim, kind in enumerate(placements) if kind.is_replicate()
    ]
    local: Tensor = distributed_tensor.to_local()
    return local.new_empty(0) if any(copies) else local


def total(values: Tensor) -> Tensor:
    """The sum over all ranks, in place; every rank must call it."""
    distributed.all_reduce(values)
    return values


def _has_group() -> bool:
    return distributed.is_available() and distributed.is_initialized()
