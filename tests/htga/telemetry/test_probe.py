from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import SGD, Adam, Adamax, Optimizer

import htga
from htga.tail import LogHistogram, hill, measure
from htga.telemetry.layers import names_of, plain_name
from htga.telemetry.probe import MAX_WAITING, SAMPLE, Probe
from htga.telemetry.row_builder import SMOOTHING
from htga_client.statistics.hill import hill_at
from htga_client.wire import Estimator, Scope

SIZE = 4000
GRADIENT = torch.linspace(-3, 5, SIZE)
CONTROL = ("control_alpha", "control_alpha_bar", "control_stderr")


class Watched:
    """An optimizer of one parameter whose gradient is always `GRADIENT`, and its rows."""

    def __init__(self, make: Callable[[list[nn.Parameter]], Optimizer], **options: Any) -> None:
        self.parameter = nn.Parameter(torch.ones(SIZE))
        self.optimizer = make([self.parameter])
        self.items: list[Callable[[], Sequence[Mapping[str, Any]]]] = []
        self.probe = Probe(self.optimizer, self.items.append, **options)

    def loss(self, scale: float = 1.0) -> torch.Tensor:
        self.optimizer.zero_grad()
        return scale * (self.parameter * GRADIENT).sum()

    def step(self, scale: float = 1.0) -> None:
        self.loss(scale).backward()
        self.optimizer.step()

    def rows(self) -> list[Mapping[str, Any]]:
        return [row for item in self.items for row in item()]


@pytest.fixture(autouse=True)
def strict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTGA_STRICT", "1")


OPTIMIZERS: dict[str, Callable[[list[nn.Parameter]], Optimizer]] = {
    "sgd": lambda p: SGD(p, lr=0.1),
    # These three write into p.grad while they step.
    "nesterov": lambda p: SGD(p, lr=0.1, momentum=0.9, nesterov=True, foreach=True),
    "maximize": lambda p: SGD(p, lr=0.1, weight_decay=0.5, maximize=True, foreach=True),
    "adamax": lambda p: Adamax(p, foreach=True),
    "fused": lambda p: Adam(p, fused=True),
}


def is_measured(row: Mapping[str, Any]) -> bool:
    expected = measure(GRADIENT)
    assert row["alpha_hat"] == pytest.approx(expected.alpha_hat.item(), rel=1e-6)
    assert row["grad_norm"] == pytest.approx(expected.grad_norm.item(), rel=1e-6)
    assert (row["k"], row["n"]) == (expected.k.item(), expected.n.item())
    return LogHistogram.from_bytes(row["histogram"]) == expected.histogram


@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_the_gradient_is_seen_that_backward_left(
    make: Callable[[list[nn.Parameter]], Optimizer],
) -> None:
    watched = Watched(make)
    for _ in range(3):
        watched.step()
    rows = watched.rows()
    assert [row["step"] for row in rows] == [0, 1, 2]
    assert all(is_measured(row) for row in rows)


@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)
@pytest.mark.parametrize("by_name", [True, False])
def test_with_a_closure_the_gradient_is_this_steps(
    make: Callable[[list[nn.Parameter]], Optimizer], by_name: bool
) -> None:
    watched = Watched(make)

    def closure() -> float:
        loss = watched.loss()
        loss.backward()
        return loss.item()

    for _ in range(2):
        step: Any = watched.optimizer.step
        loss = step(closure=closure) if by_name else step(closure)
        assert isinstance(loss, float)
    assert all(is_measured(row) for row in watched.rows())
    assert len(watched.items) == 2


def test_lbfgs_is_measured_where_its_step_begins() -> None:
    watched = Watched(lambda p: torch.optim.LBFGS(p, lr=0.1, max_iter=5))
    scales = iter([1.0, *[7.0] * 50])

    def closure() -> float:
        loss = watched.loss(next(scales))
        loss.backward()
        return loss.item()

    watched.optimizer.step(closure)
    (row,) = watched.rows()
    assert is_measured(row)


@pytest.mark.parametrize("fused", [True, False])
def test_under_a_grad_scaler_the_unscaled_gradient_is_seen(fused: bool) -> None:
    watched = Watched(lambda p: Adam(p, fused=fused))
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    for _ in range(2):
        scaler.scale(watched.loss()).backward()
        scaler.step(watched.optimizer)
        scaler.update()
    assert all(is_measured(row) for row in watched.rows())
    assert len(watched.items) == 2


