"""Bases of every shape that packages have, and what reaches them."""

import copy
import pickle
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR, StepLR
from torch.optim.optimizer import register_optimizer_step_post_hook

from htga.optim import HTGA
from htga.telemetry.attach import inner_of
from tests.htga.optim.third_party import SAM, SHAPES, Lookahead, ScheduleFreeSGD
from tests.htga.training import BASES, backward, net, same, train, weights

pytestmark = pytest.mark.filterwarnings("ignore:HTGA has no effect")


def ready(optimizer: Any) -> Any:
    if hasattr(optimizer, "train"):
        optimizer.train()
    return optimizer


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_a_base_of_any_shape_steps_as_it_does_alone(shape: Callable[[Any], Any]) -> None:
    bare, wrapped = net(), net()
    plain = ready(shape(bare.parameters()))
    optimizer = ready(HTGA(shape(wrapped.parameters()), actuator="none"))
    train(bare, plain, range(4))
    train(wrapped, optimizer, range(4))
    assert same(weights(bare), weights(wrapped))
    assert optimizer.tail is not None


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_a_base_of_any_shape_is_scheduled_saved_and_loaded(shape: Callable[[Any], Any]) -> None:
    model = net()
    optimizer = ready(HTGA(shape(model.parameters())))
    scheduler = StepLR(optimizer, 1)
    before = optimizer.param_groups[0]["lr"]
    train(model, optimizer, range(1))
    scheduler.step()
    assert optimizer.base.param_groups[0]["lr"] == pytest.approx(before / 10)
    other = HTGA(shape(net().parameters()))
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    assert other.own_state() == optimizer.own_state()
    assert other.param_groups[0]["lr"] == optimizer.param_groups[0]["lr"]


@pytest.mark.parametrize("shape", ["Lion", "schedule-free SGD"])
def test_a_base_of_another_package_is_copied_and_pickled(shape: str) -> None:
    model = net()
    optimizer = ready(HTGA(SHAPES[shape](model.parameters())))
    train(model, optimizer, range(2))
    twins = [
        copy.deepcopy((model, optimizer)),
        pickle.loads(pickle.dumps((model, optimizer))),  # noqa: S301 (our own)
    ]
    train(model, optimizer, range(2, 4))
    for twin_model, twin in twins:
        train(twin_model, twin, range(2, 4))
        assert same(weights(model), weights(twin_model))


def test_modes_and_unknown_attributes_are_the_bases_to_read_to_write_and_to_delete() -> None:
    model = net()
    optimizer: Any = HTGA(ScheduleFreeSGD(model.parameters()))
    with pytest.raises(RuntimeError, match="call train"):
        train(model, optimizer, range(1))
    optimizer.train()
    assert optimizer.base.param_groups[0]["train_mode"]
    train(model, optimizer, range(2))
    before = weights(model)
    optimizer.eval()
    assert not same(weights(model), before)

    optimizer = HTGA(Lookahead(SGD(model.parameters(), lr=0.1)))
    assert (optimizer.k, optimizer.optimizer) == (2, optimizer.base.optimizer)
    optimizer.k = 5
    assert optimizer.base.k == 5
    del optimizer.k
    assert not hasattr(optimizer.base, "k")
    optimizer.param_groups = list(optimizer.param_groups)
    assert optimizer.base.param_groups is optimizer.param_groups
    optimizer.mine = 7
    assert not hasattr(optimizer.base, "mine")
    del optimizer.mine
    with pytest.raises(AttributeError, match="'mine'"):
        _ = optimizer.mine
    assert not hasattr(HTGA(SGD(model.parameters())), "train")
    assert not hasattr(HTGA(Adam(model.parameters(), fused=True)), "_step_supports_amp_scaling")


