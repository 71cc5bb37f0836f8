from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import nn

from htga import telemetry


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("HTGA_") and name != "HTGA_DIR":
            monkeypatch.delenv(name)


@pytest.fixture
def optimizer() -> torch.optim.Optimizer:
    return torch.optim.SGD([nn.Parameter(torch.ones(2000))], lr=0.1)


@pytest.fixture
def attach(optimizer: torch.optim.Optimizer) -> Iterator[Callable[..., telemetry.Run]]:
    """`telemetry.attach`, and an end of every run it made."""
    made: list[telemetry.Run] = []

    def attached(**options: Any) -> telemetry.Run:
        made.append(telemetry.attach(optimizer, **options))
        return made[-1]

    yield attached
    for run in made:
        run.detach()
        if run._sender is not None:
            run._sender.close()
            assert run._sender.join(20)


@pytest.fixture
def train(optimizer: torch.optim.Optimizer) -> Callable[[int], None]:
    """Take steps with made-up gradients."""
    generator = torch.Generator().manual_seed(0)

    def steps(count: int) -> None:
        for _ in range(count):
            (parameter,) = optimizer.param_groups[0]["params"]
            parameter.grad = torch.randn(2000, generator=generator) ** 3
            optimizer.step()

    return steps
