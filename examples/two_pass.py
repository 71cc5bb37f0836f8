"""Two passes to a step, as sharpness-aware minimization takes them.

Attach to the optimizer that takes the step in the end: what it applies, the gradient of the second
pass, is measured. Where no `step` of any optimizer is called, `run.step()` counts the steps.

htga up                       # in one terminal
python examples/two_pass.py   # in another; it prints the address of its page
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

import htga

RADIUS = 0.05

torch.manual_seed(0)
x = torch.randn(4096, 64)
y = x @ torch.randn(64, 1) + torch.distributions.StudentT(1.5).sample((4096, 1))
model = nn.Sequential(nn.Linear(64, 256), nn.Tanh(), nn.Linear(256, 1))
parameters = list(model.parameters())
optimizer = torch.optim.SGD(parameters, lr=0.05)


def backward(batch: Tensor) -> Tensor:
    """The loss of a batch, whose gradient it leaves in the parameters."""
    optimizer.zero_grad()
    loss = nn.functional.huber_loss(model(x[batch]), y[batch])
    loss.backward()
    return loss.detach()


with htga.telemetry.attach(optimizer, project="examples", model=model) as run:
    for _ in range(300):
        batch = torch.randint(len(x), (128,))
        loss = backward(batch)
        gradients = [p.grad for p in parameters if p.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        steps = [RADIUS / norm * gradient for gradient in gradients]
        with torch.no_grad():
            for parameter, step in zip(parameters, steps, strict=True):
                parameter.add_(step)
        backward(batch)  # at the worst place nearby
        with torch.no_grad():
            for parameter, step in zip(parameters, steps, strict=True):
                parameter.sub_(step)
        optimizer.step()
        run.log(loss=loss)
print(run.url)
