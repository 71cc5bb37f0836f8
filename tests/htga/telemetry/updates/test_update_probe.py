from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.optim import LBFGS, SGD, Adam, AdamW, Optimizer, RMSprop, SparseAdam

import htga
from htga.tail import measure
from tests.htga.telemetry.updates.twin import Lion, OldStyle, Twin, wide

SHAPES: list[tuple[int, ...]] = [(40, 30), (300,), (8, 3, 3, 3), (), (0, 4), (2,)]

OPTIMIZERS: dict[str, Callable[[Any], Optimizer]] = {
    "sgd": lambda p: SGD(p, lr=0.1),
    "sgd maximize": lambda p: SGD(p, lr=0.1, weight_decay=0.1, maximize=True, foreach=True),
    "momentum": lambda p: SGD(p, lr=0.1, momentum=0.9),
    "nesterov": lambda p: SGD(p, lr=0.1, momentum=0.9, nesterov=True, foreach=True),
    "fused sgd": lambda p: SGD(p, lr=0.1, momentum=0.9, nesterov=True, fused=True),
    "rmsprop": lambda p: RMSprop(p, lr=0.01, momentum=0.5),
    "adamw": lambda p: AdamW(p, lr=0.01, weight_decay=0.5),
    "adamw foreach": lambda p: AdamW(p, lr=0.01, foreach=True, maximize=True),
    "adamw fused": lambda p: AdamW(p, lr=0.01, fused=True, amsgrad=True),
    "lion": Lion,
    "htga": lambda p: htga.HTGA(SGD(p, lr=0.1, momentum=0.9)),
    "htga amplifies": lambda p: htga.HTGA(SGD(p, lr=0.1), preset="seed"),
    "htga of updates": lambda p: htga.HTGA(AdamW(p, lr=0.01), apply="update"),
}


@pytest.fixture(autouse=True)
def strict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTGA_STRICT", "1")


def parameters(shapes: list[tuple[int, ...]] = SHAPES, **options: Any) -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(1)
    return [nn.Parameter(torch.randn(s, generator=generator).to(**options)) for s in shapes]


def gradients(of: list[nn.Parameter], count: int) -> Iterator[list[Tensor]]:
    generator = torch.Generator().manual_seed(2)
    for _ in range(count):
        yield [(torch.randn(p.shape, generator=generator) ** 3).to(p.dtype) for p in of]


@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_the_update_of_every_optimizer_is_what_copies_of_all_the_weights_say(
    make: Callable[[Any], Optimizer],
) -> None:
    own = parameters()
    twin = Twin(own, make(own))
    for each in gradients(own, 4):
        twin.step(each)
    twin.check()


def test_the_update_is_what_was_subtracted_so_plain_sgd_goes_along_the_gradient() -> None:
    for maximize in (False, True):
        own = parameters()
        twin = Twin(own, SGD(own, lr=0.1, maximize=maximize))
        twin.step(next(gradients(own, 1)))
        (row,) = twin.rows
        assert row["update_cosine"] == pytest.approx(-1 if maximize else 1, abs=1e-6)
        assert row["lr"] == 0.1


def test_momentum_is_compared_as_it_was_before_the_gradient_joined_it() -> None:
    (own,) = parameters([(500,)])
    twin = Twin([own], SGD([own], lr=0.1, momentum=0.9))
    first = torch.randn(500)
    for gradient in (first, first, -first):
        twin.step([gradient])
    found = [row.get("momentum_cosine") for row in twin.rows]
    assert found == [None, pytest.approx(1), pytest.approx(-1)]


@settings(max_examples=20, deadline=None)
@given(
    shapes=st.lists(st.lists(st.integers(0, 7), max_size=3).map(tuple), min_size=1, max_size=6),
    dtypes=st.lists(
        st.sampled_from([torch.float32, torch.float64, torch.bfloat16, torch.float16]),
        min_size=6,
        max_size=6,
    ),
    missing=st.sets(st.integers(0, 5)),
)
def test_whatever_the_shapes_and_types_only_what_has_a_gradient_counts(
    shapes: list[Any], dtypes: list[torch.dtype], missing: set[int]
) -> None:
    pairs = zip(shapes, dtypes, strict=False)
    own = [nn.Parameter(torch.randn(shape).to(dtype)) for shape, dtype in pairs]
    twin = Twin(own, SGD(own, lr=0.5, momentum=0.9))
    for each in gradients(own, 2):
        some = [None if n in missing else gradient for n, gradient in enumerate(each)]
        if any(gradient is not None for gradient in some):
            twin.step(some)
            expected = twin.expected[-1]
            if not expected["weight_norm"]:
                expected["update_ratio"] = None
    twin.check()


def test_entries_are_paired_whatever_their_order_in_memory() -> None:
    own = [nn.Parameter(torch.randn(6, 5, 4, 3).to(memory_format=torch.channels_last))]
    own.append(nn.Parameter(torch.randn(30, 20).t()))
    twin = Twin(own, AdamW(own, lr=0.1))
    for each in gradients(own, 2):
        twin.step([gradient.contiguous() for gradient in each])
    twin.check()


