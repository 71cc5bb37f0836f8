"""Which layers are measured while parameters are frozen, unfrozen, added and replaced."""

from __future__ import annotations

import gc
import json
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
import torch
from torch import nn

import htga
from htga.telemetry.probe import Probe


class Training:
    """A large backbone and a small head; the two largest layers that learn are measured."""

    def __init__(self, named: bool, wraps: bool) -> None:
        self.model = nn.ModuleDict({"backbone": nn.Linear(60, 60), "head": nn.Linear(60, 4)})
        given = self.model.named_parameters() if named else self.model.parameters()
        base = torch.optim.SGD(given, lr=1e-6)
        self.optimizer = htga.HTGA(base) if wraps else base
        self.named = named
        self.items: list[Callable[[], Sequence[Mapping[str, Any]]]] = []
        self.probe = Probe(
            self.optimizer,
            self.items.append,
            model=self.model,
            layers=["*"],
            layers_every=1,
            layers_top=2,
        )

    def add(self, name: str) -> None:
        """Add a layer to the model, and its parameters as a group to the optimizer."""
        self.model[name] = layer = nn.Linear(60, 30)
        given = [(f"{name}.{key}", p) for key, p in layer.named_parameters()]
        params = given if self.named else [p for _, p in given]
        self.optimizer.add_param_group({"params": params})

    def step(self, poison: bool = False) -> list[str]:
        """The names of the layers that one step shows."""
        self.optimizer.zero_grad()
        x = torch.randn(8, 60)
        for name, layer in self.model.items():
            y = layer(x)
            if y.requires_grad:
                (y.pow(3).mean() * (float("nan") if poison and name == "late" else 1.0)).backward()
        self.optimizer.step()
        self.rows = list(self.items[-1]())
        return [row["layer"] for row in self.rows if row["layer"]]


@pytest.fixture(autouse=True)
def strict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTGA_STRICT", "1")


BACKBONE, HEAD = ["backbone.weight", "backbone.bias"], ["head.weight", "head.bias"]


@pytest.mark.parametrize("wraps", [False, True])
@pytest.mark.parametrize("named", [False, True])
def test_the_largest_layers_that_learn_are_measured_under_their_names(
    named: bool, wraps: bool
) -> None:
    training = Training(named, wraps)
    backbone = training.model["backbone"]
    backbone.requires_grad_(False)
    assert training.step() == HEAD
    backbone.requires_grad_(True)
    assert training.step() == ["backbone.weight", "head.weight"]
    training.add("late")
    assert training.step() == ["backbone.weight", "late.weight"]
    backbone.requires_grad_(False)
    assert training.step() == ["head.weight", "late.weight"]
    training.model["head"].requires_grad_(False)
    assert training.step() == ["late.weight", "late.bias"]
    training.model["late"].requires_grad_(False)
    training.model["head"].bias.requires_grad_(True)
    assert training.step() == ["head.bias"]


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("named", [False, True])
def test_a_layer_that_takes_the_place_of_another_has_its_own_name(
    named: bool, frozen: bool
) -> None:
    training = Training(named, wraps=False)
    assert training.step() == ["backbone.weight", "head.weight"]
    group = training.optimizer.param_groups[0]
    group.pop("param_names", None)
    anchor = nn.Linear(60, 1)
    for number in range(3):  # memory that was freed comes back at the same address
        for name in (f"before{number}", f"after{number}"):
            group["params"] = []
            training.model.clear()
            gc.collect()
            training.model[name] = nn.Linear(60, 4)
            training.model["anchor"] = anchor
            learns = not (frozen and name.startswith("before"))
            training.model[name].requires_grad_(learns)
            group["params"] = [*training.model.parameters()]
            first = f"{name}.weight"
            rest = ["anchor.weight"] if learns else ["anchor.weight", "anchor.bias"]
            assert training.step() == [first] * learns + rest


def test_a_late_layer_is_named_where_its_gradient_is_not_finite() -> None:
    training = Training(named=False, wraps=False)
    training.step()
    training.add("late")
    training.step(poison=True)
    assert json.loads(training.rows[0]["event"])["title"].endswith("first in late.weight")


def test_what_is_measured_no_more_is_not_kept_alive() -> None:
    training = Training(named=False, wraps=False)
    training.step()
    model = weakref.ref(training.model)
    training.probe.detach()
    training.items.clear()
    del training.model, training.optimizer
    gc.collect()
    assert model() is None
