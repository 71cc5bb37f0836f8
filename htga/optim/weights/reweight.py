"""Multiplication of tensors by their rank weights, in place and in one pass."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from htga.optim.constants import TABLE_BITS
from htga.optim.weights.rank_weights import RankWeights
from htga.tail.flat_tensors import CHUNK, cut, widened
from htga.tail.histogram.counting import float32, uses_triton
from htga.tail.histogram.sketch import DEVICE_CHUNK
from htga.tail.norm import norm

SHIFT = 23 - TABLE_BITS
MASK = (1 << SHIFT) - 1


def reweight(parts: Sequence[Tensor], weights: RankWeights, scales: Tensor | None = None) -> Tensor:
    """Multiply every entry by its weight.

    A CPU works chunk by chunk within its cache, a CUDA device in one launch of a Triton kernel if
    Triton works; other devices in a few plain operations a chunk. The host never waits.

    Args:
        parts: Flat tensors of one device; written to.
        weights: Weights of the sample that they belong to, on the same device.
        scales: Factors with which the parts entered the sample, float32 [P].

    Returns:
        Sum of the squares of what was written, and sum of the weights of all entries, float64 [2].
    """
    device = parts[0].device
    if device.type == "cpu":
        return _on_cpu(parts, weights, scales)
    found = []
    for by_triton, chosen in _kinds(parts):
        some = [parts[i] for i in chosen]
        their = scales
        if scales is not None and len(some) < len(parts):
            their = torch.stack([scales[i] for i in chosen])
        if by_triton:
            from htga.optim.weights.triton_reweight import reweight_by_triton  # noqa: PLC0415 (maybe absent)

            found.append(reweight_by_triton(some, weights, their))
        else:
            found.append(reweight_plain(some, weights, their))
    return found[0] if len(found) == 1 else torch.stack(found).sum(0)


def _kinds(parts: Sequence[Tensor]) -> Iterator[tuple[bool, list[int]]]:
    """The parts that Triton kernels can process, and the others."""
    triton = uses_triton(parts[0].device)
    for by_triton in (True, False):
        chosen = [
            i for i, x in enumerate(parts) if (triton and x.dtype != torch.float64) == by_triton
        ]
        if chosen:
            yield by_triton, chosen


def multiply(parts: Sequence[Tensor], factor: Tensor, *, unless: Tensor) -> None:
    """Multiply tensors by a number, or fill them with zeros, without waiting for their device.

    Args:
        parts: Written to.
        factor: float64, 0-d.
        unless: Whether to write zeros instead, bool, 0-d.
    """
    for by_triton, chosen in _kinds(parts):
        some = [parts[i] for i in chosen]
        if by_triton:
            from htga.optim.weights.triton_reweight import multiply_by_triton  # noqa: PLC0415 (maybe absent)

            multiply_by_triton(some, factor, unless)
            continue
        for chunk in (chunk for part in some for chunk in cut(part, DEVICE_CHUNK)):
            chunk.copy_((chunk * factor).where(~unless, 0))


@dataclass(slots=True)
class _Buffers:
    """Buffers for a chunk's bin numbers and weights, reused so that they stay in the cache."""

    bins: Tensor
    level: Tensor
    rise: Tensor

    @classmethod
    def of(cls, size: int) -> _Buffers:
        bins = torch.empty(size, dtype=torch.int32, device="cpu")
        return cls(bins, *torch.empty((2, size), dtype=torch.float32, device="cpu").unbind())

    def look_up(self, magnitudes: Tensor, weights: RankWeights) -> Tensor:
        """Weights of float32 magnitudes by the table, until the next call."""
        size = magnitudes.numel()
        bins, level, rise = self.bins[:size], self.level[:size], self.rise[:size]
        pattern = magnitudes.view(torch.int32)
        torch.bitwise_right_shift(pattern, SHIFT, out=bins)
        torch.index_select(weights.level, 0, bins, out=level)
        torch.index_select(weights.rise, 0, bins, out=rise)
        fraction = magnitudes.copy_(torch.bitwise_and(pattern, MASK, out=bins))
        return level.addcmul_(rise, fraction)


