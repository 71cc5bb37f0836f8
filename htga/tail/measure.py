"""The measurement of one step's gradient, for telemetry and the optimizer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from htga.tail.estimate import TailStatus
from htga.tail.estimators.hill import hill_of
from htga.tail.estimators.moment import moment_of
from htga.tail.estimators.sample import sketch_for, tail_room
from htga.tail.flat_tensors import Tensors, flatten, pieces
from htga.tail.histogram.counting import float32, uses_triton
from htga.tail.histogram.log_histogram import LogHistogram
from htga.tail.histogram.sketch import BITS, Sketch
from htga.tail.norm import norm
from htga.tail.systematic import fair_stride, systematic
from htga.tail.tail_size import K, check_k

Estimator = Literal["hill", "moment"]

ENOUGH = 0.96
"""Share of the wanted number of non-zero entries below which a larger sample is drawn."""

ROOM = 1.05
"""How much larger than it seems to need be, for the share of zeros differs between samples."""

MAX_GROWTH = 4
"""How many times as large a sample may become because most of its entries are zeros."""

_fair_stride = lru_cache(fair_stride)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """The measurement of one gradient; every number is a 0-d tensor on its device.

    If the gradient was sampled, `n`, `n_zero` and `histogram` count the entries of the sample, and
    the tail is the sample's; `grad_norm` and `n_nonfinite` are those of all entries.

    Attributes:
        alpha_hat: Tail index, float64.
        alpha_stderr: Its standard error, float64.
        xi: Extreme-value index by the moment estimator, float64; not positive if the tail is light.
        k: Size of the tail, int64.
        n: Number of finite non-zero entries, int64.
        grad_norm: l2 norm over all entries, float64; NaN or infinite if an entry is.
        n_zero: Number of exact zeros, int64.
        n_nonfinite: Number of NaNs and infinities, int64.
        status: `TailStatus` of alpha_hat, int8.
        histogram: Counts of the magnitudes.
    """

    alpha_hat: Tensor
    alpha_stderr: Tensor
    xi: Tensor
    k: Tensor
    n: Tensor
    grad_norm: Tensor
    n_zero: Tensor
    n_nonfinite: Tensor
    status: Tensor
    histogram: LogHistogram


def measure(
    tensors: Tensors,
    *,
    k: K = "auto",
    bits: int = 3,
    estimator: Estimator = "hill",
    sample: int | None = None,
    seed: int = 0,
) -> Measurement:
    """Measure gradients as one sample, without waiting for the device.

    Args:
        tensors: One gradient, or those of all parameters.
        k: Tail size, see `hill`.
        bits: Resolution of the histogram.
        estimator: The estimator of alpha_hat: "hill" on the order statistics, or "moment". xi is
            always the moment estimator's, the only one that can detect a light tail.
        sample: Measure at least about this many entries instead of all; see `Measurement`. On a
            CPU that many are not zero, if four times as many entries hold them.
        seed: Number of the sample. With the step's number, consecutive steps visit each entry in
            turn.

    Raises:
        TypeError: `tensors` is neither a tensor nor a sequence of them.
        ValueError: An argument is out of range, or a tensor is not floating point.
    """
    if sample is None:
        check_k(k)
        return _measurement(sketch_for(pieces(tensors), k, bits), k, estimator)
    return draw_sample(tensors, sample, seed).measure(k=k, bits=bits, estimator=estimator)


def measure_each(
    tensors: Sequence[Tensor], alone: Sequence[int]
) -> tuple[Measurement, list[Measurement]]:
    """Measure gradients as one sample, and some of them as samples of their own, as `measure` does.

    A CPU reads every entry once for both: a tensor's sketch keeps as many of the largest entries as
    the tail of all may need, and the sketches merge.

    Args:
        tensors: The gradients.
        alone: Which of them are samples of their own, too.

    Raises:
        ValueError: A tensor is not floating point.
    """
    parts = pieces(tensors)
    if not alone or not parts[0].is_cpu:
        return measure(tensors), [measure(tensors[place]) for place in alone]
    size = tail_room(sum(part.numel() for part in parts), "auto")
    own = [Sketch.of([parts[i]], min(size, max(parts[i].numel(), 1))) for i in alone]
    rest = [part for place, part in enumerate(parts) if place not in set(alone)]
    all_sketches = [*own, Sketch.of(rest, size)] if rest else own
    whole = _measurement(Sketch.together(all_sketches, size), "auto", "hill")
    return whole, [_measurement(sketch, "auto", "hill") for sketch in own]


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnSample:
    """A sample of a gradient's entries, with the numbers that need all entries.

    It is a copy, so it may be measured later and on another thread, while the gradient changes.

    Attributes:
        entries: The sample, flat.
        grad_norm, n_nonfinite: As in `Measurement`, over all entries.
    """

    entries: Tensor
    grad_norm: Tensor
    n_nonfinite: Tensor

    def measure(
        self, *, k: K = "auto", bits: int = 3, estimator: Estimator = "hill"
    ) -> Measurement:
        """Measure as `htga.tail.measure` with the same `sample` and `seed`.

        Raises:
            ValueError: `k` or `bits` is out of range.
        """
        check_k(k)
        seen = _measurement(sketch_for([self.entries], k, bits), k, estimator)
        return replace(
            seen,
            grad_norm=self.grad_norm,
            n_nonfinite=self.n_nonfinite,
            status=seen.status.masked_fill(self.n_nonfinite > 0, TailStatus.NONFINITE),
        )


def draw_sample(tensors: Tensors, sample: int, seed: int) -> DrawnSample:
    """Draw a systematic sample of at least about `sample` entries, to be measured later.

    Zeros tell nothing of a tail. Where a CPU finds too many of them, it draws a larger sample.

    Args:
        tensors, sample, seed: As in `measure`.

    Raises:
        TypeError: `tensors` is neither a tensor nor a sequence of them.
        ValueError: `sample` is not positive, or a tensor is not floating point.
    """
    if sample < 1:
        raise ValueError(f"sample must be a number of entries of at least 1, got {sample}")
    parts = pieces(tensors)
    total = sum(part.numel() for part in parts)
    shapes = tuple(x.shape for x in ([tensors] if isinstance(tensors, Tensor) else tensors))
    grad_norm, n_nonfinite = _of_all(parts)
    entries = _drawn(parts, shapes, sample, seed)
    if parts and entries.is_cpu and entries.numel() < total:
        found = int(np.count_nonzero(float32(entries).numpy()))
        if found < sample * ENOUGH:
            growth = min(ROOM * entries.numel() / max(found, 1), MAX_GROWTH)
            entries = _drawn(parts, shapes, int(sample * growth), seed)
    return DrawnSample(entries=entries, grad_norm=grad_norm, n_nonfinite=n_nonfinite)


def _drawn(parts: list[Tensor], shapes: tuple[torch.Size, ...], sample: int, seed: int) -> Tensor:
    total = sum(part.numel() for part in parts)
    stride = _fair_stride(max(1, total // sample), shapes)
    return systematic(parts, stride, seed) if parts else flatten([])


def _measurement(sketch: Sketch, k: K, estimator: Estimator) -> Measurement:
    if uses_triton(sketch.squares.device) and sketch.histogram.bits <= BITS:
        from htga.tail.estimators.triton_estimate import Estimates  # noqa: PLC0415 (maybe absent)

        by_kernels = Estimates.of(sketch, k, estimator)
        alpha_hat, alpha_stderr, xi = by_kernels.numbers.unbind()
        size, n, n_zero, n_nonfinite = by_kernels.counts.unbind()
        status = by_kernels.status[0]
    else:
        top = sketch.order_statistics(k)
        by_moment = moment_of(top)
        estimate = hill_of(top) if estimator == "hill" else by_moment
        alpha_hat, alpha_stderr, xi = estimate.alpha, estimate.stderr, by_moment.xi
        size, n, n_zero, n_nonfinite = estimate.k, estimate.n, estimate.n_zero, estimate.n_nonfinite
        status = estimate.status
    return Measurement(
        alpha_hat=alpha_hat,
        alpha_stderr=alpha_stderr,
        xi=xi,
        k=size,
        n=n,
        grad_norm=sketch.squares.sqrt(),
        n_zero=n_zero,
        n_nonfinite=n_nonfinite,
        status=status,
        histogram=sketch.histogram,
    )


def _of_all(parts: list[Tensor]) -> tuple[Tensor, Tensor]:
    """The norm, and the number of NaNs and infinities, of all entries."""
    if not parts or parts[0].device.type == "cpu":
        total = norm(parts)
        if total.isfinite():  # As in almost all steps; the others are counted.
            return total, torch.zeros((), dtype=torch.int64, device="cpu")
        return total, torch.stack([(~part.isfinite()).sum() for part in parts]).sum()
    flat = flatten(parts)
    total = torch.linalg.vector_norm(flat, dtype=torch.float64)
    return total, flat.numel() - torch.count_nonzero(flat.isfinite())
