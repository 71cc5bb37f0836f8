"""Noise from `attach` to what the collector answers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from htga import telemetry
from htga_client import Client
from htga_server.http.server import Server
from tests.htga.telemetry.closures.measured import StableNoise
from tests.htga.training import backward, net

on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@on_sqlite
def test_the_noise_of_a_run_is_measured_on_its_schedule_and_can_be_read_and_queried(
    collector: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTGA_NOISE_EVERY", "3")
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    noise = StableNoise(model, 1.5)
    with telemetry.attach(
        optimizer, url=collector.url, model=model, noise=noise, noise_batch_size=32
    ) as run:
        for step in range(5):
            optimizer.zero_grad()
            backward(model, step)
            optimizer.step()
        found: Any = run.measure_noise(batches=8)
        assert run.flush(20)
    with Client(collector.url) as client:
        series = client.series(run.id, ["noise_alpha", "alpha_hat", "noise_scale"]).to_pydict()
        layer = client.series(run.id, ["noise_alpha"], layer="0.weight").to_pydict()
        counts = client.query("SELECT count(noise_alpha) AS n FROM steps WHERE layer = ''")
    alphas = dict(zip(series["step"], series["noise_alpha"], strict=True))
    assert [step for step, alpha in alphas.items() if alpha is not None] == [0, 3, 4]
    assert alphas[4] == found.whole.noise_alpha
    assert all(alpha is not None for alpha in series["alpha_hat"])
    assert series["noise_scale"][0] > 0
    assert layer["step"] == [0, 3, 4]
    assert counts.to_pydict() == {"n": [3]}


def test_a_disabled_run_measures_nothing() -> None:
    optimizer = torch.optim.SGD(net().parameters(), lr=0.1)
    run = telemetry.attach(optimizer, mode="disabled", noise=lambda: None)

    def closure() -> Tensor:
        raise AssertionError

    assert run.measure_noise(closure) is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"noise": 3}, "noise must be a function without arguments .* got 3"),
        ({"noise_every": 0}, r"noise_every \(or HTGA_NOISE_EVERY\) must be an integer of at least"),
        ({"noise_batches": 1}, r"noise_batches \(or HTGA_NOISE_BATCHES\) .* at least 2, got 1"),
        ({"noise_batch_size": "x"}, r"noise_batch_size \(or HTGA_NOISE_BATCH_SIZE\) .* got 'x'"),
    ],
    ids=["noise", "every", "batches", "size"],
)
def test_a_wrong_argument_of_attach_is_named(options: dict[str, Any], message: str) -> None:
    optimizer = torch.optim.SGD(net().parameters(), lr=0.1)
    with pytest.raises((TypeError, ValueError), match=message):
        telemetry.attach(optimizer, mode="offline", **options)
