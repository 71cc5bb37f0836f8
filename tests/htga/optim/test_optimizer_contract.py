"""What else a training loop may do to an optimizer."""

import copy
import io
import math
import pickle
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import OneCycleLR, ReduceLROnPlateau, SequentialLR, StepLR

from htga.optim import HTGA
from tests.htga.distributions import student_t
from tests.htga.training import (
    BASES,
    backward,
    loss_of,
    net,
    remembered,
    same,
    train,
    update_alpha,
    weights,
)

PRESETS = ["seed", "amplify", "temper"]


def wrapped(model: nn.Module, **arguments: Any) -> HTGA:
    return HTGA(SGD(model.parameters(), lr=0.02, momentum=0.9), **arguments)


def test_accumulated_gradients_are_rewritten_once() -> None:
    model, twin = net(), net()
    optimizer, other = wrapped(model), wrapped(twin)
    for seed in range(3):
        backward(model, seed)
    optimizer.step()
    torch.autograd.backward(torch.stack([loss_of(twin, seed) for seed in range(3)]).sum())
    other.step()
    for a, b in zip(weights(model), weights(twin), strict=True):
        assert torch.allclose(a, b, rtol=1e-5, atol=1e-7)


def clip(model: nn.Module, *_: Any) -> None:
    nn.utils.clip_grad_norm_(model.parameters(), 1e-3)


def test_clipping_before_leaves_the_tail_and_clipping_cancels_gamma_only_after() -> None:
    states = []
    for clips in (False, True):
        model = net()
        optimizer = wrapped(model)
        backward(model, 0)
        if clips:
            clip(model)
        optimizer.step()
        assert optimizer.tail is not None
        states.append(optimizer.tail)
    assert float(states[0].control_alpha) == pytest.approx(float(states[1].control_alpha), rel=1e-4)
    assert float(states[1].grad_norm) == pytest.approx(1e-3, rel=1e-3)

    model, twin = net(), net()
    for each, gamma in ((model, 1.0), (twin, 1.7)):
        optimizer = wrapped(each, preset="seed", beta=0.1, fixed_gamma=gamma)
        # Between the amplification and the base's step.
        optimizer.base.register_step_pre_hook(partial(clip, each))
        train(each, optimizer, range(2))
    for a, b in zip(weights(model), weights(twin), strict=True):
        assert torch.allclose(a, b, rtol=1e-4)


@pytest.mark.parametrize(
    "schedule",
    [
        lambda o: OneCycleLR(o, max_lr=0.1, total_steps=6),
        lambda o: SequentialLR(o, [StepLR(o, 1), StepLR(o, 2)], milestones=[3]),
    ],
    ids=["one cycle", "sequential"],
)
def test_every_schedule_sees_the_bases_groups(schedule: Callable[[Optimizer], Any]) -> None:
    model, twin = net(), net()
    bare = SGD(model.parameters(), lr=0.02, momentum=0.9)
    optimizer = wrapped(twin, actuator="none")
    schedulers = schedule(bare), schedule(optimizer)
    for step in range(5):
        train(model, bare, range(step, step + 1))
        train(twin, optimizer, range(step, step + 1))
        for scheduler in schedulers:
            scheduler.step()
        assert bare.param_groups[0]["lr"] == optimizer.base.param_groups[0]["lr"]
        assert bare.param_groups[0]["momentum"] == optimizer.base.param_groups[0]["momentum"]
    assert same(weights(model), weights(twin))


def test_a_schedule_by_plateau_lowers_the_bases_rate() -> None:
    optimizer = wrapped(net())
    scheduler = ReduceLROnPlateau(optimizer, patience=0)
    scheduler.step(1.0)
    scheduler.step(1.0)
    assert optimizer.base.param_groups[0]["lr"] == pytest.approx(0.002)


