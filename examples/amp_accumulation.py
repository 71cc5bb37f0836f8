"""Half precision with a GradScaler, gradients accumulated over four batches, clipped.

Telemetry sees what the optimizer applies: unscaled, accumulated and clipped. Nothing to set up.

htga up                                # in one terminal
python examples/amp_accumulation.py    # in another; it prints the address of its page
"""

from __future__ import annotations

import torch
from torch import nn

import htga

ACCUMULATE = 4

torch.manual_seed(0)
device = "cuda" if torch.cuda.is_available() else "cpu"
x = torch.randn(4096, 64, device=device)
y = x @ torch.randn(64, 1, device=device)
model = nn.Sequential(nn.Linear(64, 256), nn.GELU(), nn.Linear(256, 1)).to(device)
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
scaler = torch.amp.GradScaler(device)

with htga.telemetry.attach(optimizer, project="examples", model=model) as run:
    for _ in range(150):
        optimizer.zero_grad()
        total = torch.zeros((), device=device)
        for _ in range(ACCUMULATE):
            batch = torch.randint(len(x), (64,), device=device)
            with torch.autocast(device, torch.float16):
                loss = nn.functional.huber_loss(model(x[batch]).float(), y[batch]) / ACCUMULATE
            scaler.scale(loss).backward()
            total += loss.detach()
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        scaler.step(optimizer)
        scaler.update()
        run.log(loss=total, scale=scaler.get_scale())
print(run.url)