def _on_cpu(parts: Sequence[Tensor], weights: RankWeights, scales: Tensor | None) -> Tensor:
    largest = max(part.numel() for part in parts)
    room = min(CHUNK, max(largest, sum(part.numel() for part in parts)))
    buffers = _Buffers.of(room)
    magnitude = torch.empty(room, dtype=torch.float32, device="cpu")
    floor = float32(weights.largest[:1])
    if any(part.dtype == torch.float64 for part in parts):  # A larger number may be rounded to it.
        floor = floor.nextafter(torch.zeros_like(floor))
    length, total = torch.zeros(2, dtype=torch.float64, device="cpu").unbind()
    for group, scaled in _grouped(parts, scales):
        x = group[0] if len(group) == 1 else torch.cat(group)
        seen = x if scaled is None else scaled
        magnitudes = torch.abs(float32(seen), out=magnitude[: x.numel()])
        hot = torch.from_numpy(np.flatnonzero(magnitudes.numpy() > float(floor)))
        weight = buffers.look_up(magnitudes, weights)
        if hot.numel():
            hot = hot[torch.from_numpy(np.argsort(magnitudes[hot].numpy()))]
            exact, has_exact = _exact_of_rising(seen[hot], weights)
            weight[hot] = torch.where(has_exact, exact, weight[hot])
        total += weight.sum()  # pairwise, so good to a millionth
        if len(group) == 1:
            x.mul_(weight)
            length = torch.hypot(length, norm([x]))
        else:
            y = weight.mul(x) if x.dtype == torch.float64 else weight.mul_(x)
            torch._foreach_copy_(group, y.split([piece.numel() for piece in group]))
            length = torch.hypot(length, norm(group if _is_narrow(group) else [y]))
    return torch.stack([length.square(), total])


def _grouped(
    parts: Sequence[Tensor], scales: Tensor | None
) -> Iterator[tuple[list[Tensor], Tensor | None]]:
    """Chunks of at most `CHUNK` entries, small tensors joined; and their scaled copies, if any."""
    group: list[Tensor] = []
    seen: list[Tensor] = []
    room = CHUNK
    for i, part in enumerate(parts):
        for chunk in cut(part, CHUNK):
            if chunk.numel() > room:
                yield group, torch.cat(seen) if seen else None
                group, seen, room = [], [], CHUNK
            group.append(chunk)
            room -= chunk.numel()
            if scales is not None:
                seen.append(chunk.to(widened(chunk.dtype)) * scales[i])
    if group:
        yield group, torch.cat(seen) if seen else None


def _is_narrow(group: list[Tensor]) -> bool:
    """Whether rounding to the tensors' types may turn a finite result into an infinity."""
    return any(x.dtype not in {torch.float32, torch.float64} for x in group)


def _exact_of_rising(x: Tensor, weights: RankWeights) -> tuple[Tensor, Tensor]:
    """`exact_weights` of CPU entries whose magnitudes rise, for which NumPy's search is faster."""
    magnitudes = x.double().abs()
    index = torch.from_numpy(np.searchsorted(weights.largest.numpy(), magnitudes.numpy()))
    index.clamp_(max=weights.largest.numel() - 1)
    return weights.exact.take(index).float(), magnitudes > weights.largest[0]


def exact_weights(x: Tensor, weights: RankWeights) -> tuple[Tensor, Tensor]:
    """Weights of entries with an exact rank, float32, and which entries have one, bool."""
    magnitudes = x.double().abs()
    index = torch.searchsorted(weights.largest, magnitudes).clamp(max=weights.largest.numel() - 1)
    return weights.exact.take(index).float(), magnitudes > weights.largest[0]


def reweight_plain(parts: Sequence[Tensor], weights: RankWeights, scales: Tensor | None) -> Tensor:
    """`reweight` on any device, in plain operations that the host does not wait for."""
    found = torch.zeros(2, dtype=torch.float64, device=parts[0].device)
    for i, part in enumerate(parts):
        for chunk in cut(part, DEVICE_CHUNK):
            seen = chunk if scales is None else chunk.to(widened(chunk.dtype)) * scales[i]
            pattern = float32(seen).abs().view(torch.int32)
            bins = (pattern >> SHIFT).long()
            by_table = weights.level.take(bins) + weights.rise.take(bins) * (pattern & MASK)
            exact, has_exact = exact_weights(seen, weights)
            weight = exact.where(has_exact, by_table)
            chunk.copy_(weight * chunk)
            length = torch.linalg.vector_norm(chunk, dtype=torch.float64)
            found += torch.stack([length.square(), weight.sum(dtype=torch.float64)])
    return found