def test_a_loss_scale_that_overflows_is_skipped_by_the_scaler_and_leaves_no_trace() -> None:
    model = net()
    optimizer = HTGA(AdamW(model.parameters(), fused=True))
    assert not hasattr(optimizer, "_step_supports_amp_scaling")
    assert optimizer.base._step_supports_amp_scaling  # type: ignore[attr-defined]
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**120)
    before = weights(model)
    torch.autograd.backward(scaler.scale(loss_of(model, 0) * 1e30))
    scaler.step(optimizer)
    scaler.update()
    assert scaler.get_scale() == 2.0**119
    assert optimizer.tail is None
    assert same(before, weights(model))


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("base", BASES.values(), ids=BASES)
def test_it_pickles_and_copies_with_its_model_to_the_last_bit(base: Any, preset: Any) -> None:
    model = net()
    optimizer = HTGA(base(model.parameters()), preset=preset, actuator="both", normalize="l2")
    train(model, optimizer, range(2))
    saved = io.BytesIO()
    torch.save((model, optimizer), saved)
    saved.seek(0)
    twins = [
        copy.deepcopy((model, optimizer)),
        pickle.loads(pickle.dumps((model, optimizer))),  # noqa: S301 (our own)
        torch.load(saved, weights_only=False),
    ]
    train(model, optimizer, range(2, 4))
    for twin_model, twin in twins:
        train(twin_model, twin, range(2, 4))
        assert same(weights(model), weights(twin_model))
        assert same(optimizer.state_dict(), twin.state_dict())


def test_a_checkpoint_loads_where_only_weights_may_be_loaded() -> None:
    model = net()
    optimizer = wrapped(model, actuator="both", scope="tensor")
    train(model, optimizer, range(2))
    saved = io.BytesIO()
    torch.save(optimizer.state_dict(), saved)
    saved.seek(0)
    assert same(torch.load(saved, weights_only=True), optimizer.state_dict())


def test_complex_parameters_are_refused_with_a_remedy() -> None:
    parameter = torch.zeros(3, dtype=torch.complex64)
    with pytest.raises(TypeError, match=r"real, got one of torch.complex64 .*view_as_real"):
        HTGA(SGD([parameter], lr=0.1))
    optimizer = HTGA(SGD([torch.zeros(3)], lr=0.1))
    with pytest.raises(TypeError, match="view_as_real"):
        optimizer.add_param_group({"params": [parameter]})
    assert len(optimizer.param_groups) == 1


def test_a_model_compiled_by_torch_trains_as_one_that_is_not() -> None:
    model, twin = net(), net()
    compiled: Any = torch.compile(twin, backend="aot_eager")
    train(model, wrapped(model), range(3))
    train(compiled, wrapped(compiled), range(3))
    for a, b in zip(weights(model), weights(twin), strict=True):
        assert torch.allclose(a, b, rtol=1e-5, atol=1e-7)


def test_maximize_climbs_along_the_amplified_gradient() -> None:
    gradient = student_t(1.5, 1000)
    places = []
    for maximize in (False, True):
        parameter = torch.zeros_like(gradient)
        parameter.grad = gradient.clone()
        HTGA(SGD([parameter], lr=1.0, maximize=maximize)).step()
        places.append(parameter)
    assert torch.equal(places[0], -places[1])


@pytest.mark.parametrize("base", ["foreach", "fused", "differentiable-free", "amsgrad"])
def test_every_form_of_a_base_takes_the_same_amplified_gradient(base: str) -> None:
    forms: dict[str, Callable[[Any], Optimizer]] = {
        "foreach": lambda p: Adam(p, foreach=True),
        "fused": lambda p: Adam(p, fused=True),
        "differentiable-free": lambda p: Adam(p, foreach=False),
        "amsgrad": lambda p: Adam(p, amsgrad=True),
    }
    model, twin = net(), net()
    train(model, HTGA(forms[base](model.parameters()), apply="grad"), range(3))
    train(twin, HTGA(Adam(twin.parameters(), amsgrad=base == "amsgrad"), apply="grad"), range(3))
    for a, b in zip(weights(model), weights(twin), strict=True):
        assert torch.allclose(a, b, rtol=1e-4, atol=1e-6)