def test_a_fused_step_with_an_infinity_sends_no_histogram_of_scaled_values() -> None:
    watched = Watched(lambda p: Adam(p, fused=True))
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    scaler.scale(watched.loss(float("inf"))).backward()
    scaler.step(watched.optimizer)
    (row,) = watched.rows()
    assert row["n_nonfinite"] == SIZE
    assert "histogram" not in row


@pytest.mark.parametrize(
    ("arguments", "scope"),
    [
        ({}, Scope.RMS_NORMALISED),
        ({"scope": "global", "estimator": "moment"}, Scope.GLOBAL),
        ({"scope": "tensor"}, Scope.TENSOR),
        ({"preset": "seed"}, Scope.GLOBAL),
        ({"apply": "update"}, Scope.UPDATE_RMS_NORMALISED),
    ],
)
def test_the_raw_gradient_of_htga_is_measured_as_any_other_and_what_it_controls_beside_it(
    arguments: dict[str, Any], scope: Scope
) -> None:
    watched = Watched(lambda p: htga.HTGA(SGD(p, lr=0.1), **arguments))
    plain = Watched(OPTIMIZERS["sgd"])
    optimizer: Any = watched.optimizer
    for _ in range(3):
        for each in (watched, plain):
            each.step()
        tail, row = optimizer.tail, watched.items[-1]()[0]
        for name in (*CONTROL, "gamma", "beta", "target_alpha", "update_alpha", "norm_ratio"):
            assert row[name] == pytest.approx(getattr(tail, name).item(), nan_ok=True), name
        assert row["control_scope"] == scope
        assert is_measured(row)
        expected = plain.items[-1]()[0]
        own = {"overhead_ms", "time", "update_norm", "update_ratio", "update_cosine"}
        assert {name: row[name] for name in expected if name not in own} == {
            name: value for name, value in expected.items() if name not in own
        }


def test_alpha_bar_of_a_plain_optimizer_is_smoothed_in_its_reciprocal() -> None:
    watched = Watched(OPTIMIZERS["sgd"])
    generator = torch.Generator().manual_seed(0)
    inverse = None
    for _ in range(5):
        watched.parameter.grad = torch.randn(SIZE, generator=generator) ** 3
        watched.optimizer.step()
        row = watched.items[-1]()[0]
        new = 1 / row["alpha_hat"]
        inverse = new if inverse is None else SMOOTHING * inverse + (1 - SMOOTHING) * new
        assert row["alpha_bar"] == pytest.approx(1 / inverse)


def test_the_variance_of_the_norm_is_over_the_steps() -> None:
    watched = Watched(OPTIMIZERS["sgd"])
    for scale in (1.0, 2.0, 3.0):
        watched.step(scale)
    norm = GRADIENT.double().norm().item()
    got = [row["grad_norm_var"] for row in watched.rows()]
    assert got == [None, pytest.approx(0.5 * norm**2), pytest.approx(norm**2)]


def test_every_third_step_is_measured_and_all_are_counted() -> None:
    watched = Watched(OPTIMIZERS["sgd"], every=3, histograms=False)
    for _ in range(7):
        watched.step()
    rows = watched.rows()
    assert [row["step"] for row in rows] == [0, 3, 6]
    assert not any("histogram" in row for row in rows)
    assert watched.probe.steps == 7


def test_a_large_gradient_is_sampled_anew_at_each_step_and_the_row_says_so() -> None:
    watched = Watched(OPTIMIZERS["sgd"], sample=500)
    for _ in range(2):
        watched.step()
    first, second = watched.rows()
    for step, row in enumerate((first, second)):
        expected = measure(GRADIENT, sample=500, seed=step)
        assert row["n"] == expected.n.item() < SIZE / 2
        assert row["alpha_hat"] == pytest.approx(expected.alpha_hat.item())
        assert row["grad_norm"] == pytest.approx(GRADIENT.double().norm().item(), rel=1e-6)
    assert first["histogram"] != second["histogram"]


def test_a_row_says_what_its_index_is_of() -> None:
    for sample, n in ((500, None), (None, SIZE)):
        watched = Watched(lambda p: htga.HTGA(SGD(p, lr=0.1)), sample=sample)
        watched.step()
        (row,) = watched.rows()
        assert row["n_total"] == SIZE
        assert (row["scope"], row["estimator"]) == (Scope.GLOBAL, Estimator.HILL)
        assert row["k"] == max(round(row["n"] / 100), 50)
        assert row["n"] == n or n is None


