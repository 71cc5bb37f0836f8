"""Two processes count a shard each, and say whether they then hold the whole sample's counts."""

from __future__ import annotations

import sys

import torch
from torch import distributed
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Shard, distribute_tensor
from torch.multiprocessing.spawn import start_processes

from htga.tail import LogHistogram, hill, measure
from tests.htga.distributions import student_t
from tests.support.rank_exit import exit_together

WORLD = 2


def rank(number: int, store: str) -> None:
    """One process: any assertion that fails ends both."""
    distributed.init_process_group("gloo", f"file://{store}", rank=number, world_size=WORLD)
    x = student_t(1.5, 20_000).float().view(200, 100)
    whole = LogHistogram().update(x)
    shard = x.chunk(WORLD)[number]
    assert LogHistogram().update(shard) != whole
    assert LogHistogram().update(shard).all_reduce() == whole

    mesh = init_device_mesh("cpu", (WORLD,))
    sharded = distribute_tensor(x, mesh, [Shard(0)])
    assert LogHistogram().update(sharded) == LogHistogram().update(shard)
    assert LogHistogram().update(sharded).all_reduce(mesh.get_group()) == whole
    assert torch.equal(hill(sharded, 100).alpha, hill(shard, 100).alpha)
    assert torch.equal(measure([sharded]).grad_norm, measure([shard]).grad_norm)
    exit_together()


if __name__ == "__main__":
    # Forks share what importing torch has taken; no thread runs yet that they would miss.
    start_processes(rank, (sys.argv[1],), WORLD, start_method="fork")
    print("both hold the whole")
