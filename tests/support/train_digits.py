"""A training run in a process of its own: what the end-to-end tests watch.

    python train_digits.py URL STEPS PAUSE_AT OUT

Trains on digits with HTGA. After PAUSE_AT steps it says "paused" and waits for a line on stdin, so
that a test can look at a run in the midst of training; at the end it writes what the optimizer
computed at each step to OUT, as JSON.
"""

from __future__ import annotations

import json
import sys
from itertools import islice
from pathlib import Path

import torch
from torch.nn import functional

from htga import HTGA, telemetry
from htga.experiments import digits

url, steps, pause_at, out = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])
torch.manual_seed(0)
torch.set_num_threads(1)
data, model = digits.load(), digits.network()
optimizer = HTGA(torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9), actuator="both")
run = telemetry.attach(optimizer, url=url, project="end to end", config={"lr": 0.02}, model=model)
computed = []
for step, (x, y) in enumerate(islice(digits.batches(data, 64), steps)):
    if step == pause_at:
        print("paused", run.id, flush=True)
        sys.stdin.readline()
    optimizer.zero_grad()
    loss = functional.cross_entropy(model(x), y)
    loss.backward()
    optimizer.step()
    run.log(loss=loss)
    tail = optimizer.tail
    names = ("control_alpha", "control_alpha_bar", "gamma", "beta", "update_alpha", "grad_norm")
    computed.append({name: getattr(tail, name).item() for name in names} | {"loss": loss.item()})
run.finish()
out.write_text(json.dumps(computed))
print("finished", flush=True)
