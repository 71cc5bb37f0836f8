from typing import Any

import pytest
import torch
from torch import Tensor

from htga.optim import HTGA
from tests.htga.distributions import stable, student_t
from tests.htga.optim.controller.reference import ReferenceState, step

EXACT = {"ranks": "exact", "apply": "grad"}
COMBINATIONS: list[dict[str, Any]] = [
    {"preset": "seed"},
    {"preset": "amplify", **EXACT},
    {"preset": "amplify", **EXACT, "scope": "global", "actuator": "both", "max_coord_share": 0.125},
    {"preset": "seed", "direction": "regulating", "law": "integral", "beta": 1.0, "gain": 0.5},
    {"preset": "seed", "actuator": "both", "normalize": "mean_one", "estimator": "moment"},
    {"preset": "amplify", **EXACT, "ties": "ordinal", "smoothing_of": "alpha", "k": 30},
    {"preset": "amplify", **EXACT, "target_alpha": 6.0, "k": 0.2, "gain": 1.0, "w_max": 1.1},
    {"preset": "seed", "fixed_gamma": 0.7, "actuator": "none", "beta": -0.1},
]
FAST: list[dict[str, Any]] = [
    {
        "preset": "seed",
        "ranks": "fast",
        "ties": "average",
        "actuator": "both",
        "beta_bounds": (-0.5, 0.3),
    },
    {"preset": "amplify", "target_alpha": 1.2, "beta_bounds": (-1.0, 1.0)},
    {"preset": "amplify", "normalize": "mean_one", "target_alpha": 3.0, "max_coord_share": 1.0},
    {"preset": "amplify", "normalize": "none", "scope": "global", "w_max": 2.0, "k": 0.1},
]


def walk(
    arguments: dict[str, Any], sizes: list[int], steps: int, dtype: torch.dtype
) -> tuple[Tensor, Tensor, float]:
    """Where the optimizer and the textbook go, and the largest distance of their alpha_bar."""
    lr, momentum, n = 1e-3, 0.9, sum(sizes)
    parameters = [torch.zeros(size, dtype=dtype) for size in sizes]
    optimizer = HTGA(torch.optim.SGD(parameters, lr=lr, momentum=momentum), **arguments)
    place, velocity, controller = [0.0] * n, [0.0] * n, ReferenceState()
    apart = 0.0
    for t in range(steps):
        gradient = (stable if t % 2 else student_t)(1.2 + 0.01 * t, n, seed=t).to(dtype)
        gradient[::50] = 0.0
        gradient[1::50] = 1.0  # ties
        parts = gradient.split(sizes)
        for i, (parameter, part) in enumerate(zip(parameters, parts, strict=True)):
            parameter.grad = part * 10.0**-i
        tensors = [p.grad.tolist() for p in parameters if p.grad is not None]
        optimizer.step()
        amplified, controller = step(tensors, controller, optimizer.settings)
        velocity = [momentum * v + g for v, g in zip(velocity, amplified, strict=True)]
        place = [x - lr * v for x, v in zip(place, velocity, strict=True)]
        assert optimizer.tail is not None
        apart = max(
            apart,
            abs(float(optimizer.tail.control_alpha_bar) / controller.alpha_bar - 1),
            abs(float(optimizer.tail.gamma) / controller.gamma - 1),
        )
    return torch.cat(parameters).double(), torch.tensor(place, dtype=torch.float64), apart


@pytest.mark.parametrize("arguments", COMBINATIONS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_optimizer_walks_with_the_textbook(arguments: Any, dtype: torch.dtype) -> None:
    walked, expected, apart = walk(arguments, [400, 200], 50, dtype)
    tolerance = 1e-11 if dtype == torch.float64 else 2e-5
    # Where tensors are scaled by their RMS, the factor is a float32.
    assert apart < (1e-6 if arguments["preset"] == "amplify" else 1e-12)
    if arguments["preset"] == "amplify":
        tolerance = 2e-5
    assert torch.allclose(walked, expected, rtol=tolerance, atol=tolerance * float(expected.std()))


@pytest.mark.parametrize("arguments", FAST)
def test_fast_ranks_stay_beside_the_textbook(arguments: Any) -> None:
    walked, expected, apart = walk(arguments, [8000, 3000, 1000], 4, torch.float32)
    assert apart < 1e-6
    assert float((walked - expected).norm() / expected.norm()) < 2e-3
