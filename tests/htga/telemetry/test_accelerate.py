from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from accelerate import Accelerator
from torch import nn

import htga
from htga import telemetry
from htga_client import Client
from htga_server.http.server import Server

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

OPTIMIZERS: dict[str, Callable[[nn.Module], torch.optim.Optimizer]] = {
    "sgd": lambda model: torch.optim.SGD(model.parameters(), lr=0.1),
    "htga": lambda model: htga.HTGA(torch.optim.SGD(model.parameters(), lr=0.1)),
}


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_a_prepared_optimizer_is_measured_as_it_steps(
    collector: Server, make: Callable[[nn.Module], torch.optim.Optimizer]
) -> None:
    accelerator = Accelerator(cpu=True, gradient_accumulation_steps=2)
    model = nn.Linear(1000, 2)
    model, optimizer = accelerator.prepare(model, make(model))
    with telemetry.attach(optimizer, url=collector.url, project="p", model=model) as run:
        for _ in range(8):
            with accelerator.accumulate(model):
                loss = model(torch.randn(4, 1000)).square().mean()
                accelerator.backward(loss)
                accelerator.clip_grad_norm_(model.parameters(), 0.5)
                optimizer.step()
                optimizer.zero_grad()
            run.log(loss=loss)
    assert run._sender is not None
    assert run._sender.join(20)
    with Client(collector.url) as client:
        table = client.series(run.id, ["grad_norm", "loss"]).to_pydict()
        layers = client.series(run.id, ["alpha_hat"], layer="weight")
    assert table["step"] == list(range(5))  # the first loss came before the first step
    assert table["grad_norm"][0] is None
    assert table["grad_norm"][1:] == pytest.approx([0.5] * 4, rel=1e-4)
    assert layers["step"].to_pylist() == [1]
