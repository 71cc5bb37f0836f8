"""What a measurement of the noise leaves behind, and what it says of closures that do not serve."""

from __future__ import annotations

import copy
import math
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from htga.telemetry.closures.closure_error import ClosureError
from htga.telemetry.closures.measurements import NoiseSchedule
from htga.telemetry.closures.undisturbed import Undisturbed
from htga.telemetry.measure_schedule import EverySteps
from tests.htga.telemetry.closures.measured import Measured


class Network(nn.Module):
    """With statistics, dropout, and a layer that never runs."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(
            nn.Linear(6, 30), nn.BatchNorm1d(30), nn.Dropout(0.5), nn.Linear(30, 2)
        )
        self.idle = nn.Linear(3, 3)
        self.body[1].eval()

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.body(x)
        return found


def state_of(model: nn.Module) -> list[Any]:
    """All that a measurement must leave as it was, with the identity of the gradients."""
    return [
        *(p.detach().clone() for p in model.parameters()),
        *(b.clone() for b in model.buffers()),
        *(id(b) for b in model.buffers()),
        *(m.training for m in model.modules()),
        *(p.requires_grad for p in model.parameters()),
        *(id(p.grad) for p in model.parameters()),
        *(None if p.grad is None else p.grad.clone() for p in model.parameters()),
        torch.get_rng_state(),
        random.getstate(),
        *np.random.get_state()[1:],  # type: ignore[index]  # noqa: NPY002  the legacy state
    ]


def alike(one: list[Any], other: list[Any]) -> bool:
    return all(
        torch.equal(a, b)
        if isinstance(a, Tensor)
        else np.array_equal(a, b)
        if isinstance(a, np.ndarray)
        else a == b
        for a, b in zip(one, other, strict=True)
    )


def messy(model: nn.Module, raises: int = 0) -> Callable[[], Tensor]:
    """A closure that changes all that a closure may change, and ends at its `raises`-th call."""
    calls = iter(range(1, 1000))

    def closure() -> Tensor:
        model.train()
        model.body[0].weight.requires_grad_(True)  # type: ignore[index, union-attr]
        x = torch.randn(16, 6) + random.random() + np.random.rand()  # noqa: NPY002
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter.grad.zero_()
        loss: Tensor = model(x).square().mean()
        loss.backward()
        model.body[1].running_var = torch.ones(30)  # type: ignore[index, union-attr]
        if next(calls) == raises:
            raise KeyError("no more data")
        return loss

    return closure


@pytest.mark.parametrize("knows_model", [True, False])
@pytest.mark.parametrize("raises", [0, 1, 4])
def test_all_is_as_before_even_if_the_closure_raises(knows_model: bool, raises: int) -> None:
    model = Network()
    model(torch.randn(8, 6)).sum().backward()
    measured = Measured(model, knows_model=knows_model)
    if not knows_model:
        model.train()  # the mode before the closure is not known then
    before = state_of(model)
    closure = messy(model, raises)
    if raises:
        with pytest.raises(KeyError, match="no more data"):
            measured.noise(closure, 5)
    else:
        found = measured.noise(closure, 5)
        assert found.whole.noise_norm > 0
        # All but the layer that never runs; without the model they have no names.
        assert set(found.layers) == (
            {f"body.{n}.{part}" for n in (0, 1, 3) for part in ("weight", "bias")}
            if knows_model
            else {f"0.{n}" for n in range(6)}
        )
    assert alike(before, state_of(model))


def test_a_module_outside_of_the_model_is_left_as_it_was_too() -> None:
    model, critic = Network(), Network()
    critic(torch.randn(8, 6)).sum().backward()
    before = state_of(critic)

    def closure() -> Tensor:
        found: Tensor = critic(model(torch.randn(8, 6)).repeat(1, 3)).square().mean()
        return found

    assert Measured(model).noise(closure, 4).whole.noise_norm > 0
    assert alike(before, state_of(critic))


def test_a_gradient_in_borrowed_memory_is_put_back_into_it() -> None:
    bucket = torch.arange(6.0)
    parameter = nn.Parameter(torch.ones(6))
    parameter.grad = bucket[:]
    with Undisturbed([parameter]):
        bucket.zero_()
    assert torch.equal(bucket, torch.arange(6.0))
    assert parameter.grad is not None
    assert parameter.grad.data_ptr() == bucket.data_ptr()


def test_a_training_with_measurements_is_bit_for_bit_that_without() -> None:
    ends = []
    for measures in (True, False):
        model = Network().train()

        def closure(model: nn.Module = model) -> Tensor:
            found: Tensor = model(torch.randn(16, 6)).square().mean()
            return found

        schedule = NoiseSchedule(closure=closure if measures else None, every=2, batches=4)
        measured = Measured(model, noise=schedule)
        for _ in range(5):
            measured.optimizer.zero_grad()
            closure().backward()
            measured.optimizer.step()
        ends.append(state_of(model))
        steps = {row["step"] for row in measured.rows() if not row["layer"]}
        assert steps == ({0, 2, 4} if measures else set())
    numbers = [[x for x in end if not isinstance(x, int)] for end in ends]
    assert alike(*numbers)


def test_minibatches_that_the_global_generators_draw_differ_from_step_to_step() -> None:
    drawn: list[tuple[float, ...]] = []
    model = model_of(torch.ones(5))

    def closure() -> Any:
        drawn.append((random.random(), np.random.rand(), torch.rand(1).item()))  # noqa: NPY002
        return model.p0.sum()

    measured = Measured(model)
    before = torch.get_rng_state()
    for step in (1, 2, 2):
        measured.counter.steps = step
        measured.noise(closure, 2)
    first, second, again = drawn[:2], drawn[2:4], drawn[4:]
    assert second == again
    for one, other in zip(first, second, strict=True):
        assert all(a != b for a, b in zip(one, other, strict=True))
    assert first[0] != first[1]
    torch.manual_seed(5)  # as another rank
    measured.noise(closure, 2)
    assert drawn[6:] != again
    torch.set_rng_state(before)


def parameter_closure(parameter: Tensor, *, sign: float = 1.0) -> Callable[[], Tensor]:
    return lambda: (parameter * torch.randn_like(parameter)).sum().abs() * sign


def model_of(*parameters: Tensor) -> Any:
    model = nn.Module()
    for number, parameter in enumerate(parameters):
        model.register_parameter(f"p{number}", nn.Parameter(parameter))
    return model


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m.optimizer.step(),
        lambda m: m.model.p0.data.add_(1),
        lambda m: m.model.p0.data.neg_(),
        lambda m: torch.nn.init.zeros_(m.model.p0),
    ],
    ids=["a step", "uncounted", "of the same norm", "initialised"],
)
def test_a_closure_that_changes_the_weights_is_refused_by_name(
    change: Callable[[Any], Any],
) -> None:
    measured = Measured(model_of(torch.randn(20)))

    def closure() -> None:
        measured.model.get_parameter("p0").dot(torch.randn(20)).backward()
        change(measured)

    with pytest.raises(ClosureError, match=r"changed p0: take optimizer\.step\(\)"):
        measured.noise(closure, 5)
    assert measured.model.p0.grad is None
    assert not measured.rows()


@pytest.mark.parametrize(
    "returned", [None, 3.0, torch.ones(1), "loss"], ids=["none", "number", "tensor", "text"]
)
def test_a_closure_that_makes_no_gradient_is_refused(returned: Any) -> None:
    with pytest.raises(ClosureError, match="made no gradient"):
        Measured(model_of(torch.ones(5))).noise(lambda: returned)


@pytest.mark.parametrize(
    ("closure", "batches", "size", "message"),
    [
        (3, 16, None, "closure must be a function without arguments .* got 3"),
        (None, 16, None, "closure must be a function without arguments .* got None"),
        (float, 1, None, "batches must be an integer of at least 2, got 1"),
        (float, True, None, "batches must be an integer of at least 2, got True"),
        (float, 2.5, None, "batches must be an integer of at least 2, got 2.5"),
        (float, "many", None, "batches must be an integer of at least 2, got 'many'"),
        (float, 4, 0, "batch_size must be an integer of at least 1, got 0"),
        (float, 4, math.nan, "batch_size must be an integer of at least 1, got nan"),
    ],
)
def test_a_wrong_argument_is_named(closure: Any, batches: Any, size: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        Measured(model_of(torch.ones(5))).noise(closure, batches, size)


def test_without_any_noise_the_numbers_that_need_noise_are_missing() -> None:
    model = model_of(torch.ones(600))
    numbers = Measured(model).noise(lambda: model.p0.square().sum(), 16, 4).whole
    assert numbers.known == {"noise_norm": 0.0, "noise_scale": 0.0}


def test_minibatches_too_few_for_a_number_give_the_others() -> None:
    model = model_of(torch.ones(600))
    for batches in (2, 3, 4, 7):
        known = Measured(model).noise(parameter_closure(model.p0), batches, 1).whole.known
        assert {"noise_norm", "noise_hill", "noise_scale"} >= set(known) >= {"noise_norm"}
    known = Measured(model).noise(parameter_closure(model.p0), 8, 1).whole.known
    assert {"noise_alpha", "noise_stderr", "noise_slope", "noise_share"} <= set(known)


PARAMETERS = {
    "half": torch.randn(400).half(),
    "bfloat16": torch.randn(400).bfloat16(),
    "double": torch.randn(400).double(),
    "complex": torch.randn(400, dtype=torch.complex64),
    "transposed": torch.randn(20, 20).t(),
    "scalar": torch.randn(()),
    "empty": torch.randn(0),
}


@pytest.mark.parametrize("kind", PARAMETERS)
def test_parameters_of_every_kind_are_measured_beside_others(kind: str) -> None:
    model = model_of(PARAMETERS[kind].clone(), torch.randn(100), torch.randn(30))

    def closure() -> None:
        noise = torch.randn_like(model.p0)
        loss = (model.p0 * noise).abs().sum() + (model.p1 * torch.randn(100)).sum()
        loss.backward()

    found = Measured(model).noise(closure)
    known = found.whole.known
    assert known["noise_norm"] > 0
    assert all(math.isfinite(value) for value in known.values())
    assert set(found.layers) == {"p1"} | ({"p0"} if kind != "empty" else set())


def test_a_sparse_gradient_counts_as_the_dense_one_that_it_is() -> None:
    norms = []
    for sparse in (True, False):
        torch.manual_seed(0)
        model = nn.Embedding(50, 8, sparse=sparse)
        measured = Measured(model)
        torch.manual_seed(1)
        found = measured.noise(lambda m=model: m(torch.randint(50, (9,))).sum(), 16, 9)
        norms.append(found.whole.known)
    assert norms[0] == pytest.approx(norms[1])


def test_a_parameter_that_only_some_minibatches_reach_counts_as_zero_in_the_others() -> None:
    model = model_of(torch.ones(100), torch.ones(80))
    reach = iter([0, 1] * 8)

    def closure() -> Tensor:
        found: Tensor = (model.p0 * torch.randn(100)).sum() + next(reach) * model.p1.sum()
        if not found.requires_grad:
            raise AssertionError
        return found

    def without() -> Tensor:
        found: Tensor = (model.p0 * torch.randn(100)).sum()
        return found + model.p1.sum() if next(reach) else found

    one = Measured(model).noise(closure).layers["p1"]
    reach = iter([0, 1] * 8)
    other = Measured(model).noise(without).layers["p1"]
    assert one == other
    assert one.noise_norm == pytest.approx((80 / 2) ** 0.5)


def test_ten_thousand_layers_are_measured_and_the_largest_have_numbers_of_their_own() -> None:
    model = model_of(*(torch.ones(2 + number % 3) for number in range(10_000)))
    parameters = list(model.parameters())

    def closure() -> None:
        for parameter in parameters:
            parameter.grad = torch.randn_like(parameter)

    found = Measured(model).noise(closure, 4)
    assert len(found.layers) == 50
    assert found.whole.noise_norm == pytest.approx(30_000**0.5, rel=0.05)


def test_rows_say_the_same_as_the_result_at_the_last_step() -> None:
    model = model_of(torch.ones(600))
    measured = Measured(model)
    measured.counter.steps = 7
    found = measured.noise(parameter_closure(model.p0))
    whole, layer = measured.rows()
    assert {key: whole[key] for key in ("step", "layer", "rank")} == {
        "step": 6,
        "layer": "",
        "rank": 0,
    }
    assert found.whole.known.items() <= whole.items()
    assert layer["layer"] == "p0"
    assert found.layers["p0"].known.items() <= layer.items()


def test_sharded_parameters_are_not_measured_and_the_closure_is_not_called() -> None:
    def closure() -> None:
        raise AssertionError

    assert Measured(model_of(torch.ones(5)), sharded=True).noise(closure) is None


def test_a_scheduled_closure_that_fails_ends_no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HTGA_STRICT")
    model = model_of(torch.ones(5))

    def closure() -> None:
        raise OSError("the disk is gone")

    measured = Measured(model, noise=NoiseSchedule(closure=closure, every=1))
    for _ in range(3):
        model.p0.grad = torch.ones(5)
        measured.optimizer.step()
        assert torch.equal(model.p0.grad, torch.ones(5))
    assert measured.counter.steps == 3


def test_a_failure_of_our_own_calls_the_closure_as_often_and_does_not_reach_the_caller(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("HTGA_STRICT")
    model = model_of(torch.ones(5))
    calls = []

    def closure() -> Tensor:
        calls.append(1)
        found: Tensor = model.p0.sum()
        return found

    measured = Measured(model)
    monkeypatch.setattr(measured.measurements, "_places", None)
    assert measured.noise(closure, 6) is None
    assert len(calls) == 6


def test_the_hook_of_a_copied_optimizer_measures_nothing() -> None:
    model = model_of(torch.ones(5))
    calls = []

    def closure() -> Any:
        calls.append(1)
        return model.p0.sum()

    measured = Measured(model, noise=NoiseSchedule(closure=closure, every=1))
    for hook in measured.optimizer._optimizer_step_post_hooks.values():
        if isinstance(hook, EverySteps):
            copy.deepcopy(hook)(measured.optimizer, (), {})
    assert not calls
    model.p0.grad = torch.ones(5)
    measured.optimizer.step()
    assert calls
