"""What an update costs, counted in operations, and that nothing waits for a device."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import SGD, AdamW, Optimizer
from torch.utils._python_dispatch import TorchDispatchMode

from htga.telemetry.probe import Probe

VIEWS = {"detach", "view", "split_with_sizes", "slice", "permute", "select", "alias", "unbind"}
"""Operations that launch nothing."""


class Operations(TorchDispatchMode):
    """Counts those that reach a device."""

    counts: Counter[str]

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        name = func.overloadpacket.__name__
        if name not in VIEWS:
            self.counts[name] += 1
        return func(*args, **(kwargs or {}))


@pytest.fixture(autouse=True)
def strict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTGA_STRICT", "1")


def operations(
    make: Callable[[Any], Optimizer], n_tensors: int, dtype: torch.dtype, **options: Any
) -> int:
    """Operations of a step on tensors without numbers, where to wait for one is an error."""
    own = [nn.Parameter(torch.zeros(50, 2, device="meta", dtype=dtype)) for _ in range(n_tensors)]
    optimizer = make(own)
    probe = Probe(optimizer, lambda _: None, **options)
    for parameter in own:
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    counted = Operations()  # type: ignore[no-untyped-call] # torch's own has no types
    counted.counts = Counter()
    with counted:
        optimizer.step()
    probe.detach()
    return counted.counts.total()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("make", [lambda p: SGD(p, lr=0.1, momentum=0.9), AdamW])
def test_an_update_is_measured_without_waiting_by_as_many_operations_for_any_number_of_tensors(
    make: Any, dtype: torch.dtype
) -> None:
    added = [
        operations(make, n, dtype, updates_every=1) - operations(make, n, dtype, updates_every=0)
        for n in (3, 300)
    ]
    assert added[0] == added[1] <= 50


def test_the_tails_of_update_and_weights_are_measured_without_waiting_too() -> None:
    options: dict[str, Any] = {"updates_every": 1, "tails": ("update", "weight")}
    assert operations(AdamW, 3, torch.float32, layers=["*"], layers_every=1, **options)


def test_a_model_of_ten_thousand_layers_is_copied_and_compared_as_a_few_blocks() -> None:
    own = [nn.Parameter(torch.full((3,), 1.0)) for _ in range(10_000)]
    optimizer = SGD(own, lr=0.5)
    rows: list[Any] = []
    Probe(optimizer, lambda make: rows.extend(make()), layers=["*"], layers_top=2)
    for parameter in own:
        parameter.grad = torch.ones(3)
    optimizer.step()
    whole, *layers = rows
    assert whole["update_norm"] == pytest.approx(0.5 * 30_000**0.5)
    assert whole["update_cosine"] == pytest.approx(1)
    assert [row["update_norm"] for row in layers] == [pytest.approx(0.5 * 3**0.5)] * 2
