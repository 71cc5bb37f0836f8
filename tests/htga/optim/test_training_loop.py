import copy
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR

from htga.optim import HTGA
from tests.htga.distributions import student_t
from tests.htga.training import BASES, backward, loss_of, net, remembered, same, train, weights


def test_a_closure_runs_once_before_the_gradient_is_rewritten() -> None:
    model, twin = net(), net()
    optimizer, other = (HTGA(SGD(m.parameters(), lr=0.1)) for m in (model, twin))
    losses = []

    def closure() -> float:
        optimizer.zero_grad()
        losses.append(backward(model, 0))
        return losses[-1]

    with torch.no_grad():
        assert optimizer.step(closure) == losses[0]
    assert len(losses) == 1
    train(twin, other, range(1))
    assert same(weights(model), weights(twin))


def test_step_hooks_fire_once_per_step_and_see_the_raw_and_the_amplified_gradient() -> None:
    gradient = student_t(1.8, 1000)
    parameter = torch.zeros(1000, dtype=torch.float64)
    parameter.grad = gradient.clone()
    optimizer = HTGA(SGD([parameter], lr=1.0))
    seen: list[tuple[str, Optimizer, Tensor]] = []

    def note(when: str) -> Callable[..., None]:
        def hook(sender: Optimizer, *_: Any) -> None:
            assert parameter.grad is not None
            seen.append((when, sender, parameter.grad.clone()))

        return hook

    optimizer.register_step_pre_hook(note("before"))
    optimizer.register_step_post_hook(note("after"))
    optimizer.step()
    assert [(when, sender) for when, sender, _ in seen] == [
        ("before", optimizer),
        ("after", optimizer),
    ]
    assert torch.equal(seen[0][2], gradient)
    assert torch.equal(seen[1][2], -parameter)
    assert not torch.equal(seen[1][2], gradient)


@pytest.mark.parametrize("preset", ["seed", "amplify"])
@pytest.mark.parametrize("base", BASES.values(), ids=BASES)
def test_a_run_resumed_from_a_checkpoint_goes_on_to_the_last_bit(
    base: Callable[[Any], Optimizer], preset: Any, tmp_path: Path
) -> None:
    def make(model: nn.Module) -> HTGA:
        return HTGA(
            base(model.parameters()), preset=preset, actuator="both", law="integral", normalize="l2"
        )

    model = net()
    optimizer = make(model)
    train(model, optimizer, range(5))
    backward(model, 0)
    next(model.parameters()).grad.fill_(torch.nan)  # type: ignore[union-attr] # backward made it
    optimizer.step()
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "c")
    train(model, optimizer, range(5, 10))

    saved = torch.load(tmp_path / "c")
    revived = net(1)
    resumed = make(revived)
    revived.load_state_dict(saved["model"])
    resumed.load_state_dict(saved["optimizer"])
    assert resumed.param_groups is resumed.base.param_groups
    assert resumed.state is resumed.base.state
    train(revived, resumed, range(5, 10))
    assert same(weights(model), weights(revived))
    assert same(optimizer.state_dict(), resumed.state_dict())
    assert remembered(resumed)["skipped"] == 1


def test_a_state_dict_is_a_snapshot() -> None:
    model = net()
    optimizer = HTGA(SGD(model.parameters(), lr=0.1), actuator="both")
    train(model, optimizer, range(3))
    saved = remembered(optimizer)
    copies = copy.deepcopy(saved)
    optimizer.load_state_dict(optimizer.state_dict())
    train(model, optimizer, range(3, 6))
    assert same(saved, copies)


def test_a_deep_copy_goes_its_own_way() -> None:
    model = net()
    optimizer = HTGA(SGD(model.parameters(), lr=0.1, momentum=0.9))
    scheduler = CosineAnnealingLR(optimizer, 10)
    train(model, optimizer, range(3))
    scheduler.step()
    twin_model, twin = copy.deepcopy((model, optimizer))
    assert twin.param_groups[0]["params"][0] is next(twin_model.parameters())
    assert same(optimizer.state_dict(), twin.state_dict())
    before = weights(model)
    train(twin_model, twin, range(3, 5))
    assert same(before, weights(model))
    train(model, optimizer, range(3, 5))
    assert same(weights(model), weights(twin_model))