class Silent(SGD):
    """Writes no parameter groups."""

    def state_dict(self) -> dict[str, Any]:
        return {"moments": super().state_dict()["state"]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(super().state_dict() | {"state": state_dict["moments"]})


def test_a_state_without_groups_keeps_what_is_remembered_beside_it() -> None:
    model, twin = net(), net()
    optimizer, other = (HTGA(Silent(m.parameters(), lr=0.1, momentum=0.9)) for m in (model, twin))
    train(model, optimizer, range(2))
    twin.load_state_dict(model.state_dict())
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    train(model, optimizer, range(2, 4))
    train(twin, other, range(2, 4))
    assert same(weights(model), weights(twin))
    assert other.own_state() == optimizer.own_state()


def test_telemetry_measures_the_wrapper_and_not_an_optimizer_deep_inside() -> None:
    optimizer = HTGA(Lookahead(SGD(net().parameters(), lr=0.1)))
    assert isinstance(optimizer.optimizer, SGD)
    assert inner_of(optimizer) is None
    assert inner_of(optimizer.base) is optimizer.optimizer


def test_own_attributes_hide_those_of_the_base() -> None:
    base: Any = SGD(net().parameters(), lr=0.1)
    base.tail, base.settings = "the base's", "the base's"
    optimizer = HTGA(base)
    assert optimizer.tail is None
    assert optimizer.settings.target_alpha == 3.0
    optimizer.tail = None
    assert base.tail == "the base's"


def test_a_base_that_needs_a_closure_is_refused_with_a_remedy_that_works() -> None:
    model = net()
    with pytest.raises(TypeError, match=r"without a closure, .* got SAM; .* can be given an HTGA"):
        HTGA(SAM(model.parameters(), lambda groups: SGD(groups, lr=0.1)))
    optimizer = SAM(model.parameters(), lambda groups: HTGA(SGD(groups, lr=0.1)))
    for seed in range(2):
        backward(model, seed)
        optimizer.step(partial(backward, model, seed))
    assert isinstance(optimizer.base_optimizer, HTGA)
    assert optimizer.base_optimizer.tail is not None


@pytest.mark.parametrize("base", [None, 3, nn.Linear(2, 2), object()])
def test_what_is_no_optimizer_is_refused(base: Any) -> None:
    with pytest.raises(TypeError, match=f"base must be .*, got {type(base).__name__}"):
        HTGA(base)


def test_a_base_to_be_differentiated_through_is_refused() -> None:
    with pytest.raises(ValueError, match=r"differentiable must be False, got True"):
        HTGA(SGD([torch.zeros(3)], lr=0.1, differentiable=True))


@pytest.mark.parametrize("flag", ["capturable", "foreach", "maximize"])
@pytest.mark.parametrize("lr", [0.01, torch.tensor(0.01)], ids=["a number", "a tensor"])
def test_flags_and_a_rate_that_is_a_tensor_are_the_bases(flag: str, lr: Any) -> None:
    # PyTorch has no capturable steps on a CPU, nor a tensor as the rate of a foreach step.
    flags: dict[str, Any] = {
        flag: flag == "maximize" or (flag == "foreach" and not torch.is_tensor(lr))
    }
    bare, wrapped = net(), net()
    plain = AdamW(bare.parameters(), lr=copy.deepcopy(lr), **flags)
    optimizer = HTGA(AdamW(wrapped.parameters(), lr=copy.deepcopy(lr), **flags), actuator="none")
    train(bare, plain, range(3))
    train(wrapped, optimizer, range(3))
    assert same(weights(bare), weights(wrapped))
    assert torch.is_tensor(optimizer.param_groups[0]["lr"]) == torch.is_tensor(lr)


def test_a_warm_up_from_zero_before_wrapping_does_not_hide_what_the_base_does() -> None:
    base = SGD(net().parameters(), lr=0.1)
    LambdaLR(base, lambda step: step / 10)
    assert base.param_groups[0]["lr"] == 0
    assert HTGA(base).settings.apply == "grad"
    assert base.param_groups[0]["lr"] == 0


@pytest.mark.parametrize("form", ["the step", "a function"])
@pytest.mark.parametrize("base", ["sgd_momentum", "adamw"])
def test_a_compiled_step_is_the_step_outside_of_the_graph(base: str, form: str) -> None:
    models, losses = [net(), net()], []
    plain, optimizer = (HTGA(BASES[base](m.parameters())) for m in models)

    def function() -> None:
        optimizer.step()

    step = optimizer.step if form == "the step" else function
    compiled: Any = torch.compile(step, backend="aot_eager")
    train(models[0], plain, range(3))
    for seed in range(3):
        optimizer.zero_grad()
        losses.append(backward(models[1], seed))
        compiled()
    assert same(weights(models[0]), weights(models[1]))


@pytest.mark.parametrize("scope", ["global", "group", "tensor", "rms_normalised"])
def test_groups_may_be_empty_at_first_and_be_filled_and_added_later(scope: Any) -> None:
    one, other = torch.zeros(600), torch.zeros(700)
    optimizer = HTGA(SGD([{"params": []}], lr=1.0), scope=scope)
    assert optimizer.settings.apply == "grad"
    optimizer.step()
    optimizer.load_state_dict(optimizer.state_dict())
    optimizer.add_param_group({"params": [one]})
    optimizer.base.add_param_group({"params": [other]})
    for parameter in (one, other):
        parameter.grad = torch.linspace(-3, 5, parameter.numel())
    optimizer.step()
    assert optimizer.tail is not None
    assert int(optimizer.tail.n) == 1300
    assert one.any()
    assert other.any()
    optimizer.load_state_dict(optimizer.state_dict())


def test_a_hook_for_all_optimizers_sees_no_trial() -> None:
    seen: list[Optimizer] = []
    hook = register_optimizer_step_post_hook(lambda optimizer, *_: seen.append(optimizer))
    try:
        model = net()
        base = AdamW(model.parameters())
        state = torch.get_rng_state()
        optimizer = HTGA(base)
        assert torch.equal(torch.get_rng_state(), state)
        assert not base.state
        train(model, optimizer, range(1))
    finally:
        hook.remove()
    assert seen == [base, optimizer]
