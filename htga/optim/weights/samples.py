"""Samples: all parameters together, those of a group, or each by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import reduce
from typing import Any

import torch
from torch import Tensor
from torch.distributed import ProcessGroup

from htga.optim.settings import Scope
from htga.optim.weights.flat_parameter import FlatParameter, all_reduce
from htga.optim.weights.reweight import multiply
from htga.tail.device_constants import constants
from htga.tail.histogram.counting import uses_triton
from htga.tail.histogram.sketch import Sketch, counts_and_squares
from htga.tail.norm import sums_of_squares
from htga_client.statistics.hill import MIN_SAMPLE


@dataclass(frozen=True, slots=True)
class CoShardedParts:
    """Parts that lie on one device and are sharded alike, so that one pass measures them.

    Attributes:
        parts: At least one.
        groups: Process groups over which all of them are sharded.
        scales: Factors on the parts as the sample sees them, float32 [P]; None for none.
    """

    parts: list[FlatParameter]
    groups: tuple[ProcessGroup, ...]
    scales: Tensor | None = None

    @property
    def entries(self) -> list[Tensor]:
        """The flat tensors on this process."""
        return [part.entries for part in self.parts]

    @property
    def device(self) -> torch.device:
        """Device of the entries."""
        return self.parts[0].entries.device

    def sketch(self, size: int) -> Sketch:
        """The sketch over all processes, with the `size` largest magnitudes."""
        seen = Sketch.of(self.entries, size, scales=self.scales)
        return reduce(Sketch.all_reduce, self.groups, seen)

    def squares(self) -> Tensor:
        """Sum of the squares of each unscaled part, float64 [P], over all processes."""
        if uses_triton(self.device):  # Whose kernel joins the parts, and counts them, too.
            return self.sum(counts_and_squares(self.entries)[1])
        return self.sum(sums_of_squares(self.entries))

    def sum(self, local: Tensor) -> Tensor:
        """The sum over all processes, in place."""
        return all_reduce(local, self.groups)


@dataclass(frozen=True, slots=True)
class Sample:
    """Entries that are ranked among each other.

    Attributes:
        buckets: The parts by device and sharding, at least one.
        squares: Sum of the squares of the unscaled entries, float64, 0-d; None if the sample does
            not scale them, so that its sketch has the sum.
    """

    buckets: list[CoShardedParts]
    squares: Tensor | None = None

    @property
    def d(self) -> int:
        """Number of entries on all processes."""
        return sum(part.numel for bucket in self.buckets for part in bucket.parts)

    @property
    def device(self) -> torch.device:
        """Device of the sample's numbers."""
        return self.buckets[0].device

    @property
    def parts(self) -> list[FlatParameter]:
        """All parts."""
        return [part for bucket in self.buckets for part in bucket.parts]

    def sketch(self, size: int) -> Sketch:
        """The sketch over all processes, with the `size` largest magnitudes."""
        return reduce(Sketch.merge, (bucket.sketch(size) for bucket in self.buckets))

    def total(self, find: Callable[[CoShardedParts], Tensor]) -> Tensor:
        """The sum of `find` over all buckets and processes."""
        found = [bucket.sum(find(bucket)).to(self.device) for bucket in self.buckets]
        return found[0] if len(found) == 1 else torch.stack(found).sum(0)

    def finish(self, factor: Tensor, *, unless: Tensor) -> None:
        """Multiply all entries and write them back, without waiting for a device.

        Args:
            factor: float64, 0-d.
            unless: Whether to write zeros instead, bool, 0-d.
        """
        for bucket in self.buckets:
            device = bucket.device
            multiply(bucket.entries, factor.to(device), unless=unless.to(device))
            for part in bucket.parts:
                part.store()


def host_decides(samples: Iterable[Sample]) -> bool:
    """Whether the host may read numbers: only if all are on a CPU, where that costs no wait."""
    return all(bucket.device.type == "cpu" for sample in samples for bucket in sample.buckets)


def split(param_groups: list[dict[str, Any]], scope: Scope) -> list[list[Tensor]]:
    """The parameters of each sample, whether they have a gradient or not.

    With scope "tensor", those of a group that are too small for an estimate of their own share
    one sample. Groups that are added later only add samples at the end.
    """
    groups = [list(group["params"]) for group in param_groups]
    if scope == "group":
        return groups
    if scope == "tensor":
        samples: list[list[Tensor]] = []
        for group in groups:
            samples += [[parameter] for parameter in group if parameter.numel() >= MIN_SAMPLE]
            small = [parameter for parameter in group if parameter.numel() < MIN_SAMPLE]
            samples += [small] if small else []
        return samples
    return [[parameter for group in groups for parameter in group]]


def sample_of(parts: list[FlatParameter], scope: Scope) -> Sample:
    """Group the parts of one sample, and compute their scales if the scope needs them."""
    alike: dict[tuple[Any, ...], list[FlatParameter]] = {}
    for part in parts:
        key = (part.entries.device, *(id(group) for group in part.groups))
        alike.setdefault(key, []).append(part)
    buckets = [CoShardedParts(same, same[0].groups) for same in alike.values()]
    if scope != "rms_normalised":
        return Sample(buckets)
    seen = [bucket.squares() for bucket in buckets]
    home = buckets[0].device
    return Sample(
        [
            CoShardedParts(bucket.parts, bucket.groups, _reciprocal_rms(bucket, squares))
            for bucket, squares in zip(buckets, seen, strict=True)
        ],
        reduce(torch.add, (squares.sum().to(home) for squares in seen)),
    )


def _reciprocal_rms(bucket: CoShardedParts, squares: Tensor) -> Tensor:
    sizes = constants(tuple(float(part.numel) for part in bucket.parts), squares.device)
    if uses_triton(squares.device):
        from htga.optim.weights import triton_reweight  # noqa: PLC0415 (maybe absent)

        return triton_reweight.reciprocal_rms(sizes, squares)
    return reciprocal_rms(sizes, squares)


def reciprocal_rms(sizes: Tensor, squares: Tensor) -> Tensor:
    """1 over the root mean square of each part, float32 [P]; 1 if that is not finite."""
    scales = (sizes / squares).sqrt().float()
    return scales.where(scales.isfinite() & (scales > 0), 1)
