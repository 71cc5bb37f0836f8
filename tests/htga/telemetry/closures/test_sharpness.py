"""The largest eigenvalue of a Hessian, against Hessians that are known."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from htga.telemetry.closures.closure_error import ClosureError
from tests.htga.telemetry.closures.measured import Measured
from tests.htga.training import loss_of, net


class Quadratic(nn.Module):
    """loss = w' A w / 2 with a given spectrum, in random directions."""

    def __init__(self, spectrum: Tensor, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(1)
        size = len(spectrum)
        base, _ = torch.linalg.qr(torch.randn(size, size, generator=generator))
        self.w = nn.Parameter(torch.randn(size, generator=generator).to(dtype))
        self.matrix = ((base * spectrum) @ base.T).to(dtype)

    def forward(self) -> Tensor:
        found: Tensor = self.w @ self.matrix @ self.w / 2
        return found


SPECTRA = {
    "positive": (torch.linspace(0, 1, 100) ** 3 * 7, 7.0, 0.0),
    "mostly negative": (torch.cat([torch.linspace(-50, 0, 99), torch.tensor([3.0])]), 3.0, -50.0),
    "all negative": (torch.linspace(-5, -1, 60), -1.0, -5.0),
    "one number": (torch.full((30,), 2.5), 2.5, 2.5),
    "close together": (torch.cat([torch.zeros(50), torch.tensor([1.0, 1.001])]), 1.001, 0.0),
}


@pytest.mark.parametrize("kind", SPECTRA)
def test_the_ends_of_a_known_spectrum_are_found_with_their_sign(kind: str) -> None:
    spectrum, top, low = SPECTRA[kind]
    model = Quadratic(spectrum)
    found = Measured(model).sharpness(model)
    width = float(spectrum.max() - spectrum.min()) or 1.0
    assert found.sharpness == pytest.approx(top, abs=0.01 * width)
    assert found.lowest == pytest.approx(low, abs=0.02 * width)
    nearest = (spectrum - found.sharpness).abs().min().item()
    assert nearest <= found.error + 1e-4 * width


def test_a_networks_largest_eigenvalue_is_that_of_its_full_hessian() -> None:
    model = net()
    names, values = zip(*model.named_parameters(), strict=True)
    sizes = [value.numel() for value in values]

    def loss(flat: Tensor) -> Tensor:
        parts = flat.split(sizes)
        given = {n: p.view_as(v) for n, p, v in zip(names, parts, values, strict=True)}
        generator = torch.Generator().manual_seed(3)
        x = torch.randn(16, 20, generator=generator)
        y = torch.randint(3, (16,), generator=generator)
        return nn.functional.cross_entropy(torch.func.functional_call(model, given, (x,)), y)

    flat = torch.cat([value.detach().flatten() for value in values])
    eigenvalues = torch.linalg.eigvalsh(torch.autograd.functional.hessian(loss, flat))
    found = Measured(model).sharpness(lambda: loss_of(model, 3))
    assert found.has_converged
    assert found.sharpness == pytest.approx(eigenvalues[-1].item(), rel=1e-3)
    assert found.lowest == pytest.approx(eigenvalues[0].item(), rel=0.05)


def test_too_few_products_say_how_far_off_they_may_be() -> None:
    spectrum = torch.linspace(0, 1, 400)
    model = Quadratic(spectrum)
    found = Measured(model).sharpness(model, 2)
    assert not found.has_converged
    assert found.products == 2


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_other_precisions_are_measured(dtype: torch.dtype) -> None:
    model = Quadratic(torch.linspace(0, 1, 50) ** 2 * 3, dtype)
    assert Measured(model).sharpness(model).sharpness == pytest.approx(3, rel=0.03)


def test_a_complex_parameter_has_the_curvature_of_its_two_parts() -> None:
    model: Any = nn.Module()
    model.w = nn.Parameter(torch.randn(20, dtype=torch.complex64))
    factors = torch.linspace(1, 4, 20)

    def closure() -> Any:
        return (factors * model.w.real.square() + 2 * factors * model.w.imag.square()).sum() / 2

    assert Measured(model).sharpness(closure).sharpness == pytest.approx(8.0, rel=1e-3)


def test_attention_and_normalisation_have_a_second_derivative_and_leave_nothing_behind() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), nn.Flatten(), nn.BatchNorm1d(40)
    )
    before = [b.clone() for b in model.buffers()]
    random = torch.get_rng_state()
    measured = Measured(model)
    found = measured.sharpness(lambda: model(torch.randn(6, 5, 8)).pow(3).mean())
    assert found.sharpness > 0
    assert all(torch.equal(a, b) for a, b in zip(before, model.buffers(), strict=True))
    assert torch.equal(random, torch.get_rng_state())
    assert all(parameter.grad is None for parameter in model.parameters())
    (row,) = measured.rows()
    assert (row["sharpness"], row["sharpness_error"]) == (found.sharpness, found.error)
    assert (row["layer"], row["step"]) == ("", 0)


def test_a_loss_that_is_linear_has_none_and_one_that_is_not_finite_has_no_number() -> None:
    model = nn.Linear(5, 1)
    assert Measured(model).sharpness(lambda: model(torch.ones(2, 5)).sum()).sharpness == 0
    found = Measured(model).sharpness(lambda: model(torch.full((2, 5), math.nan)).square().sum())
    assert math.isnan(found.sharpness)


def refused(model: nn.Module, returned: Any) -> str:
    with pytest.raises(ClosureError) as caught:
        Measured(model).sharpness(returned)
    return str(caught.value)


def test_closures_that_do_not_serve_are_refused_in_a_sentence() -> None:
    model = nn.Linear(5, 1)

    def with_backward() -> Tensor:
        loss: Tensor = model(torch.ones(2, 5)).square().sum()
        loss.backward()
        return loss

    def with_step() -> Tensor:
        with torch.no_grad():
            model.bias.add_(1)
        loss: Tensor = model(torch.ones(2, 5)).square().sum()
        return loss

    assert "without calling its backward()" in refused(model, with_backward)
    assert "changed bias" in refused(model, with_step)
    for returned in (None, 3.0, torch.ones(1)):
        assert "must return the loss" in refused(model, lambda returned=returned: returned)
    assert "one element" in refused(model, lambda: model(torch.ones(2, 5)))
    embedding = nn.Embedding(4, 2, sparse=True)
    assert "no second derivative" in refused(
        embedding, lambda: embedding(torch.tensor([1, 2])).square().sum()
    )
    with pytest.raises(ValueError, match="products must be an integer of at least 1, got 0"):
        Measured(model).sharpness(with_step, 0)
    with pytest.raises(StopIteration):
        Measured(model).sharpness(lambda: next(iter(())))
