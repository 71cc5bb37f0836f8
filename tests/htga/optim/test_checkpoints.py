"""A checkpoint by any of the ways that people save one."""

import copy
import io
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_optimizer_state_dict,
    get_state_dict,
    set_optimizer_state_dict,
    set_state_dict,
)
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save
from torch.distributed.checkpoint.stateful import Stateful
from torch.optim import SGD, Adam, AdamW, Optimizer

from htga.optim import HTGA, Bi2Clip, BiClip
from htga.telemetry.probe import Probe
from tests.htga.optim.third_party import Lion, ScheduleFreeSGD
from tests.htga.training import backward, net, remembered, same, train, weights

pytestmark = pytest.mark.filterwarnings("ignore:HTGA has no effect")

BASES: dict[str, Callable[[Any], Optimizer]] = {
    "sgd": lambda p: SGD(p, lr=0.05),
    "sgd_momentum": lambda p: SGD(p, lr=0.05, momentum=0.9, weight_decay=1e-3, nesterov=True),
    "sgd_fused": lambda p: SGD(p, lr=0.05, momentum=0.9, fused=True),
    "adamw": lambda p: AdamW(p, lr=0.01),
    "amsgrad": lambda p: Adam(p, lr=0.01, amsgrad=True),
    "lion": lambda p: Lion(p, lr=0.01),
    "schedule_free": lambda p: ScheduleFreeSGD(p, lr=0.05),
}
OPTIONS: dict[str, dict[str, Any]] = {
    "as it is": {},
    "flat": {"flatten_optimizer_state_dict": True},
    "whole": {"full_state_dict": True, "cpu_offload": True},
}


def make(base: Callable[[Any], Optimizer], **settings: Any) -> tuple[nn.Module, HTGA]:
    model = net()
    optimizer = HTGA(base(model.parameters()), actuator="both", law="integral", **settings)
    if hasattr(optimizer, "train"):
        optimizer.train()
    return model, optimizer


class Both(Stateful):
    """Model and optimizer as one, as torch's tutorial saves them."""

    def __init__(self, model: nn.Module, optimizer: Optimizer, options: StateDictOptions) -> None:
        self.model, self.optimizer, self.options = model, optimizer, options

    def state_dict(self) -> dict[str, Any]:
        model, optimizer = get_state_dict(self.model, self.optimizer, options=self.options)
        return {"model": model, "optimizer": optimizer}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        set_state_dict(
            self.model,
            self.optimizer,
            model_state_dict=state_dict["model"],
            optim_state_dict=state_dict["optimizer"],
            options=self.options,
        )


def by_copy(one: Both, other: Both, _: Path) -> None:
    other.load_state_dict(copy.deepcopy(one.state_dict()))


def by_torch_save(one: Both, other: Both, folder: Path) -> None:
    torch.save(one.state_dict(), folder / "state")
    other.load_state_dict(torch.load(folder / "state", weights_only=True))


def by_dcp(one: Both, other: Both, folder: Path) -> None:
    save({"both": one}, checkpoint_id=folder, no_dist=True)
    load({"both": other}, checkpoint_id=folder, no_dist=True)


WAYS = [
    pytest.param(base, OPTIONS[options], way, id=f"{base}, {options}, {way.__name__}")
    for base in BASES
    for options, way in (
        ("as it is", by_copy),
        ("as it is", by_dcp),
        ("flat", by_torch_save),
        ("flat", by_dcp),
        ("whole", by_copy),
    )
    # PyTorch itself loads no whole state that is empty, and of a flat one or one in files the parts
    # that the optimizer already has: of a schedule-free one in training mode, none.
    if (base, options) != ("sgd", "whole")
    and (base != "schedule_free" or (options, way) == ("as it is", by_copy))
]


@pytest.mark.filterwarnings("ignore::UserWarning:torch")
@pytest.mark.parametrize(("base", "options", "way"), WAYS)
def test_training_goes_on_from_a_distributed_state_dict_as_if_there_had_been_none(
    base: str, options: dict[str, Any], way: Callable[[Both, Both, Path], None], tmp_path: Path
) -> None:
    (model, optimizer), twins, revived = (make(BASES[base], scope="tensor") for _ in range(3))
    train(model, optimizer, range(2))
    train(*twins, range(2))
    optimizer.zero_grad()
    asked = StateDictOptions(**options)
    way(Both(model, optimizer, asked), Both(*revived, asked), tmp_path)
    assert same(remembered(revived[1]), remembered(twins[1]))
    for each in ((model, optimizer), twins, revived):
        train(*each, range(2, 4))
    for each in ((model, optimizer), revived):
        assert same(weights(each[0]), weights(twins[0]))
        assert same(remembered(each[1]), remembered(twins[1]))


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("base", ["sgd_momentum", "adamw", "amsgrad", "lion"])
def test_an_optimizer_without_a_step_is_saved_as_its_base_is(
    base: str, options: dict[str, Any]
) -> None:
    asked = StateDictOptions(**options)
    bare_model, (model, optimizer) = net(), make(BASES[base], fixed_gamma=1.0, beta_bounds=(0, 0))
    bare = BASES[base](bare_model.parameters())
    states = [
        get_optimizer_state_dict(m, o, options=asked)
        for m, o in ((bare_model, bare), (model, optimizer))
    ]
    set_optimizer_state_dict(model, optimizer, copy.deepcopy(states[1]), options=asked)
    assert optimizer.tail is None
    assert math.isnan(remembered(optimizer)["alpha_bar"])
    train(bare_model, bare, range(3))
    train(model, optimizer, range(3))
    assert same(weights(model), weights(bare_model))


