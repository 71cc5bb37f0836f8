"""Trains in every way a gradient can come about, and compares what telemetry saw of it.

    torchrun --nproc-per-node 2 train_matrix.py        # DDP and FSDP2
    python train_matrix.py                             # one process

Rank 0 prints one line of JSON for each case: its name, and what was wrong, if anything. Under
torchrun some cases come again as controls: there the probe is told that gradients are whole that
are not.
"""

from __future__ import annotations

import contextlib
import copy
import itertools
import json
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel
from torch.optim import SGD, Adam, Optimizer

from htga.tail import LogHistogram, measure
from htga.telemetry.probe import Probe
from htga.telemetry.ranks import Ranks, is_sharded
from htga_client.statistics.hill import hill_at
from htga_client.wire.row_encoder import Row
from tests.support.rank_exit import exit_together

STEPS, SCALE, MAX_NORM = 3, 1024.0, 0.05
PRECISIONS = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


def batch(step: int, micro: int, rank: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1000 * step + 10 * micro + rank)
    x = torch.randn(16, 48, generator=generator)
    return x, torch.randn(16, 12, generator=generator) ** 3


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(48, 64), nn.Tanh(), nn.Linear(64, 12))


def loss_of(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    return nn.functional.mse_loss(model(x).float(), y)


def full(gradient: Tensor) -> Tensor:
    whole: Any = gradient
    result: Tensor = whole.full_tensor() if hasattr(gradient, "full_tensor") else gradient
    return result.detach().clone()


class Case:
    """One way of training, and what it should have shown."""

    def __init__(
        self,
        wrap: str,
        precision: str,
        *,
        accumulate: bool,
        clip: bool,
        compiled: bool,
        control: bool = False,
    ) -> None:
        self.ranks = Ranks.current()
        self.plain = network()
        self.model = network()
        if wrap == "fsdp2":
            fully_shard(self.model)
        wrapped: nn.Module = DistributedDataParallel(self.model) if wrap == "ddp" else self.model
        compiler: Any = torch.compile
        self.run = compiler(wrapped, backend="aot_eager") if compiled else wrapped
        self.dtype = PRECISIONS[precision]
        self.micros = 2 if accumulate else 1
        self.clip = clip
        self.scaler = torch.amp.GradScaler("cpu", init_scale=SCALE) if precision == "fp16" else None
        fused = precision == "fp16"
        parameters = list(self.model.parameters())
        self.optimizer: Optimizer = (
            Adam(parameters, lr=0.01, fused=True) if fused else SGD(parameters, lr=0.1)
        )
        self.items: list[Callable[[], Sequence[Row]]] = []
        self.probe = Probe(
            self.optimizer,
            self.items.append if self.ranks.rank == 0 else None,
            sharded=is_sharded(self.optimizer) and not control,
            sample=None,
            updates_every=1,
            tails=("update", "weight"),
        )
        self.wrong: list[str] = []

    def train(self) -> list[str]:
        for step in range(STEPS):
            expected = self.reference(step)
            before = self.weights()
            applied = self.step(step)
            after = self.weights()
            if self.ranks.rank == 0:
                (row,) = self.items[-1]()
                self.compare(step, row, applied, expected)
                self.compare_update(step, row, applied, before, after)
            self.follow()
        return self.wrong

    def step(self, step: int) -> list[Tensor]:
        """A step of the training; the gradient that it applied."""
        self.optimizer.zero_grad()
        scale: Callable[[Tensor], Tensor] = self.scaler.scale if self.scaler else lambda loss: loss
        autocast = torch.autocast("cpu", self.dtype) if self.dtype else contextlib.nullcontext()
        for micro in range(self.micros):
            with autocast:
                loss = loss_of(self.run, *batch(step, micro, self.ranks.rank))
            scale(loss).backward()
        parameters = list(self.model.parameters())
        scaled_by = self.scaler.get_scale() if self.scaler else 1.0
        if self.clip:
            if self.scaler:
                self.scaler.unscale_(self.optimizer)
                scaled_by = 1.0
            nn.utils.clip_grad_norm_(parameters, MAX_NORM)
        applied = [full(p.grad) / scaled_by for p in parameters if p.grad is not None]
        if self.scaler:
            self.scaler.step(self.optimizer)
            self.scaler.update()
        else:
            self.optimizer.step()
        return applied

    def reference(self, step: int) -> list[Tensor]:
        """The gradient by plain PyTorch: one process, single precision, nothing wrapped."""
        self.plain.zero_grad()
        for micro, rank in itertools.product(range(self.micros), range(self.ranks.world)):
            (loss_of(self.plain, *batch(step, micro, rank)) / self.ranks.world).backward()
        if self.clip:
            nn.utils.clip_grad_norm_(self.plain.parameters(), MAX_NORM)
        return [full(p.grad) for p in self.plain.parameters() if p.grad is not None]

    def follow(self) -> None:
        """Take over the parameters, so that the reference does not drift."""
        for mine, its in zip(self.plain.parameters(), self.model.parameters(), strict=True):
            mine.data.copy_(full(its.data))

    def compare(
        self, step: int, row: Row, applied: Sequence[Tensor], reference: Sequence[Tensor]
    ) -> None:
        seen = measure(applied)
        merged = is_sharded(self.optimizer)
        by_counts = hill_at(seen.histogram.counts.numpy(), seen.histogram.bits, int(seen.k))
        tail = by_counts.alpha if merged else seen.alpha_hat.item()
        self.expect(step, "histogram", LogHistogram.from_bytes(row["histogram"]) == seen.histogram)
        self.near(step, "grad_norm", row["grad_norm"], seen.grad_norm.item(), 1e-6)
        self.near(step, "alpha_hat", row["alpha_hat"], tail, 1e-6)
        counted = row["n"] + row["n_zero"] + row["n_nonfinite"]
        self.expect(step, "count", counted == sum(g.numel() for g in applied))
        norm = torch.cat([g.reshape(-1) for g in reference]).double().norm().item()
        self.near(step, "reference", row["grad_norm"], norm, 1e-4 if self.dtype is None else 0.05)

    def weights(self) -> list[Tensor]:
        return [full(p.data) for p in self.model.parameters()]

    def compare_update(
        self,
        step: int,
        row: Row,
        applied: Sequence[Tensor],
        before: Sequence[Tensor],
        after: Sequence[Tensor],
    ) -> None:
        gradient, old, new = (
            torch.cat([x.reshape(-1) for x in of]).double() for of in (applied, before, after)
        )
        update = old - new
        cosine = update.dot(gradient) / (update.norm() * gradient.norm())
        self.near(step, "update_norm", row["update_norm"], update.norm().item(), 1e-6)
        self.near(step, "weight_norm", row["weight_norm"], old.norm().item(), 1e-6)
        self.near(step, "update_cosine", row["update_cosine"], cosine.item(), 1e-6)
        for name, entries in (("update", update.float()), ("weight", old.float())):
            seen = measure(entries)
            counted = hill_at(seen.histogram.counts.numpy(), seen.histogram.bits, int(seen.k))
            wanted = counted.alpha if is_sharded(self.optimizer) else seen.alpha_hat.item()
            found = row[f"{name}_alpha"]
            if found is None:  # all entries alike, as in Adam's first step
                self.expect(step, f"no {name}_alpha, not {wanted}", math.isnan(wanted))
            else:
                self.near(step, f"{name}_alpha", found, wanted, 1e-6)

    def near(self, step: int, what: str, got: float, wanted: float, within: float) -> None:
        self.expect(step, f"{what} {got} not {wanted}", abs(got - wanted) <= within * wanted)

    def expect(self, step: int, what: str, holds: bool) -> None:
        if not holds:
            self.wrong.append(f"step {step}: {what}")


def cases(world: int) -> Iterator[dict[str, Any]]:
    for wrap in ("ddp", "fsdp2") if world > 1 else ("none",):
        for precision, accumulate, clip, compiled in itertools.product(
            PRECISIONS, (False, True), (False, True), (False, True)
        ):
            yield {
                "wrap": wrap,
                "precision": precision,
                "accumulate": accumulate,
                "clip": clip,
                "compiled": compiled,
            }
    for wrap in ("ddp", "fsdp2") if world > 1 else ():
        for accumulate, clip in itertools.product((False, True), (False, True)):
            yield {
                "wrap": wrap,
                "precision": "fp32",
                "accumulate": accumulate,
                "clip": clip,
                "compiled": False,
                "control": True,
            }


def name_of(case: Mapping[str, Any]) -> str:
    return " ".join(str(v) if isinstance(v, str) else k for k, v in case.items() if v)


def main() -> None:
    torch.set_num_threads(1)
    if "RANK" in os.environ:
        distributed.init_process_group("gloo")
    ranks = Ranks.current()
    for case in cases(ranks.world):
        torch.compiler.reset()
        wrong = Case(**copy.copy(case)).train()
        if ranks.rank == 0:
            print(json.dumps({"case": name_of(case), "wrong": wrong}), flush=True)
    if "RANK" in os.environ:
        exit_together()


if __name__ == "__main__":
    main()
