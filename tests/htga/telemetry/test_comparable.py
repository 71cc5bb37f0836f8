from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import SGD, AdamW, Optimizer

import htga
from htga.tail import LogHistogram
from htga.telemetry.probe import SAMPLE, Probe
from htga.telemetry.sample_measurement import measure_counts
from htga_client.statistics.hill import default_k

WAYS: dict[str, tuple[int | None, Callable[[Any], Optimizer]]] = {
    "a sample": (SAMPLE, lambda p: SGD(p, lr=0.05, momentum=0.9)),
    "HTGA": (SAMPLE, lambda p: htga.HTGA(SGD(p, lr=0.05))),
    "HTGA, all": (None, lambda p: htga.HTGA(SGD(p, lr=0.05), scope="global", k="power")),
    "HTGA's update": (SAMPLE, lambda p: htga.HTGA(AdamW(p))),
    "the seed": (SAMPLE, lambda p: htga.HTGA(SGD(p, lr=0.05), preset="seed", scope="tensor")),
}


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(64, 1200), nn.ReLU(), nn.Linear(1200, 200), nn.ReLU(),
                         nn.Linear(200, 10))  # fmt: skip


@pytest.fixture(scope="module")
def gradients() -> list[list[Tensor]]:
    """The gradients of a few steps of a network of 320,000 parameters."""
    model, found = network(), []
    optimizer = SGD(model.parameters(), lr=0.05, momentum=0.9)
    for seed in range(4):
        generator = torch.Generator().manual_seed(seed)
        x, y = torch.rand(64, 64, generator=generator), torch.arange(64) % 10
        optimizer.zero_grad()
        functional.cross_entropy(model(x.square()), y).backward()
        found.append([p.grad.clone() for p in model.parameters() if p.grad is not None])
        optimizer.step()
    return found


def rows(gradients: list[list[Tensor]], sample: int | None, make: Any) -> list[dict[str, Any]]:
    parameters = list(network().parameters())
    optimizer, items = make(parameters), list[Any]()
    Probe(optimizer, items.append, sample=sample)
    for step in gradients:
        for parameter, gradient in zip(parameters, step, strict=True):
            parameter.grad = gradient.clone()
        optimizer.step()
    return [dict(item()[0]) for item in items]


@pytest.mark.parametrize("way", WAYS)
def test_whichever_way_a_gradient_is_measured_its_index_is_the_same(
    way: str, gradients: list[list[Tensor]]
) -> None:
    wholes = rows(gradients, None, lambda p: SGD(p, lr=0.05))
    for row, whole in zip(rows(gradients, *WAYS[way]), wholes, strict=True):
        assert abs(row["alpha_hat"] - whole["alpha_hat"]) < 3 * row["alpha_stderr"]
        assert abs(row["alpha_fourfold"] - whole["alpha_fourfold"]) < 3 * row["alpha_stderr"] / 2
        assert row["alpha_stderr"] / row["alpha_hat"] < 0.041
        assert row["k"] / row["n"] == pytest.approx(0.01, rel=0.01)
        assert row["n_total"] == whole["n_total"]
        # What stands beside the index is of the same sample.
        counted = LogHistogram.from_bytes(row["histogram"])
        assert int(counted.n) == row["n"]
        state, bits = counted.state.numpy(), counted.bits
        for name, number in measure_counts(state, bits, default_k(row["n"])).items():
            if name.startswith("alpha_") and name != "alpha_stderr":
                assert number == pytest.approx(row[name], rel=0.12), name
