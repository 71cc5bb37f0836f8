"""On the meta device there are no numbers: whatever would wait to learn one fails."""

import warnings
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.optim import SGD, AdamW

from htga.optim import HTGA, NSGD, BiClip, ClippedSGD
from tests.htga.distributions import student_t

SETTINGS: list[dict[str, Any]] = [
    {},
    {"actuator": "none"},
    {"scope": "global", "normalize": "none", "ranks": "fast"},
    {"scope": "group", "actuator": "both", "law": "integral", "normalize": "mean_one"},
    {"scope": "tensor", "estimator": "moment", "k": 100},
    {"preset": "seed"},
    {"preset": "seed", "normalize": "l2", "max_coord_share": 0.5, "ties": "average"},
    {"apply": "update"},
]


def parameters_without_numbers() -> list[Tensor]:
    return [
        torch.zeros(1000, 20, device="meta"),
        torch.zeros(700, device="meta"),
        torch.zeros(9, device="meta").half(),
        torch.zeros(600, 2, device="meta").t(),
    ]


def step(optimizer: torch.optim.Optimizer) -> None:
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = torch.zeros_like(parameter)
    optimizer.step()


@pytest.mark.parametrize("arguments", SETTINGS, ids=str)
@pytest.mark.parametrize("base", ["sgd", "adamw"])
def test_no_step_waits_to_learn_a_number(arguments: dict[str, Any], base: str) -> None:
    parameters = parameters_without_numbers()
    inner = SGD(parameters, lr=1e-5, momentum=0.9) if base == "sgd" else AdamW(parameters)
    optimizer = HTGA(inner, **arguments)
    for _ in range(2):
        step(optimizer)
    optimizer.state_dict()


@pytest.mark.parametrize("kind", ["l2", "huber_coord", "pseudo_huber", "huber_sum"])
def test_no_clipping_waits(kind: Any) -> None:
    step(ClippedSGD(parameters_without_numbers(), kind=kind))
    step(NSGD(parameters_without_numbers()))
    step(BiClip(parameters_without_numbers()))


def test_what_must_look_does_fail_without_numbers() -> None:
    with pytest.raises(RuntimeError, match="meta"):
        step(HTGA(SGD(parameters_without_numbers(), lr=0.1), nonfinite="raise"))


def test_a_captured_step_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_initialized", lambda: True)
    monkeypatch.setattr("torch.cuda.is_current_stream_capturing", lambda: True)
    with pytest.raises(RuntimeError, match="CUDA graph"):
        HTGA(SGD([torch.zeros(3)], lr=0.1)).step()


@pytest.fixture
def _elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """The host decides nothing, as on a device that is no CPU."""
    for module in ("htga", "amplify"):
        monkeypatch.setattr(f"htga.optim.{module}.host_decides", lambda _: False)


@pytest.mark.usefixtures("_elsewhere")
@pytest.mark.parametrize("apply", ["grad", "update"])
@pytest.mark.parametrize("kind", [SGD, AdamW])
def test_a_fused_base_is_told_on_the_device_not_to_step(kind: Any, apply: Any) -> None:
    parameter = torch.ones(1000)
    optimizer = HTGA(kind([parameter], lr=0.1, fused=True), apply=apply)
    parameter.grad = student_t(1.5, 1000).float()
    optimizer.step()
    before = parameter.clone()
    state = {name: x.clone() for name, x in optimizer.state[parameter].items() if x is not None}
    parameter.grad = student_t(1.5, 1000).float()
    parameter.grad[7] = torch.inf
    optimizer.step()
    assert torch.equal(parameter, before)
    for name, x in state.items():
        assert torch.equal(optimizer.state[parameter][name], x), name
    assert optimizer.tail is not None
    assert int(optimizer.tail.skipped) == 1
    assert not hasattr(optimizer.base, "found_inf")
    parameter.grad = student_t(1.5, 1000).float()
    optimizer.step()
    assert parameter.isfinite().all()
    assert not torch.equal(parameter, before)


@pytest.mark.usefixtures("_elsewhere")
@pytest.mark.parametrize("apply", ["grad", "update"])
def test_another_base_gets_a_gradient_of_zeros_instead(apply: Any) -> None:
    parameter = torch.ones(1000)
    optimizer = HTGA(SGD([parameter], lr=0.1, weight_decay=0.5, foreach=False), apply=apply)
    parameter.grad = student_t(1.5, 1000).float()
    parameter.grad[7] = torch.nan
    optimizer.step()
    assert torch.allclose(parameter, torch.full((1000,), 0.95))
    assert optimizer.tail is not None
    assert int(optimizer.tail.skipped) == 1


@pytest.mark.usefixtures("_elsewhere")
@pytest.mark.parametrize("actuator", ["none", "both"])
def test_a_bad_number_reaches_no_base_even_where_nothing_is_amplified(actuator: Any) -> None:
    parameter = torch.ones(1000)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        optimizer = HTGA(SGD([parameter], lr=0.1, momentum=0.9), actuator=actuator)
    parameter.grad = torch.full((1000,), torch.nan)
    optimizer.step()
    assert torch.equal(parameter, torch.ones(1000))
