"""Accelerate: attach to what `prepare` returns, on every process.

pip install accelerate
htga up                           # in one terminal
accelerate launch examples/accelerated.py   # in another; it prints the address of its page
"""

from __future__ import annotations

import torch
from accelerate import Accelerator
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import htga

accelerator = Accelerator(gradient_accumulation_steps=2)
x = torch.randn(4096, 64)
batches = DataLoader(TensorDataset(x, x.sum(1, keepdim=True)), batch_size=64, shuffle=True)
model = nn.Sequential(nn.Linear(64, 256), nn.Tanh(), nn.Linear(256, 1))
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
model, optimizer, batches = accelerator.prepare(model, optimizer, batches)

with htga.telemetry.attach(optimizer, project="examples", model=model) as run:
    for _ in range(5):
        for inputs, targets in batches:
            with accelerator.accumulate(model):
                loss = nn.functional.huber_loss(model(inputs), targets)
                accelerator.backward(loss)
                accelerator.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                optimizer.zero_grad()
            if accelerator.sync_gradients:  # once for each step, not for each part of a batch
                run.log(loss=loss)
accelerator.print(run.url)