@pytest.mark.parametrize("kind", ["bare", "wrapped"])
@pytest.mark.parametrize("base", ["sgd", "adamw", "lion"])
def test_a_step_that_only_makes_the_state_is_no_step_of_telemetry(base: str, kind: str) -> None:
    model = net()
    optimizer: Optimizer = BASES[base](model.parameters())
    optimizer = optimizer if kind == "bare" else HTGA(optimizer)
    rows: list[Any] = []
    probe = Probe(optimizer, rows.append, first_step=5)
    for step in range(3):
        optimizer.zero_grad()
        get_optimizer_state_dict(model, optimizer)  # at each checkpoint, if there is no state
        assert (len(rows), probe.steps) == (step, 5 + step)
        backward(model, step)
        optimizer.step()
    assert [item()[0]["step"] for item in rows] == [5, 6, 7]


@pytest.mark.parametrize("what", ["a rate", "a gradient", "a state"])
def test_a_step_that_moves_something_is_one(what: str) -> None:
    parameter = torch.ones(600)
    rate, momentum = float(what == "a rate"), 0.9 * (what == "a state")
    optimizer = HTGA(SGD([parameter], lr=rate, momentum=momentum))
    parameter.grad = torch.zeros(600)
    if what == "a gradient":
        parameter.grad[7] = 1
    if what == "a state":
        optimizer.step()
        assert optimizer.tail is None
    optimizer.step()
    assert optimizer.tail is not None


def test_a_checkpoint_of_an_earlier_version_is_restored() -> None:
    model, optimizer = make(BASES["adamw"], scope="tensor")
    train(model, optimizer, range(3))
    state, own = optimizer.base.state_dict(), remembered(optimizer)
    state["htga"] = {
        name: torch.tensor(own[name]) for name in ("alpha_bar", "gamma", "beta", "skipped")
    }
    _, revived = make(BASES["adamw"], scope="tensor")
    revived.load_state_dict(state)
    assert torch.tensor(remembered(revived)["gamma"]).tolist() == pytest.approx(own["gamma"])


@pytest.mark.parametrize("scope", ["global", "group", "tensor", "rms_normalised"])
@pytest.mark.parametrize("saved", ["global", "group", "tensor", "rms_normalised"])
def test_a_state_of_another_scope_is_refused_whole_and_of_the_same_one_restored(
    saved: str, scope: str
) -> None:
    groups: list[Any] = [{"params": [torch.zeros(600)]}, {"params": [torch.zeros(700)]}]
    saver, loader = (
        HTGA(SGD(copy.deepcopy(groups), lr=lr, momentum=0.9), scope=each, actuator="both")  # type: ignore[arg-type]
        for lr, each in ((0.5, saved), (0.1, scope))
    )
    state = saver.state_dict()
    if saved == scope:
        loader.load_state_dict(state)
        assert loader.param_groups[0]["lr"] == 0.5
        return
    with pytest.raises(ValueError, match=f"scope '{saved}' with .* scope '{scope}'.* pass that"):
        loader.load_state_dict(state)
    assert loader.param_groups[0]["lr"] == 0.1
    loader.base.load_state_dict(state)
    assert loader.param_groups[0]["lr"] == 0.5


def test_a_state_of_a_round_goes_round_too() -> None:
    nets = [net(), net()]
    one, other = (Bi2Clip(BiClip(m.parameters(), lr=0.1), every=3, lr=0.5) for m in nets)
    train(nets[0], one, range(4))
    saved = io.BytesIO()
    torch.save(one.state_dict(), saved)
    saved.seek(0)
    nets[1].load_state_dict(nets[0].state_dict())
    other.load_state_dict(torch.load(saved, weights_only=True))
    train(nets[0], one, range(4, 7))
    train(nets[1], other, range(4, 7))
    assert same(weights(nets[0]), weights(nets[1]))