@pytest.mark.parametrize("base", BASES.values(), ids=BASES)
def test_a_state_moves_between_a_bare_optimizer_and_one_that_is_wrapped(base: Any) -> None:
    model, twin = net(), net()
    bare, optimizer = base(model.parameters()), HTGA(base(twin.parameters()), actuator="both")
    train(model, bare, range(2))
    twin.load_state_dict(model.state_dict())
    train(net(2), optimizer, range(1))
    with pytest.warns(UserWarning, match="of a bare .* what HTGA itself remembers begins anew"):
        optimizer.load_state_dict(bare.state_dict())
    assert same(optimizer.base.state_dict()["state"], bare.state_dict()["state"])
    assert math.isnan(remembered(optimizer)["alpha_bar"])

    bare.load_state_dict(optimizer.state_dict())
    assert same(optimizer.base.state_dict()["state"], bare.state_dict()["state"])
    train(model, bare, range(2, 4))


def test_state_dict_hooks_registered_on_the_wrapper_run() -> None:
    model = net()
    optimizer = HTGA(SGD(model.parameters(), lr=0.1))
    calls: list[str] = []
    optimizer.register_state_dict_pre_hook(lambda _: calls.append("before saving"))
    optimizer.register_state_dict_post_hook(lambda _, state: {**state, "note": 7})
    optimizer.register_load_state_dict_pre_hook(
        lambda _, state: {key: value for key, value in state.items() if key != "note"}
    )
    optimizer.register_load_state_dict_post_hook(lambda _: calls.append("after loading"))
    state = optimizer.state_dict()
    assert state["note"] == 7
    optimizer.load_state_dict(state)
    assert calls == ["before saving", "after loading"]


def test_a_learning_rate_schedule_on_the_wrapper_reaches_the_base() -> None:
    bare, wrapped = net(), net()
    plain = SGD(bare.parameters(), lr=0.1, momentum=0.9)
    optimizer = HTGA(SGD(wrapped.parameters(), lr=0.1, momentum=0.9), actuator="none")
    schedules = CosineAnnealingLR(plain, 10), CosineAnnealingLR(optimizer, 10)
    for step in range(10):
        train(bare, plain, range(step, step + 1))
        train(wrapped, optimizer, range(step, step + 1))
        for schedule in schedules:
            schedule.step()
        assert optimizer.base.param_groups[0]["lr"] == plain.param_groups[0]["lr"]
    assert same(weights(bare), weights(wrapped))


def test_grad_scaler_unscales_before_the_gradient_is_measured() -> None:
    model, scaled_model = net(), net()
    optimizer, scaled = (
        HTGA(AdamW(m.parameters(), fused=True), preset="seed") for m in (model, scaled_model)
    )
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    for seed in range(3):
        train(model, optimizer, range(seed, seed + 1))
        scaled.zero_grad()
        torch.autograd.backward(scaler.scale(loss_of(scaled_model, seed)))
        scaler.step(scaled)
        scaler.update()
    assert not hasattr(scaled, "_step_supports_amp_scaling")
    assert same(weights(model), weights(scaled_model))
    assert optimizer.tail is not None
    assert scaled.tail is not None
    assert torch.equal(scaled.tail.grad_norm, optimizer.tail.grad_norm)


def test_groups_added_and_gradients_zeroed_on_the_wrapper_are_the_bases() -> None:
    model = net()
    optimizer = HTGA(SGD(model.parameters(), lr=0.1))
    extra = torch.ones(4)
    extra.grad = torch.ones(4)
    optimizer.add_param_group({"params": [extra], "lr": 0.5})
    assert optimizer.base.param_groups[1]["params"][0] is extra
    assert optimizer.defaults is optimizer.base.defaults
    optimizer.zero_grad(set_to_none=False)
    assert torch.equal(extra.grad, torch.zeros(4))
    optimizer.zero_grad()
    assert extra.grad is None
