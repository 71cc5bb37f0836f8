"""What a step costs, counted in operations: a count is the same on any machine."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.optim import SGD, AdamW, Optimizer
from torch.utils._python_dispatch import TorchDispatchMode

from htga.optim import HTGA
from tests.support.triton_script import lines_of, needs_triton

HERE = Path(__file__).parent


class Operations(TorchDispatchMode):
    """Counts those that reach a device."""

    count = 0

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        self.count += 1
        return func(*args, **(kwargs or {}))


def operations(base: Callable[[list[Tensor]], Optimizer], n_tensors: int, **settings: Any) -> int:
    parameters = [torch.zeros(100) for _ in range(n_tensors)]
    for parameter in parameters:
        parameter.grad = torch.randn(100)
    optimizer = HTGA(base(parameters), **settings)
    optimizer.step()
    counted = Operations()  # type: ignore[no-untyped-call] # torch's own has no types
    with counted:
        optimizer.step()
    return counted.count


@pytest.mark.parametrize("scope", ["global", "rms_normalised"])
@pytest.mark.parametrize(
    ("base", "most"), [(partial(SGD, fused=True), 10), (partial(AdamW, fused=True), 20)]
)
def test_each_further_tensor_costs_a_step_few_operations(
    base: Callable[[list[Tensor]], Optimizer], most: int, scope: str
) -> None:
    few, many = (operations(base, n, preset="amplify", scope=scope) for n in (20, 120))
    assert many - few <= most * 100


@pytest.mark.parametrize("base", [SGD, AdamW])
def test_a_default_that_does_not_act_costs_what_measuring_does(base: Any) -> None:
    made = [
        operations(partial(base, lr=0.1), 20, **settings)
        for settings in ({"actuator": "none"}, {"target_alpha": 0.1}, {"preset": "amplify"})
    ]
    measuring, idle, acting = made
    assert idle <= 1.1 * measuring
    assert acting > 1.25 * idle


@pytest.mark.slow
@needs_triton
def test_a_step_on_a_gpu_launches_no_more_than_it_must(tmp_path: Path) -> None:
    printed = lines_of(HERE / "launches_with_triton.py", tmp_path, TRITON_INTERPRET="1")
    launches = {given: int(count) for count, given in (line.split(" ", 1) for line in printed)}
    assert launches["{'scope': 'global'}"] <= 27
    assert launches["{}"] <= 33
    assert launches["measure"] <= 20
