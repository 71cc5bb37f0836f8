"""Nothing that is computed depends on torch's default dtype and device."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.optim import SGD

from htga.optim import HTGA, BiClip, ClippedSGD
from htga.tail import TailState, draw_sample, measure
from tests.htga.distributions import student_t

SETTINGS: list[dict[str, Any]] = [
    {},
    {"scope": "global", "actuator": "both", "max_coord_share": 0.2, "k": 0.01},
    {"scope": "tensor", "normalize": "mean_one", "law": "integral"},
    {"scope": "group", "estimator": "moment", "smoothing_of": "alpha"},
    {"apply": "update"},
    {"ranks": "exact"},
    {"preset": "seed"},
]
DEFAULTS = [torch.float64, torch.bfloat16, torch.float16, torch.device("meta")]


def forget() -> None:
    """Empty every cache, which may hold what was computed under other defaults."""
    for name, module in list(sys.modules.items()):
        if name.startswith("htga."):
            for value in list(vars(module).values()):
                if hasattr(value, "cache_clear"):
                    value.cache_clear()


@contextmanager
def default(of: torch.dtype | torch.device) -> Iterator[None]:
    forget()
    before = torch.get_default_dtype()
    try:
        if isinstance(of, torch.dtype):
            torch.set_default_dtype(of)
        else:
            torch.set_default_device(of)
        yield
    finally:
        torch.set_default_dtype(before)
        torch.set_default_device(None)
        forget()


def numbers(state: Any) -> list[Tensor]:
    found = [getattr(state, field.name) for field in fields(state)]
    return [x.double() for x in found if isinstance(x, Tensor)]


def gradients() -> list[Tensor]:
    return [student_t(1.6, 2600, seed=i) for i in range(2)]


def steps(settings: dict[str, Any], dtype: torch.dtype, given: list[Tensor]) -> list[Tensor]:
    parameters = [torch.ones(2000, dtype=dtype, device="cpu") for _ in range(2)]
    parameters[1] = torch.ones((30, 20), dtype=dtype, device="cpu")
    optimizer = HTGA(SGD(parameters, lr=0.01, momentum=0.9), **settings)
    for x in given:
        parameters[0].grad = x[:2000].to(dtype, copy=True)
        parameters[1].grad = x[2000:].to(dtype, copy=True).view(30, 20)
        optimizer.step()
    optimizer.load_state_dict(optimizer.state_dict())
    assert isinstance(optimizer.tail, TailState)
    own = optimizer.own_state()
    kept = [
        torch.tensor(own[name], dtype=torch.float64, device="cpu")
        for name in ("alpha_bar", "gamma", "beta")
    ]
    return [*parameters, *numbers(optimizer.tail), *kept]


@pytest.mark.filterwarnings("ignore:the weights")
@pytest.mark.parametrize("of", DEFAULTS, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_a_step_is_the_same_under_any_default(
    of: torch.dtype | torch.device, dtype: torch.dtype
) -> None:
    given = gradients()
    for settings in SETTINGS:
        expected = steps(settings, dtype, given)
        with default(of):
            found = steps(settings, dtype, given)
        for a, b in zip(found, expected, strict=True):
            assert torch.equal(a.nan_to_num(-1), b.nan_to_num(-1)), settings


@pytest.mark.parametrize("of", DEFAULTS, ids=str)
def test_a_measurement_is_the_same_under_any_default(of: torch.dtype | torch.device) -> None:
    given = [x.float() for x in gradients()]

    def measured() -> list[Tensor]:
        seen = measure(given), measure(given, sample=1000), draw_sample(given, 1000, 3).measure()
        return [number for each in seen for number in numbers(each)]

    expected = measured()
    with default(of):
        found = measured()
    assert all(map(torch.equal, found, expected))


@pytest.mark.parametrize("of", DEFAULTS, ids=str)
def test_a_baseline_steps_alike_under_any_default(of: torch.dtype | torch.device) -> None:
    given = gradients()

    def stepped() -> list[Tensor]:
        made: list[Tensor] = []
        for make in (BiClip, lambda p: ClippedSGD(p, lr=0.1, kind="huber_sum")):
            made.append(torch.ones(2600, dtype=torch.float64, device="cpu"))
            made[-1].grad = given[0].clone()
            make([made[-1]]).step()
        return made

    expected = stepped()
    with default(of):
        found = stepped()
    assert all(map(torch.equal, found, expected))
