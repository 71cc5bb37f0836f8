"""Fully sharded training: the ranks measure the whole gradient together, and rank 0 shows it.

htga up                                                    # in one terminal
torchrun --standalone --nproc-per-node 2 examples/fsdp2.py   # in another
"""

from __future__ import annotations

import torch
from torch import distributed, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

import htga

distributed.init_process_group()
device = "cuda" if torch.cuda.is_available() else "cpu"
if device == "cuda":
    torch.cuda.set_device(distributed.get_node_local_rank())
torch.manual_seed(0)
model = nn.Sequential(nn.Linear(64, 256), nn.Tanh(), nn.Linear(256, 1)).to(device)
fully_shard(model, mesh=init_device_mesh(device, (distributed.get_world_size(),)))
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
torch.manual_seed(distributed.get_rank())  # each rank has its own batches

with htga.telemetry.attach(optimizer, project="examples", model=model) as run:
    for _ in range(150):
        x = torch.randn(64, 64, device=device)
        loss = nn.functional.huber_loss(model(x), x.sum(1, keepdim=True))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        run.log(loss=loss)
if distributed.get_rank() == 0:
    print(run.url)
distributed.destroy_process_group()
