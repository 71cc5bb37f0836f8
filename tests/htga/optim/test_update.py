from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.optim import SGD, Adam, AdamW, Optimizer, RMSprop

from htga.optim import HTGA
from htga.tail import hill
from tests.htga.distributions import student_t
from tests.htga.training import BASES, backward, net, remembered, same, train, update_alpha, weights

WIDE = {"beta_bounds": (-1.0, 1.0), "max_coord_share": 1.0}


@pytest.mark.parametrize("kind", [Adam, AdamW, RMSprop])
def test_around_adam_and_its_kin_the_update_is_amplified(kind: type[Optimizer]) -> None:
    assert HTGA(kind([torch.zeros(3)])).settings.apply == "update"  # type: ignore[call-arg]
    assert HTGA(kind([torch.zeros(3)]), preset="seed").settings.apply == "grad"  # type: ignore[call-arg]
    assert HTGA(SGD([torch.zeros(3)], lr=0.1)).settings.apply == "grad"


def adam_moves(gradients: list[Tensor], **arguments: Any) -> tuple[HTGA, list[Tensor]]:
    parameter = torch.zeros_like(gradients[0])
    optimizer = HTGA(AdamW([parameter], lr=0.1), **({"preset": "amplify"} | arguments))
    places = [parameter.clone()]
    for gradient in gradients:
        parameter.grad = gradient.clone()
        optimizer.step()
        places.append(parameter.clone())
    return optimizer, [after - before for before, after in pairwise(places)]


def test_the_tail_index_of_what_adam_moves_is_on_target() -> None:
    gradients = [student_t(1.8, 20_000, seed=i) for i in range(3)]
    optimizer, moves = adam_moves(gradients, target_alpha=1.3, **WIDE)
    tail = optimizer.tail
    assert tail is not None
    assert float(hill(moves[-1], int(tail.k)).alpha) == pytest.approx(1.3, rel=1e-5)
    assert float(update_alpha(tail)) == pytest.approx(1.3, rel=1e-5)
    assert float(tail.grad_norm) == pytest.approx(float(gradients[-1].norm()))
    _, untouched = adam_moves(gradients, actuator="none")
    assert float(moves[0].norm() / untouched[0].norm()) == pytest.approx(1, rel=1e-3)


def test_a_gradient_amplified_before_adam_hardly_changes_what_it_moves() -> None:
    gradients = [student_t(1.8, 20_000)]
    _, moves = adam_moves(gradients, apply="grad", target_alpha=1.3, **WIDE)
    _, untouched = adam_moves(gradients, actuator="none")
    assert torch.allclose(moves[0], untouched[0], rtol=1e-3)


def test_gamma_multiplies_the_update_and_weight_decay_with_it() -> None:
    gradients = [student_t(1.8, 1000)]
    _, plain = adam_moves(gradients, actuator="none")
    _, doubled = adam_moves(gradients, actuator="none", fixed_gamma=2.0)
    assert torch.allclose(doubled[0], 2 * plain[0], rtol=1e-6)


def test_the_gradient_itself_stays_as_it_was() -> None:
    parameter = torch.zeros(1000, dtype=torch.float64)
    gradient = student_t(1.5, 1000)
    parameter.grad = gradient.clone()
    HTGA(AdamW([parameter]), preset="amplify").step()
    assert torch.equal(parameter.grad, gradient)


@pytest.mark.parametrize("base", BASES.values(), ids=BASES)
def test_without_an_exponent_the_base_moves_to_the_last_bit(
    base: Callable[[Any], Optimizer],
) -> None:
    bare, wrapped = net(), net()
    arguments: dict[str, Any] = {"apply": "update", "beta_bounds": (0.0, 0.0)}
    plain, optimizer = base(bare.parameters()), HTGA(base(wrapped.parameters()), **arguments)
    train(bare, plain, range(20))
    train(wrapped, optimizer, range(20))
    assert same(weights(bare), weights(wrapped))


def test_a_bad_gradient_reaches_neither_the_parameters_nor_the_base() -> None:
    model = net()
    optimizer = HTGA(AdamW(model.parameters()))
    train(model, optimizer, range(3))
    before = weights(model)
    moments = [entry["exp_avg"].clone() for entry in optimizer.state.values()]
    backward(model, 9)
    next(model.parameters()).grad.fill_(torch.inf)  # type: ignore[union-attr] # backward made it
    optimizer.step()
    assert same(before, weights(model))
    assert same(moments, [entry["exp_avg"] for entry in optimizer.state.values()])
    assert optimizer.tail is not None
    assert int(optimizer.tail.skipped) == 1
    train(model, optimizer, range(3, 5))
    assert remembered(optimizer)["skipped"] == 1


def test_an_update_that_overflows_is_taken_back() -> None:
    parameter = torch.zeros(2000).half()
    parameter.grad = student_t(1.1, 2000).clamp(-20_000, 20_000).half()
    optimizer = HTGA(
        SGD([parameter], lr=3.0), apply="update", preset="seed", fixed_gamma=40.0, actuator="none"
    )
    optimizer.step()
    assert optimizer.tail is not None
    assert int(optimizer.tail.skipped) == 1
    assert torch.equal(parameter, torch.zeros(2000).half())
