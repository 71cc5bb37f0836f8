"""Gradients that lie in memory in a way of their own."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.optim import SGD, AdamW

from htga.optim import HTGA
from tests.htga.distributions import student_t

SIZE = (30, 40)
X = student_t(1.5, 1200).float().view(SIZE)

GRADIENTS: dict[str, Callable[[], Tensor]] = {
    "expanded from a number": lambda: X[0, 0].expand(SIZE),
    "expanded from a row": lambda: X[0].expand(SIZE),
    "expanded from a column": lambda: X[:, :1].expand(SIZE),
    "overlapping windows": lambda: X.reshape(-1).as_strided(SIZE, (20, 1)),
    "overlapping, transposed": lambda: X.reshape(-1).as_strided(SIZE, (1, 20)),
    "transposed": lambda: X.reshape(40, 30).t(),
    "every other": lambda: X.repeat_interleave(2, 1)[:, ::2],
    "reversed view": lambda: X.flip(0),
}


@pytest.mark.parametrize("preset", ["amplify", "seed"])
@pytest.mark.parametrize("base", [SGD, AdamW])
@pytest.mark.parametrize("make", GRADIENTS.values(), ids=GRADIENTS)
@pytest.mark.filterwarnings("ignore:HTGA has no effect", "ignore:the weights")
def test_a_step_is_that_of_a_gradient_that_is_contiguous(
    make: Callable[[], Tensor], base: Any, preset: str
) -> None:
    places = []
    for contiguous in (True, False):
        parameter = torch.zeros(SIZE)
        parameter.grad = make().clone().contiguous() if contiguous else make().detach()
        before = X.clone()
        HTGA(base([parameter], lr=0.1), preset=preset, actuator="both").step()
        X.copy_(before)
        places.append(parameter)
    # Entries that are equal are ranked by position or by the mean of their ranks.
    assert torch.allclose(places[0], places[1], rtol=1e-4, atol=1e-7)


def test_two_parameters_with_one_gradient_are_amplified_once_each() -> None:
    shared, alone = X.clone(), [X.clone(), X.clone()]
    together, apart = ([torch.zeros(SIZE), torch.zeros(SIZE)] for _ in range(2))
    for i in range(2):
        together[i].grad, apart[i].grad = shared, alone[i]
    for parameters in (together, apart):
        HTGA(SGD(parameters, lr=1.0), scope="tensor").step()
    assert torch.equal(together[0], apart[0])
    assert torch.equal(together[1], apart[1])


def test_a_gradient_of_its_own_memory_stays_where_it_is() -> None:
    for make in ("transposed", "every other"):
        parameter = torch.zeros(SIZE)
        grad = parameter.grad = GRADIENTS[make]().clone(memory_format=torch.preserve_format)
        HTGA(SGD([parameter], lr=1.0)).step()
        assert parameter.grad is grad
        assert torch.equal(parameter, -grad)


@pytest.mark.parametrize("scope", ["global", "group", "tensor", "rms_normalised"])
@pytest.mark.parametrize("apply", ["grad", "update"])
def test_tensors_without_entries_take_part_and_change_nothing(scope: Any, apply: Any) -> None:
    empty = [torch.zeros(0), torch.zeros(3, 0, 2)]
    one = torch.zeros(1200)
    for parameter in empty:
        parameter.grad = torch.zeros_like(parameter)
    one.grad = X.reshape(-1).clone()
    alone = torch.zeros(1200)
    alone.grad = X.reshape(-1).clone()
    HTGA(SGD([*empty, one], lr=1.0), scope=scope, apply=apply).step()
    HTGA(SGD([alone], lr=1.0), scope=scope, apply=apply).step()
    assert torch.equal(one, alone)


@pytest.mark.parametrize("apply", ["grad", "update"])
def test_a_sparse_gradient_without_an_entry_moves_nothing(apply: Any) -> None:
    layer = torch.nn.Embedding(50, 3, sparse=True)
    before = layer.weight.detach().clone()
    (layer(torch.zeros(0, dtype=torch.int64)) * 2).sum().backward()
    HTGA(SGD(layer.parameters(), lr=1.0), apply=apply).step()
    assert torch.equal(layer.weight, before)


def test_a_complex_parameter_that_slipped_in_is_named_with_a_remedy() -> None:
    optimizer = HTGA(SGD([torch.zeros(3)], lr=0.1))
    slipped = torch.zeros(3, dtype=torch.complex64)
    optimizer.base.add_param_group({"params": [slipped]})
    slipped.grad = torch.ones_like(slipped)
    with pytest.raises(TypeError, match=r"real, got one of torch.complex64 .*view_as_real"):
        optimizer.step()
