"""What is one sample: all parameters together, those of a group, or each by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import reduce
from typing import Any

import torch
from torch import Tensor
from torch.distributed import ProcessGroup

from htga.optim.settings import Scope
from htga.optim.weights.flat_parameter import Part, all_reduce
from htga.optim.weights.reweight import multiply
from htga.tail import LogHistogram
from htga.tail.device_constants import constants
from htga.tail.histogram.counting import uses_triton
from htga.tail.histogram.sketch import BITS, Sketch, counts_and_squares
from htga.tail.tail_size import MIN_N


@dataclass(frozen=True, slots=True)
class Bucket:
    """Parts that lie on one device and are sharded alike, so that they are looked at together.

    Attributes:
        parts: At least one.
        groups: Over which all of them are sharded.
        scales: Factors on the parts as the sample sees them, float32 [P]; None for none.
    """

    parts: list[Part]
    groups: tuple[ProcessGroup, ...]
    scales: Tensor | None = None

    @property
    def entries(self) -> list[Tensor]:
        """Flat tensors, on this process."""
        return [part.entries for part in self.parts]

    @property
    def device(self) -> torch.device:
        """Where its entries are."""
        return self.parts[0].entries.device

    def sketch(self, size: int) -> Sketch:
        """Look at it, on all processes, keeping the `size` largest magnitudes."""
        seen = Sketch.of(self.entries, size, scales=self.scales)
        return reduce(Sketch.all_reduce, self.groups, seen)

    def counts_and_squares(self) -> tuple[LogHistogram, Tensor]:
        """Of the entries as they are, and of each part, float64 [P]; on all processes."""
        counts, squares = counts_and_squares(self.entries)
        return reduce(LogHistogram.all_reduce, self.groups, counts), self.sum(squares)

    def sum(self, local: Tensor) -> Tensor:
        """The sum of what each process has found in its shards, in place."""
        return all_reduce(local, self.groups)


@dataclass(frozen=True, slots=True)
class Sample:
    """Entries that are ranked among each other.

    Attributes:
        buckets: What it consists of, at least one.
        squares: Sum of the squares of the entries as they are, float64, 0-d, where the sample sees
            them scaled; None where its sketch will tell.
        histogram: Counts of the entries as they are, likewise.
    """

    buckets: list[Bucket]
    squares: Tensor | None = None
    histogram: LogHistogram | None = None

    @property
    def d(self) -> int:
        """Number of entries, on all processes."""
        return sum(part.numel for bucket in self.buckets for part in bucket.parts)

    @property
    def device(self) -> torch.device:
        """Where its numbers are kept."""
        return self.buckets[0].device

    @property
    def parts(self) -> list[Part]:
        """All parts."""
        return [part for bucket in self.buckets for part in bucket.parts]

    def sketch(self, size: int) -> Sketch:
        """Look at it, on all processes, keeping the `size` largest magnitudes."""
        return reduce(Sketch.merge, (bucket.sketch(size) for bucket in self.buckets))

    def total(self, find: Callable[[Bucket], Tensor]) -> Tensor:
        """Add what is found in each bucket, over all of them and all processes."""
        found = [bucket.sum(find(bucket)).to(self.device) for bucket in self.buckets]
        return found[0] if len(found) == 1 else torch.stack(found).sum(0)

    def finish(self, factor: Tensor, *, unless: Tensor) -> None:
        """Multiply all entries, and bring them to where they came from, waiting for no device.

        Args:
            factor: float64, 0-d.
            unless: Whether they are to be zero instead, bool, 0-d.
        """
        for bucket in self.buckets:
            device = bucket.device
            multiply(bucket.entries, factor.to(device), unless=unless.to(device))
            for part in bucket.parts:
                part.store()


def host_decides(samples: Iterable[Sample]) -> bool:
    """Whether the host may look at a number: on a CPU, where it waits for nobody."""
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
            samples += [[parameter] for parameter in group if parameter.numel() >= MIN_N]
            small = [parameter for parameter in group if parameter.numel() < MIN_N]
            samples += [small] if small else []
        return samples
    return [[parameter for group in groups for parameter in group]]


def sample_of(parts: list[Part], scope: Scope) -> Sample:
    """Put the parts of one sample into buckets, and see their scales if the scope wants it."""
    alike: dict[tuple[Any, ...], list[Part]] = {}
    for part in parts:
        key = (part.entries.device, *(id(group) for group in part.groups))
        alike.setdefault(key, []).append(part)
    buckets = [Bucket(same, same[0].groups) for same in alike.values()]
    if scope != "rms_normalised":
        return Sample(buckets)
    seen = [bucket.counts_and_squares() for bucket in buckets]
    home = buckets[0].device
    return Sample(
        [
            Bucket(bucket.parts, bucket.groups, _reciprocal_rms(bucket, squares))
            for bucket, (_, squares) in zip(buckets, seen, strict=True)
        ],
        reduce(torch.add, (squares.sum().to(home) for _, squares in seen)),
        _merged([counts for counts, _ in seen], home),
    )


def _reciprocal_rms(bucket: Bucket, squares: Tensor) -> Tensor:
    sizes = constants(tuple(float(part.numel) for part in bucket.parts), squares.device)
    if uses_triton(squares.device):
        from htga.optim.weights import triton_reweight  # noqa: PLC0415 (maybe absent)

        return triton_reweight.reciprocal_rms(sizes, squares)
    return reciprocal_rms(sizes, squares)


def reciprocal_rms(sizes: Tensor, squares: Tensor) -> Tensor:
    """1 over the root mean square of each part, float32 [P]; 1 where that is no number."""
    scales = (sizes / squares).sqrt().float()
    return scales.where(scales.isfinite() & (scales > 0), 1)


def _merged(several: list[LogHistogram], device: torch.device) -> LogHistogram:
    if len(several) == 1:
        return several[0]
    return reduce(LogHistogram.merge, several, LogHistogram(BITS, device))