def test_complex_parameters_count_as_pairs_of_real_numbers() -> None:
    own = [nn.Parameter(torch.randn(300, dtype=torch.complex64)), nn.Parameter(torch.randn(200))]
    twin = Twin(own, SGD(own, lr=0.1, momentum=0.9))
    for _ in range(2):
        twin.step([torch.randn(300, dtype=torch.complex64), torch.randn(200)])
    twin.check()
    row = twin.rows[-1]
    assert row["n_total"] == 800
    assert row["update_norm"] > 0


def test_a_sparse_gradient_is_compared_as_the_dense_one_that_it_stands_for() -> None:
    table = nn.Embedding(50, 8, sparse=True)
    (own,) = table.parameters()
    twin = Twin([own], SparseAdam([own], lr=0.1))
    for rows in ([1, 1, 7], [7, 30, 2]):
        twin.optimizer.zero_grad()
        (table(torch.tensor(rows)) ** 2).sum().backward()
        assert own.grad is not None
        twin.observe([own.grad.clone()], twin.optimizer.step)
    twin.check()


def test_a_parameter_that_is_given_twice_counts_once() -> None:
    own = parameters([(300,)])
    with pytest.warns(UserWarning, match="duplicate"):
        optimizer = SGD([{"params": own * 2}], lr=0.1)
    twin = Twin(own, optimizer)
    twin.step(next(gradients(own, 1)))
    twin.check()


def test_accumulated_gradients_are_one_step() -> None:
    (own,) = parameters([(400,)])
    twin = Twin([own], AdamW([own], lr=0.1))
    for _ in range(2):
        twin.optimizer.zero_grad()
        for scale in (1.0, 3.0):
            (scale * own**3).sum().backward()
        assert own.grad is not None
        twin.observe([own.grad.clone()], twin.optimizer.step)
    twin.check()


@pytest.mark.parametrize("set_to_none", [True, False])
@pytest.mark.parametrize("kind", [SGD, LBFGS])
def test_with_a_closure_the_update_is_that_of_the_whole_step(kind: Any, set_to_none: bool) -> None:
    (own,) = parameters([(200,)])
    optimizer: Any = kind([own], lr=0.05)
    twin = Twin([own], optimizer)
    begun: list[Tensor] = []

    def closure() -> Tensor:
        twin.optimizer.zero_grad(set_to_none=set_to_none)
        loss = (own**4).sum()
        loss.backward()
        assert own.grad is not None
        begun.append(own.grad.clone())
        return loss

    for _ in range(3):
        # What the first evaluation will find, and what is measured as this step's gradient.
        gradient = 4 * own.detach() ** 3
        twin.observe([gradient], lambda: optimizer.step(closure))
    twin.check()
    assert len(begun) >= 3


@pytest.mark.parametrize("fused", [True, False])
def test_under_a_grad_scaler_a_skipped_step_has_no_update(fused: bool) -> None:
    (own,) = parameters([(400,)])
    twin = Twin([own], Adam([own], lr=0.1, fused=fused))
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)

    def take(factor: float) -> None:
        twin.optimizer.zero_grad()
        scaler.scale(factor * (own**3).sum()).backward()
        gradient = 3 * own.detach() ** 2

        def step() -> None:
            scaler.step(twin.optimizer)
            scaler.update()

        twin.observe([gradient], step)

    for factor in (1.0, float("inf"), 1.0):
        take(factor)
    if fused:
        first, skipped, last = twin.rows
        assert (skipped["update_norm"], skipped["update_ratio"]) == (0, 0)
        assert "update_cosine" not in skipped
        assert "momentum_cosine" not in skipped
        assert skipped["weight_norm"] == pytest.approx(twin.expected[1]["weight_norm"])
        twin.rows = [first, last]
    del twin.expected[1]  # without `fused`, the optimizer's step is not called at all
    twin.check()


def test_an_optimizer_that_writes_to_gradients_unseen_is_found_out_and_loses_one_angle() -> None:
    (own,) = parameters([(400,)])
    twin = Twin([own], OldStyle([own]))
    for each in gradients([own], 4):
        twin.step(each)
    twin.expected[1]["update_cosine"] = None
    twin.check()


def test_half_precision_says_what_it_applies_and_how_much_was_rounded_away() -> None:
    own = parameters([(3000,), (40,)], dtype=torch.bfloat16)
    twin = Twin(own, SGD(own, lr=1e-3))
    before = [p.detach().clone() for p in own]
    twin.step([torch.ones(3000).bfloat16(), torch.ones(40).bfloat16()])
    twin.check()
    still = sum(int((a == b).sum()) for a, b in zip(own, before, strict=True))
    (row,) = twin.rows
    assert 0.1 < still / 3040 < 1
    assert row["metrics"] == {"update_still": pytest.approx(still / 3040)}
    assert row["update_norm"] != pytest.approx(1e-3 * 3040**0.5, rel=1e-2)


def test_a_diverging_update_is_told_as_it_is() -> None:
    (own,) = parameters([(400,)])
    twin = Twin([own], SGD([own], lr=0.1))
    gradient = torch.ones(400)
    gradient[3] = torch.inf
    twin.step([gradient])
    (row,) = twin.rows
    assert row["update_norm"] == float("inf")
    assert "update_cosine" not in row


