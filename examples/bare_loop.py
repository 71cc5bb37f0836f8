"""Telemetry of an ordinary training loop: any torch optimizer, one more line.

htga up                        # in one terminal
python examples/bare_loop.py   # in another; it prints the address of its page
"""

from __future__ import annotations

import torch
from torch import nn

import htga

torch.manual_seed(0)
x = torch.randn(4096, 64)
y = x @ torch.randn(64, 1) + torch.distributions.StudentT(1.5).sample((4096, 1))
model = nn.Sequential(nn.Linear(64, 256), nn.Tanh(), nn.Linear(256, 1))
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)

with htga.telemetry.attach(optimizer, project="examples", model=model) as run:
    for _ in range(300):
        batch = torch.randint(len(x), (128,))
        loss = nn.functional.huber_loss(model(x[batch]), y[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        run.log(loss=loss)
print(run.url)
