"""A few steps under torchrun, with `attach` on every rank, before and after the group is up.

torchrun --nproc-per-node 2 train_ranks.py URL
"""

from __future__ import annotations

import sys

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from htga import telemetry
from tests.support.rank_exit import exit_together


def attach(when: str, ranks: str) -> tuple[nn.Module, torch.optim.Optimizer, telemetry.Run]:
    """A model, its optimizer and a run that is named after the case."""
    model = nn.Linear(40, 40)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    run = telemetry.attach(
        optimizer, url=sys.argv[1], ranks=ranks, name=f"{when} {ranks}", layers=()
    )
    return model, optimizer, run


MODES = ("first", "all")
cases = [attach("before", ranks) for ranks in MODES]
distributed.init_process_group("gloo")
rank = distributed.get_rank()
cases += [attach("after", ranks) for ranks in MODES]
for model, optimizer, run in cases:
    parallel = DistributedDataParallel(model)
    with run:
        for step in range(5):
            optimizer.zero_grad()
            parallel(torch.randn(8, 40)).pow(3).mean().backward()
            optimizer.step()
            run.log(mine=10 * rank + step)
    print(run.name, run.id, run.state_dict()["step"], flush=True)
exit_together()
