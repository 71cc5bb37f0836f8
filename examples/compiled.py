"""`torch.compile`: telemetry works at the optimizer, so no graph breaks.

htga up                        # in one terminal
python examples/compiled.py    # in another; it prints the address of its page
"""

from __future__ import annotations

import torch
from torch import nn

import htga

torch.manual_seed(0)
x = torch.randn(4096, 64)
y = x.sin().sum(1, keepdim=True)
model = nn.Sequential(nn.Linear(64, 256), nn.Tanh(), nn.Linear(256, 1))
compiled = torch.compile(model)
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)

with htga.telemetry.attach(optimizer, project="examples", model=model) as run:
    for _ in range(200):
        batch = torch.randint(len(x), (128,))
        loss = nn.functional.mse_loss(compiled(x[batch]), y[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        run.log(loss=loss)
print(run.url)
