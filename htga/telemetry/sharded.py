"""Measurement of a gradient of which every process holds a part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from htga.tail import DrawnSample, LogHistogram, Measurement
from htga.telemetry.ranks import own_part, total


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardedMeasurement:
    """The measurement of one gradient over all processes; 0-d tensors as in `Measurement`.

    The tail is that of the merged histogram, which adds bit for bit. There is no xi, because the
    moment estimator would need the order of all entries.
    """

    grad_norm: Tensor
    n_nonfinite: Tensor
    histogram: LogHistogram


AnyMeasurement = Measurement | ShardedMeasurement | DrawnSample
"""A measurement of a sample, or a sample that is still to be measured."""


def measure_sharded(gradients: Sequence[Tensor]) -> ShardedMeasurement:
    """Measure together: every process must call it at the same steps, and gets the same result.

    It takes two collective operations, of 16 KiB and of one number. A process that fails to measure
    its own part still takes part in them; otherwise the others would wait for ever.
    """
    device = gradients[0].device
    parts: list[Tensor] = []
    try:
        parts = [own_part(gradient.detach()) for gradient in gradients]
    finally:
        measured = measure_own_parts(parts, device)
    return measured


def measure_own_parts(parts: Sequence[Tensor], device: torch.device) -> ShardedMeasurement:
    """The same of tensors that hold what this process counts."""
    histogram = LogHistogram(device=device)
    squares = torch.zeros((), dtype=torch.float64, device=device)
    try:
        histogram.update(parts)
        for part in parts:
            squares += torch.linalg.vector_norm(part, dtype=torch.float64).square()
    finally:
        histogram.all_reduce()
        total(squares)
    return ShardedMeasurement(
        grad_norm=squares.sqrt(), n_nonfinite=histogram.n_nonfinite.clone(), histogram=histogram
    )
