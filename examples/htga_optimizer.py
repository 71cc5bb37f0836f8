"""Training with HTGA on targets with outliers: it tempers gradients whose tail is heavy.

htga up
python examples/htga_optimizer.py
"""

from __future__ import annotations

import torch
from torch import nn

import htga

torch.manual_seed(0)
x = torch.randn(4096, 64)
y = x @ torch.randn(64, 1) + torch.distributions.StudentT(1.5).sample((4096, 1))
model = nn.Sequential(nn.Linear(64, 256), nn.Tanh(), nn.Linear(256, 1))
base = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
optimizer = htga.HTGA(base)
scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=300)

with htga.telemetry.attach(optimizer, project="examples", model=model) as run:
    for _ in range(300):
        batch = torch.randint(len(x), (128,))
        loss = nn.functional.huber_loss(model(x[batch]), y[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
        run.log(loss=loss, lr=scheduler.get_last_lr()[0])
print(run.url)
