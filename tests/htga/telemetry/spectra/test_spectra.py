"""The tail index of the eigenvalues of weights."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from htga import telemetry
from htga.telemetry.run import StepCounter
from htga.telemetry.spectra import spectra as module
from htga.telemetry.spectra.spectra import Spectra
from htga.telemetry.spectra.spectral_index import random_index, spectral_index
from htga_client import Client
from htga_server.http.server import Server


@pytest.fixture(autouse=True)
def strict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTGA_STRICT", "1")


def gaussian(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("shape", [(60, 90), (90, 60), (64, 64), (30, 40, 3, 3)])
def test_the_index_is_the_published_formula(shape: tuple[int, ...]) -> None:
    """As in the code of TempBalance: 1 + k / sum(log(top) - log(threshold))."""
    weights = gaussian(*shape)
    matrix = weights.flatten(2).transpose(1, 2).transpose(0, 1) if len(shape) > 2 else weights
    eigenvalues = torch.linalg.svdvals(matrix.double()).square().flatten().sort().values
    n = len(eigenvalues)
    k = n // 2
    top, threshold = eigenvalues[-k:].log(), eigenvalues[n - k - 1].log()
    expected = 1 + k / (top - threshold).sum()
    assert spectral_index(weights) == pytest.approx(expected.item(), rel=1e-9)


@pytest.mark.parametrize("shape", [(400, 400), (400, 100), (100, 400), (24, 30), (64, 64, 3, 3)])
def test_random_weights_have_the_index_that_stands_beside_them(shape: tuple[int, ...]) -> None:
    matrices = math.prod(shape[2:])
    expected = random_index(*shape[:2], matrices)
    tolerance = 0.03 if min(shape[:2]) * matrices >= 400 else 0.15  # a few eigenvalues scatter
    assert spectral_index(gaussian(*shape)) == pytest.approx(expected, rel=tolerance)


def test_a_random_square_matrix_reads_2_12() -> None:
    assert random_index(1000, 1000) == pytest.approx(2.12, abs=0.01)
    assert random_index(64, 64, 9) == pytest.approx(2.12, abs=0.03)


def test_a_spectrum_with_a_power_tail_reads_below_random() -> None:
    size = 200
    base, _ = torch.linalg.qr(gaussian(size, size).double())
    other, _ = torch.linalg.qr(gaussian(size, size).T.double())
    values = torch.arange(1, size + 1).double() ** -1.0  # squared: exponent 1 + 1/2
    found = spectral_index((base * values) @ other)
    assert found == pytest.approx(1.5, abs=0.05)
    assert found < random_index(size, size)


@pytest.mark.parametrize("filler", [0.0, math.nan, math.inf])
def test_weights_without_a_spectrum_have_no_index(filler: float) -> None:
    assert math.isnan(spectral_index(torch.full((40, 40), filler)))
    rank_one = torch.ones(40, 40)
    assert math.isnan(spectral_index(rank_one))


class Watched:
    def __init__(self, model: nn.Module, every: int = 1) -> None:
        self.optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        self.items: list[Callable[[], Sequence[Mapping[str, Any]]]] = []
        self.spectra = Spectra(
            self.optimizer,
            self.items.append,
            counter=StepCounter(self.optimizer),
            every=every,
            model=model,
        )

    def rows(self) -> list[Mapping[str, Any]]:
        self.spectra.wait(20)
        return [row for item in self.items for row in item()]


def test_matrices_and_kernels_have_rows_and_what_is_too_small_has_none() -> None:
    model = nn.ModuleDict(
        {
            "conv": nn.Conv2d(30, 40, 3),
            "wide": nn.Linear(50, 30),
            "low": nn.Linear(30, 30).bfloat16(),
            "small": nn.Linear(30, 10),
            "norm": nn.BatchNorm2d(40),
        }
    )
    watched = Watched(model)
    watched.optimizer.step()
    whole, *layers = watched.rows()
    assert [row["layer"] for row in layers] == ["conv.weight", "wide.weight", "low.weight"]
    for key in ("esd_alpha", "esd_alpha_null"):
        assert whole[key] == pytest.approx(np.mean([row[key] for row in layers]))
    assert {row["step"] for row in layers} == {0}


def test_weights_are_those_of_the_step_although_training_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    go_on = threading.Event()
    real = spectral_index

    def later(weights: torch.Tensor) -> float:
        assert go_on.wait(20)
        return real(weights)

    monkeypatch.setattr(module, "spectral_index", later)
    model = nn.Linear(40, 40)
    expected = real(model.weight.detach().clone())
    watched = Watched(model)
    watched.optimizer.step()
    nn.init.eye_(model.weight)
    watched.optimizer.step()  # due, but the first is not done, so nothing is computed
    go_on.set()
    rows = watched.rows()
    assert [row["step"] for row in rows] == [0, 0]
    assert rows[1]["esd_alpha"] == expected


def test_a_failure_ends_no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HTGA_STRICT")
    monkeypatch.setattr(module, "spectral_index", None)
    watched = Watched(nn.Linear(40, 40))
    watched.optimizer.step()
    assert watched.rows() == []
    monkeypatch.setattr(watched.spectra, "_layers", None)
    watched.optimizer.step()
    assert watched.rows() == []


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_spectra_of_a_run_reach_the_collector_even_as_it_ends(
    collector: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTGA_SPECTRA_EVERY", "2")
    is_ending = threading.Event()
    real, wait = spectral_index, Spectra.wait

    def late(weights: torch.Tensor) -> float:
        assert is_ending.wait(20)
        return real(weights)

    def waited(spectra: Spectra, seconds: float) -> None:
        is_ending.set()
        wait(spectra, seconds)

    monkeypatch.setattr(module, "spectral_index", late)
    monkeypatch.setattr(Spectra, "wait", waited)
    model = nn.Linear(30, 40)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    run = telemetry.attach(optimizer, url=collector.url, model=model)
    for _ in range(3):
        model(torch.ones(2, 30)).sum().backward()
        optimizer.step()
    run.finish(timeout=20)
    with Client(collector.url) as client:
        layer = client.series(run.id, ["esd_alpha"], layer="weight").to_pydict()
    assert layer["step"][0] == 0
    assert layer["esd_alpha"][0] > 1


def test_a_wrong_interval_is_named() -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.ones(2))], lr=0.1)
    with pytest.raises(ValueError, match=r"spectra_every \(or HTGA_SPECTRA_EVERY\) .* got 0"):
        telemetry.attach(optimizer, mode="offline", spectra_every=0)
