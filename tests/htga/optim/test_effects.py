"""With which effect HTGA wraps which optimizer, and what it says of that."""

import math
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.optim import SGD, Adam, AdamW, Optimizer, RAdam, RMSprop, Rprop

from docs.effects import HEAD, effects
from htga.optim import HTGA, NSGD, BiClip
from htga.optim.response import UNKNOWN, response_of
from htga.tail import measure
from htga.telemetry.row_builder import LayerMeasurement
from tests.htga.distributions import student_t
from tests.htga.optim.third_party import LARS, Lion
from tests.htga.training import update_alpha

DOCUMENT = Path(__file__).parents[3] / "docs" / "optimizer.md"


def stepped(make: Callable[[Any], Optimizer], **settings: Any) -> HTGA:
    parameter = torch.ones(1200, dtype=torch.float64)
    optimizer = HTGA(make([parameter]), **({"preset": "amplify", "scope": "global"} | settings))
    for seed in range(2):
        parameter.grad = student_t(1.5, 1200, seed=seed)
        optimizer.step()
    return optimizer


def cells(row: str) -> list[str]:
    return [cell.strip() for cell in row.strip().strip("|").split("|")]


def close(one: str, other: str) -> bool:
    try:
        return math.isclose(float(one), float(other), abs_tol=0.015)
    except ValueError:
        return one == other


def test_the_documented_table_is_what_is_measured_and_the_tail_index_that_of_the_step() -> None:
    lines = DOCUMENT.read_text().splitlines()
    start = lines.index(HEAD.splitlines()[0])
    measured = effects()
    documented = lines[start + 2 : start + 2 + len(measured)]
    for line, row in zip(documented, measured, strict=True):
        assert all(map(close, cells(line), cells(str(row)))), (line, str(row))
        # With momentum the gradient that is told of and others before it make the step.
        if row.auto == "update" or row.name == "SGD":
            assert cells(str(row))[-2] == cells(str(row))[-1]


@pytest.mark.parametrize("base", [Rprop, Lion, Adam, RMSprop, NSGD, RAdam, BiClip, LARS])
@pytest.mark.filterwarnings("ignore:HTGA has no effect")
def test_a_tail_index_of_what_was_not_applied_is_none(base: Any) -> None:
    optimizer = stepped(lambda p: base(p, lr=0.01), apply="grad")
    assert optimizer.tail is not None
    assert optimizer.tail.update_alpha is None
    assert [tail.update_alpha for tail in optimizer.tails.values()] == [None]
    sent = LayerMeasurement("", measure([]), 0, optimizer.tail).numbers
    assert "update_alpha" not in sent
    assert "control_alpha" in sent


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_a_base_that_is_linear_applies_the_amplified_gradient(momentum: float) -> None:
    optimizer = stepped(lambda p: SGD(p, lr=0.01, momentum=momentum, weight_decay=0.1))
    assert optimizer.settings.apply == "grad"
    assert optimizer.tail is not None
    assert float(update_alpha(optimizer.tail)) == pytest.approx(1.5, rel=1e-5)
    assert "update_alpha" in LayerMeasurement("", measure([]), 0, optimizer.tail).numbers


SAYS: dict[str, tuple[Callable[[Any], Optimizer], dict[str, Any], str]] = {
    "signs": (Rprop, {"apply": "grad"}, "Rprop depends on the signs .* pass apply='update'"),
    "length": (
        AdamW,
        {"apply": "grad", "actuator": "gamma"},
        "AdamW does not depend on the length .* pass apply='update'",
    ),
    "one size": (Lion, {}, "Lion are of one size, .*; wrap another optimizer, such as AdamW"),
    "one size, by update": (Lion, {"apply": "update"}, "Lion are of one size"),
    "one size, by grad": (Lion, {"preset": "seed"}, "Lion are of one size"),
}


@pytest.mark.parametrize(("base", "settings", "says"), SAYS.values(), ids=SAYS)
def test_where_it_can_have_no_effect_it_says_so_once_with_a_remedy(
    base: Any, settings: Any, says: str
) -> None:
    with pytest.warns(UserWarning, match=f"^HTGA has no effect: .*{says}") as seen:
        stepped(lambda p: base(p, lr=1e-3), **settings)
    assert len(seen) == 1
    assert seen[0].filename == __file__


SILENT: list[tuple[Any, dict[str, Any]]] = [
    (Rprop, {}),
    (AdamW, {}),
    (AdamW, {"apply": "grad"}),
    (AdamW, {"apply": "update", "actuator": "gamma"}),
    (SGD, {"apply": "grad", "actuator": "gamma"}),
    (Lion, {"actuator": "none"}),
    (Lion, {"actuator": "none", "fixed_gamma": 2.0, "apply": "update"}),
]


@pytest.mark.parametrize(("base", "settings"), SILENT)
def test_where_it_has_an_effect_it_says_nothing(base: Any, settings: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        stepped(lambda p: base(p, lr=1e-3), **settings)


class Failing(Optimizer):
    """Cannot be tried."""

    def __init__(self, params: Any) -> None:
        super().__init__(params, {})

    def __deepcopy__(self, memo: Any) -> None:
        raise RuntimeError

    def step(self, *_: Any) -> None:  # type: ignore[override]
        """Knows its own parameters only."""
        for p in self.param_groups[0]["params"]:
            if p.numel() != 1200:
                raise RuntimeError("another size")
            p.data.sub_(p.grad)


def test_what_cannot_be_tried_is_taken_for_what_it_does() -> None:
    parameter = torch.zeros(1200)
    optimizer = HTGA(Failing([parameter]))
    assert optimizer.response == UNKNOWN
    assert optimizer.settings.apply == "update"


@pytest.mark.parametrize("n_dims", [0, 1, 2, 4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_trial_is_of_tensors_like_the_parameters_and_leaves_them_alone(
    n_dims: int, dtype: torch.dtype
) -> None:
    parameter = torch.zeros([3] * n_dims, dtype=dtype)
    base = SGD([parameter], lr=0.1, momentum=0.9)
    assert response_of(base).linear
    assert not base.state
    assert parameter.grad is None
    assert not parameter.any()
    assert base.param_groups[0]["params"] == [parameter]
    assert not response_of(AdamW([parameter])).linear


def test_of_a_model_without_numbers_the_base_is_tried_with_some() -> None:
    assert HTGA(SGD([torch.zeros(5, device="meta")], lr=0.1)).settings.apply == "grad"
    assert HTGA(AdamW([torch.zeros(5, device="meta")])).settings.apply == "update"
