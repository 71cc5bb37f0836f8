"""A few steps under torchrun, with `attach` on every rank.

torchrun --nproc-per-node 2 train_ranks.py URL RANKS
"""

from __future__ import annotations

import sys

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from htga import telemetry
from tests.support.rank_exit import exit_together

distributed.init_process_group("gloo")
rank = distributed.get_rank()
model = DistributedDataParallel(nn.Linear(40, 40))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
with telemetry.attach(optimizer, url=sys.argv[1], ranks=sys.argv[2], layers=()) as run:
    for step in range(5):
        optimizer.zero_grad()
        model(torch.randn(8, 40)).pow(3).mean().backward()
        optimizer.step()
        run.log(mine=10 * rank + step)
print(run.id, flush=True)
exit_together()
