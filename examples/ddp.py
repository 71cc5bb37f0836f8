"""Data parallel training: one run, shown by rank 0; the losses of every rank with `ranks="all"`.

htga up                                                 # in one terminal
torchrun --standalone --nproc-per-node 2 examples/ddp.py   # in another
"""

from __future__ import annotations

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

import htga

distributed.init_process_group("gloo")
rank = distributed.get_rank()
torch.manual_seed(rank)
model = DistributedDataParallel(nn.Sequential(nn.Linear(64, 256), nn.Tanh(), nn.Linear(256, 1)))
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)

with htga.telemetry.attach(optimizer, project="examples", ranks="all", model=model) as run:
    for _ in range(150):
        x = torch.randn(64, 64)
        y = x.sum(1, keepdim=True) + torch.distributions.StudentT(1.5).sample((64, 1))
        loss = nn.functional.huber_loss(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        run.log(loss=loss)
if rank == 0:
    print(run.url)
distributed.destroy_process_group()