def test_sparse_updates_are_amplified_where_they_are_not_zero() -> None:
    layer = nn.Embedding(2000, 3, sparse=True)
    before = layer.weight.detach().clone()
    optimizer = HTGA(torch.optim.SparseAdam(layer.parameters(), lr=0.1))
    assert optimizer.settings.apply == "update"
    (layer(torch.arange(500)) * student_t(1.5, 1500).view(500, 3)).sum().backward()
    optimizer.step()
    assert optimizer.tail is not None
    assert int(optimizer.tail.n) == 1500
    assert torch.equal(layer.weight[500:], before[500:])
    assert not torch.equal(layer.weight[:500], before[:500])


def test_each_group_keeps_its_own_rate() -> None:
    gradient = student_t(1.5, 1000)
    one, other = torch.zeros_like(gradient), torch.zeros_like(gradient)
    groups = [{"params": [one], "lr": 1.0}, {"params": [other], "lr": 0.5}]
    optimizer = HTGA(SGD(groups, lr=0.1))
    one.grad, other.grad = gradient.clone(), gradient.clone()
    optimizer.step()
    assert torch.allclose(other, one / 2)


def test_frozen_layers_and_missing_gradients_do_not_count() -> None:
    model = net()
    for parameter in list(model.parameters())[:2]:
        parameter.requires_grad_(False)
    optimizer = wrapped(model)
    before = weights(model)
    train(model, optimizer, range(1))
    assert optimizer.tail is not None
    assert int(optimizer.tail.n + optimizer.tail.n_zero) == 3 * 60 + 3
    assert same(before[:2], weights(model)[:2])


@pytest.mark.parametrize("layout", ["channels_last", "transposed", "strided"])
def test_gradients_in_any_order_of_memory_are_written_where_they_belong(layout: str) -> None:
    gradient = student_t(1.5, 4 * 6 * 5 * 8).float().view(4, 6, 5, 8)
    expected = torch.zeros_like(gradient)
    expected.grad = gradient.clone()
    HTGA(SGD([expected], lr=1.0)).step()
    laid = {
        "channels_last": gradient.to(memory_format=torch.channels_last),
        "transposed": gradient.transpose(0, 3).contiguous().transpose(0, 3),
        "strided": torch.zeros(4, 6, 5, 16)[..., ::2].copy_(gradient),
    }[layout]
    parameter = torch.zeros_like(laid)
    parameter.grad = laid.clone() if layout != "strided" else laid
    HTGA(SGD([parameter], lr=1.0)).step()
    assert torch.allclose(parameter, expected, rtol=1e-6)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_parameters_of_any_float_type_are_stepped(dtype: torch.dtype) -> None:
    parameter = torch.zeros(2000, dtype=dtype)
    parameter.grad = student_t(1.8, 2000).to(dtype)
    optimizer = HTGA(SGD([parameter], lr=1.0), preset="amplify")
    optimizer.step()
    assert optimizer.tail is not None
    assert float(update_alpha(optimizer.tail)) == pytest.approx(1.5, rel=2e-2)
    assert parameter.dtype == dtype


def test_gradients_that_are_views_of_a_bucket_stay_views() -> None:
    bucket = student_t(1.5, 1500).float()
    parameters = [torch.zeros(1000), torch.zeros(500)]
    parameters[0].grad, parameters[1].grad = bucket[:1000], bucket[1000:]
    before = bucket.clone()
    HTGA(SGD(parameters, lr=1.0)).step()
    assert torch.equal(bucket, -torch.cat(parameters))
    assert not torch.equal(bucket, before)


def test_state_of_a_run_without_a_step_loads() -> None:
    model = net()
    optimizer = wrapped(model, actuator="both")
    other = wrapped(net(), actuator="both")
    other.load_state_dict(optimizer.state_dict())
    assert optimizer.tail is other.tail is None
    assert math.isnan(remembered(other)["alpha_bar"])
