from typing import Any

import pytest
import torch

from htga.optim import HTGA
from htga.optim.reference import ReferenceMemory, step
from tests.htga.distributions import stable, student_t

COMBINATIONS: list[dict[str, Any]] = [
    {"preset": "seed"},
    {"preset": "stable"},
    {"preset": "seed", "direction": "regulating", "law": "integral", "beta": 1.0, "gain": 0.5},
    {"preset": "seed", "actuator": "both", "normalize": "mean_one", "estimator": "moment"},
    {"preset": "stable", "actuator": "both", "ties": "ordinal", "smoothing_of": "alpha", "k": 30},
    {"preset": "stable", "target_alpha": 6.0, "k": 0.2, "gamma_bounds": (0.99, 1.01), "gain": 1.0},
    {"preset": "seed", "fixed_gamma": 0.7, "actuator": "none", "beta": -0.1},
]


@pytest.mark.parametrize("arguments", COMBINATIONS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_optimizer_walks_with_the_textbook(arguments: Any, dtype: torch.dtype) -> None:
    lr, momentum = 1e-3, 0.9
    parameters = [torch.zeros(20, 20, dtype=dtype), torch.zeros(200, dtype=dtype)]
    optimizer = HTGA(torch.optim.SGD(parameters, lr=lr, momentum=momentum), **arguments)
    place, velocity, memory = [0.0] * 600, [0.0] * 600, ReferenceMemory()
    for t in range(50):
        gradient = (stable if t % 2 else student_t)(1.2 + 0.01 * t, 600, seed=t).to(dtype)
        gradient[::50] = 0.0
        gradient[1::50] = 1.0  # ties
        parameters[0].grad = gradient[:400].view(20, 20).clone()
        parameters[1].grad = gradient[400:].clone()
        optimizer.step()
        amplified, memory = step(gradient.tolist(), memory, optimizer.settings)
        velocity = [momentum * v + g for v, g in zip(velocity, amplified, strict=True)]
        place = [x - lr * v for x, v in zip(place, velocity, strict=True)]

    assert optimizer.tail is not None
    assert float(optimizer.tail.alpha_bar) == pytest.approx(memory.alpha_bar, rel=1e-12)
    assert float(optimizer.tail.gamma) == pytest.approx(memory.gamma, rel=1e-12)
    walked = torch.cat([parameter.reshape(-1) for parameter in parameters]).double()
    expected = torch.tensor(place, dtype=torch.float64)
    tolerance = 1e-11 if dtype == torch.float64 else 2e-5
    assert torch.allclose(walked, expected, rtol=tolerance, atol=tolerance * float(expected.std()))