def test_what_was_drawn_is_measured_as_it_was_however_late() -> None:
    watched = Watched(OPTIMIZERS["sgd"], sample=500)
    for _ in range(MAX_WAITING + 5):  # more than may wait: the rest is measured at once
        watched.step()
        (parameter,) = watched.optimizer.param_groups[0]["params"]
        parameter.grad.zero_()
    for step, row in enumerate(watched.rows()):
        expected = measure(GRADIENT, sample=500, seed=step).alpha_hat.item()
        assert row["alpha_hat"] == pytest.approx(expected)


def test_no_sample_means_all_entries() -> None:
    watched = Watched(OPTIMIZERS["sgd"], sample=None)
    watched.step()
    (row,) = watched.rows()
    assert is_measured(row)


def test_a_step_without_gradients_is_counted_and_makes_no_row() -> None:
    for make in (OPTIMIZERS["sgd"], lambda p: htga.HTGA(SGD(p, lr=0.1))):
        watched = Watched(make)
        watched.step()
        watched.optimizer.zero_grad()
        watched.optimizer.step()
        watched.step()
        assert [row["step"] for row in watched.rows()] == [0, 2]


@pytest.mark.parametrize("sample", [None, SAMPLE])
def test_a_row_says_what_other_tail_sizes_give_and_what_measuring_cost(sample: int | None) -> None:
    watched = Watched(OPTIMIZERS["sgd"], sample=sample)
    watched.step()
    (row,) = watched.rows()

    def expected(k: int) -> float:
        if sample is not None:
            return hill(GRADIENT, k).alpha.item()
        counts = measure(GRADIENT).histogram.counts.numpy()  # all that is kept of a whole gradient
        return hill_at(counts, 3, k).alpha

    assert row["alpha_quarter"] == pytest.approx(expected(row["k"] // 4))
    assert row["alpha_fourfold"] == pytest.approx(expected(row["k"] * 4))
    assert row["status"] == measure(GRADIENT).status.item()
    assert row["overhead_ms"] > 0


class Layered:
    """A model of three layers, one of them without a gradient, and the rows of its optimizer."""

    def __init__(self, make: Callable[[Any], Optimizer] | None = None, **options: Any) -> None:
        self.model = nn.ModuleDict({
            "small": nn.Linear(600, 2), "large": nn.Linear(600, 9), "idle": nn.Linear(600, 1),
        })  # fmt: skip
        base = SGD(self.model.parameters(), lr=0.1)
        self.optimizer = base if make is None else make(base)
        self.rows: list[Mapping[str, Any]] = []
        self.probe = Probe(
            self.optimizer,
            lambda item: self.rows.extend(item()),
            model=nn.DataParallel(self.model),
            **options,
        )

    def step(self, broken: str = "", *, closure: bool = False) -> None:
        generator = torch.Generator().manual_seed(self.probe.steps)
        for name, parameter in self.model.named_parameters():
            if not name.startswith("idle"):
                parameter.grad = torch.randn(parameter.shape, generator=generator) ** 3
            if name == broken:
                assert parameter.grad is not None
                parameter.grad.view(-1)[1] = torch.nan
        self.before = {
            name: parameter.grad.clone()
            for name, parameter in self.model.named_parameters()
            if parameter.grad is not None
        }
        if closure:
            self.optimizer.step(lambda: 0.0)
        else:
            self.optimizer.step()


def test_layers_are_measured_one_by_one_under_the_names_that_the_user_gave_them() -> None:
    layered = Layered(layers=["*.weight"], layers_every=2)
    for _ in range(3):
        layered.step()
        gradient = layered.model.get_parameter("large.weight").grad
        assert gradient is not None
        expected = measure(gradient)
    assert [(row["step"], row["layer"]) for row in layered.rows] == [
        (0, ""), (0, "small.weight"), (0, "large.weight"), (1, ""),
        (2, ""), (2, "small.weight"), (2, "large.weight"),
    ]  # fmt: skip
    row = layered.rows[-1]
    assert row["alpha_hat"] == pytest.approx(expected.alpha_hat.item())
    assert row["grad_norm"] == pytest.approx(expected.grad_norm.item())
    assert LogHistogram.from_bytes(row["histogram"]) == expected.histogram
    assert "grad_norm_var" not in row


@pytest.mark.parametrize("closure", [False, True])
@pytest.mark.parametrize("apply", ["grad", "update"])
@pytest.mark.parametrize("scope", ["global", "tensor"])
def test_the_layers_of_htga_are_shown_before_they_are_amplified(
    scope: Any, apply: Any, closure: bool
) -> None:
    layered = Layered(
        lambda base: htga.HTGA(base, target_alpha=1.5, scope=scope, apply=apply),
        layers=["*"],
        layers_every=2,
    )
    for _ in range(3):
        layered.step(closure=closure)
    for step in (0, 2):
        seen = {row["layer"] for row in layered.rows if row["step"] == step}
        assert seen == {"", *layered.before}
    assert [row["layer"] for row in layered.rows if row["step"] == 1] == [""]
    for row in layered.rows:
        if row["step"] == 2 and row["layer"]:
            expected = measure(layered.before[row["layer"]])
            assert row["n"] == expected.n.item()
            assert row["grad_norm"] == pytest.approx(expected.grad_norm.item())
            assert LogHistogram.from_bytes(row["histogram"]) == expected.histogram


def test_what_htga_controls_tensor_by_tensor_is_shown_in_the_rows_of_the_layers() -> None:
    layered = Layered(
        lambda base: htga.HTGA(base, target_alpha=1.5, scope="tensor", beta_bounds=(-0.5, 1.0)),
        layers=["*.weight"],
    )
    layered.step()
    (large,) = [row for row in layered.rows if row["layer"] == "large.weight"]
    assert large["target_alpha"] == 1.5
    assert large["update_alpha"] == pytest.approx(1.5, rel=1e-6)
    assert large["control_alpha"] == pytest.approx(large["alpha_hat"])
    assert (large["scope"], large["control_scope"]) == (Scope.TENSOR, Scope.TENSOR)


def test_of_too_many_layers_the_largest_are_measured() -> None:
    layered = Layered(layers=["*"], layers_top=2)
    layered.step()
    assert [row["layer"] for row in layered.rows] == ["", "small.weight", "large.weight"]


def test_a_layer_is_named_as_the_optimizer_was_told_or_by_its_place() -> None:
    model = nn.Linear(3, 2)
    named = names_of(SGD(model.named_parameters(), lr=0.1), None)
    assert list(named.values()) == ["weight", "bias"]
    assert list(names_of(SGD(model.parameters(), lr=0.1), None).values()) == ["0.0", "0.1"]
    assert plain_name("module._orig_mod.a._fsdp_wrapped_module.b") == "a.b"


@pytest.mark.parametrize("make", [None, htga.HTGA])
def test_the_first_layer_that_is_not_finite_is_named_once(
    make: Callable[[Any], Optimizer] | None,
) -> None:
    layered = Layered(make)
    for broken in ("", "large.weight", "small.bias", "", "large.bias"):
        layered.step(broken)
    events = {row["step"]: json.loads(row["event"]) for row in layered.rows if "event" in row}
    assert list(events) == [1, 4]
    assert events[1]["title"] == "gradient not finite, first in large.weight"
    assert events[1]["text"] == "1 entries are NaN or infinite, in 1 of 4 layers"
    assert events[4]["title"] == "gradient not finite, first in large.bias"
    assert [row["n_nonfinite"] for row in layered.rows] == [0, 1, 1, 0, 1]


def test_after_detach_nothing_is_measured() -> None:
    watched = Watched(OPTIMIZERS["sgd"])
    watched.step()
    watched.probe.detach()
    watched.probe.detach()
    watched.step()
    assert len(watched.items) == 1


def test_a_failure_is_logged_once_and_training_goes_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("HTGA_STRICT")
    parameter = nn.Parameter(torch.ones(4))
    optimizer = SGD([parameter], lr=0.1)

    def broken(_: object) -> None:
        raise RuntimeError("no more memory")

    Probe(optimizer, broken)
    for _ in range(3):
        parameter.grad = torch.ones(4)
        optimizer.step()
    assert torch.allclose(parameter, torch.full((4,), 0.7))
    said = "could not be measured; training goes on"
    (record,) = [r for r in caplog.records if said in r.message]
    assert record.exc_info


def test_a_failure_is_raised_where_tests_ask_for_it() -> None:
    parameter = nn.Parameter(torch.ones(4))
    optimizer = SGD([parameter], lr=0.1)

    def broken(_: object) -> None:
        raise RuntimeError("no more memory")

    Probe(optimizer, broken)
    parameter.grad = torch.ones(4)
    with pytest.raises(RuntimeError, match="no more memory"):
        optimizer.step()
