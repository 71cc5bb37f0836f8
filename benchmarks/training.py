"""A network that a CPU can train, with gradients enough that looking at them costs something."""

from __future__ import annotations

import time

import torch
from torch import nn


class Training:
    """A convolutional network of 2.1 million parameters, its optimizer, and steps of it.

    It learns random images, 64 at a time.
    """

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.model = nn.Sequential(
            nn.Conv2d(3, 32, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(64 * 8 * 8, 512),
            nn.ReLU(),
            nn.Linear(512, 10),
        )
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=1e-3, momentum=0.9)
        self._x, self._y = torch.randn(64, 3, 32, 32), torch.randint(10, (64,))

    def step(self) -> float:
        """Take a step; the loss."""
        self.optimizer.zero_grad()
        loss = nn.functional.cross_entropy(self.model(self._x), self._y)
        loss.backward()
        self.optimizer.step()
        return loss.item()

    def steps(self, count: int) -> float:
        """Take steps; seconds of one."""
        begin = time.perf_counter()
        for _ in range(count):
            self.step()
        return (time.perf_counter() - begin) / count
