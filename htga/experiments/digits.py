"""Handwritten digits: a small convolutional network on data that ships with scikit-learn."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Digits:
    """1,797 images of 8 x 8 pixels, a quarter of them held out, the classes in equal shares.

    Attributes:
        x, x_test: float32 images scaled to [0, 1], shape [N, 1, 8, 8].
        y, y_test: int64 labels from 0 to 9, shape [N].
    """

    x: Tensor
    y: Tensor
    x_test: Tensor
    y_test: Tensor


def load(seed: int = 0) -> Digits:
    """Load the data, split by `seed`."""
    images, labels = load_digits(return_X_y=True)
    parts = train_test_split(images, labels, test_size=0.25, stratify=labels, random_state=seed)
    x, x_test = (
        torch.tensor(part, dtype=torch.float32).view(-1, 1, 8, 8) / 16 for part in parts[:2]
    )
    y, y_test = (torch.tensor(part, dtype=torch.int64) for part in parts[2:])
    return Digits(x, y, x_test, y_test)


def network() -> nn.Sequential:
    """Two convolutions and two linear layers, 184,426 parameters."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64 * 4 * 4, 160),
        nn.ReLU(),
        nn.Linear(160, 10),
    )


def batches(data: Digits, size: int, seed: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
    """Endless random batches, each epoch in a new order."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        for index in torch.randperm(len(data.x), generator=generator).split(size):
            if len(index) == size:
                yield data.x[index], data.y[index]


@torch.no_grad()
def accuracy(model: nn.Module, data: Digits) -> float:
    """Share of held-out images that the model classifies correctly."""
    training = model.training
    model.eval()
    right = (model(data.x_test).argmax(1) == data.y_test).float().mean()
    model.train(training)
    return float(right)