def test_weights_of_zero_have_no_ratio() -> None:
    own = nn.Parameter(torch.zeros(100))
    twin = Twin([own], SGD([own], lr=0.1))
    twin.step([torch.ones(100)])
    (row,) = twin.rows
    assert (row["weight_norm"], row["update_norm"]) == (0, pytest.approx(1))
    assert "update_ratio" not in row


def test_layers_have_their_own_update_and_rate() -> None:
    model = nn.Sequential(nn.Linear(50, 20), nn.Linear(20, 10))
    groups = [
        {"params": list(model[0].parameters()), "lr": 0.5},
        {"params": list(model[1].parameters()), "lr": torch.tensor(0.25)},
    ]
    own = list(model.parameters())
    optimizer = SGD(groups, momentum=0.9)
    twin = Twin(
        own, optimizer, model=model, layers=["*.weight"], layers_every=3, updates_every=2,
        tails=("update", "weight"),
    )  # fmt: skip
    before: dict[str, Tensor] = {}
    for each in gradients(own, 5):
        before = {name: wide(p) for name, p in model.named_parameters()}
        twin.step(each)
        if twin.probe.steps == 4:  # the step of number 3, whose layers are measured
            kept = {name: before[name] - wide(p) for name, p in model.named_parameters()}
            weights = before
    for row in twin.rows:
        measured = row["step"] % 2 == 0 or row["step"] == 3
        assert ("update_norm" in row) == measured
        assert row["lr"] == (0.25 if row["layer"] == "1.weight" else 0.5)
        assert row.get("metrics", {}) == ({} if row["layer"] else {"lr/1": 0.25})
    for name in ("0.weight", "1.weight"):
        (row,) = [row for row in twin.rows if (row["step"], row["layer"]) == (3, name)]
        assert row["update_norm"] == pytest.approx(kept[name].norm().item(), rel=1e-6)
        assert row["weight_norm"] == pytest.approx(weights[name].norm().item(), rel=1e-6)
        assert 0 < row["update_cosine"] < 1
        assert "momentum_cosine" in row


def test_tails_of_update_and_weights_are_those_of_the_same_sketch() -> None:
    for sample in (None, 2**16):  # all entries, and a sample that holds all of them
        own = parameters([(100, 100)])
        twin = Twin(own, SGD(own, lr=0.1), tails=("update", "weight"), sample=sample)
        weights = own[0].detach().clone()
        twin.step(next(gradients(own, 1)))
        update = measure(weights - own[0].detach())
        (row,) = twin.rows
        for name, seen in (("update", update), ("weight", measure(weights))):
            assert row[f"{name}_alpha"] == pytest.approx(seen.alpha_hat.item(), rel=1e-6)
            assert row[f"{name}_stderr"] == pytest.approx(seen.alpha_stderr.item(), rel=1e-6)


def test_the_measured_tail_of_an_update_goes_before_the_one_that_htga_reports() -> None:
    own = parameters([(100, 100)])
    make = OPTIMIZERS["htga amplifies"]
    twin = Twin(own, make(own), tails=("update",))
    before = own[0].detach().clone()
    twin.step(next(gradients(own, 1)))
    (row,) = twin.rows
    expected = measure(before - own[0].detach())
    assert row["update_alpha"] == pytest.approx(expected.alpha_hat.item())
    assert row["update_stderr"] == pytest.approx(expected.alpha_stderr.item())


def test_a_tail_that_cannot_be_told_is_null() -> None:
    own = nn.Parameter(torch.zeros(500))
    twin = Twin([own], SGD([own], lr=0.0), tails=("update", "weight"))
    twin.step([torch.ones(500)])
    (row,) = twin.rows
    assert [row[f"{name}_alpha"] for name in ("update", "weight")] == [None, None]


def test_no_updates_are_measured_where_none_are_wanted() -> None:
    own = parameters()
    twin = Twin(own, SGD(own, lr=0.1), updates_every=0)
    twin.step(next(gradients(own, 1)))
    (row,) = twin.rows
    assert row["lr"] == 0.1
    assert not [name for name in row if name.startswith(("update_", "weight_", "momentum_"))]


class FailsOnce(Optimizer):
    """Raises in its first step."""

    has_failed = False

    @torch.no_grad()
    def step(self, _: Any = None) -> Any:
        if not self.has_failed:
            self.has_failed = True
            raise RuntimeError("no")
        for p in self.param_groups[0]["params"]:
            p.sub_(self.param_groups[0]["lr"] * p.grad)


def test_a_step_that_fails_leaves_nothing_to_the_next_one() -> None:
    own = parameters([(200,)])
    twin = Twin(own, FailsOnce(own, {"lr": 0.1}), updates_every=2)
    (gradient,) = next(gradients(own, 1))
    with pytest.raises(RuntimeError, match="no"):
        twin.step([gradient])
    for _ in range(3):
        twin.step([gradient])
    assert ["update_norm" in row for row in twin.rows] == [False, True, False]
