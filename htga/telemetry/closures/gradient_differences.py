"""Minibatch gradients, one after the other, as sums, norms and the differences of a sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from htga.tail.flat_tensors import widened
from htga.tail.norm import sums_of_squares
from htga.tail.systematic import fair_stride, systematic
from htga.telemetry.closures.noise_numbers import NoiseNumbers, gradient_noise_scale

SAMPLE = 2**16
"""Number of coordinates of which every difference is kept."""

LAYER_SAMPLE = 2**12
"""The same of a layer."""

MAX_KEPT = 2**24
"""Maximum number of entries that are kept of the whole model, and of all layers: 64 MiB each."""


class GradientDifferences:
    """What is needed of minibatch gradients at fixed weights, in the memory of two of them.

    One holds the sum of all, in float32 at least; the other the first of a pair, until the second
    comes. Of a sample of coordinates, always the same ones, the differences of all pairs are kept.

    Args:
        parameters: What the gradients are of, at least one.
        layers: Places, by name, of parameters that get numbers of their own.
        batches: Number of gradients that are to come.
    """

    def __init__(
        self, parameters: Sequence[Tensor], layers: Mapping[str, int], batches: int
    ) -> None:
        self._parameters = parameters
        self._batches = batches
        pairs = max(batches // 2, 1)
        kept = max(min(LAYER_SAMPLE, MAX_KEPT // (pairs * max(len(layers), 1))), 1)
        self._samples = [_Sample(range(len(parameters)), parameters, SAMPLE, pairs)]
        self._samples += [_Sample((place,), parameters, kept, pairs) for place in layers.values()]
        self._names = ("", *layers)
        self._norms: list[NDArray[np.float64]] = []  # of each pair, of each parameter, squared
        self._squares = np.zeros(len(parameters))
        self._sum: list[Tensor] = []
        self._first: list[Tensor] | None = None
        self.seen = 0

    @torch.no_grad()
    def add(self, gradients: Sequence[Tensor | None]) -> None:
        """Take the gradients of one minibatch, which are not written to; None is zero."""
        flat = [_flat(*each) for each in zip(gradients, self._parameters, strict=True)]
        self.seen += 1
        self._squares += _squares(flat)
        if self._sum:
            torch._foreach_add_(self._sum, flat)
        else:
            self._sum = [part.clone() for part in flat]
        if self._first is None:
            # A copy: the memory may be a bucket of DistributedDataParallel, or the closure's own.
            self._first = [part.clone() for part in flat]
            return
        difference, self._first = self._first, None
        torch._foreach_sub_(difference, flat)
        torch._foreach_mul_(difference, 0.5**0.5)
        self._norms.append(_squares(difference))
        for sample in self._samples:
            sample.add(difference)

    def numbers(self, batch_size: int | None) -> dict[str, NoiseNumbers]:
        """The numbers of the whole model, under an empty name, and of the layers with any noise.

        Args:
            batch_size: Number of samples in a minibatch, if it is known.
        """
        mean_squares = self._squares / self.seen
        squares_of_means = _squares(self._sum) / self.seen**2
        norms = np.array(self._norms).reshape(-1, len(self._parameters))
        found = {}
        for name, sample in zip(self._names, self._samples, strict=True):
            of = list(sample.places)
            scale = gradient_noise_scale(
                float(mean_squares[of].sum()),
                float(squares_of_means[of].sum()),
                self.seen,
                batch_size,
            )
            length = np.sqrt(norms[:, of].sum(axis=1))
            if not name or length.any():
                found[name] = NoiseNumbers.of(sample.differences, length, noise_scale=scale)
        return found


class _Sample:
    """The same coordinates of some parameters, of every difference."""

    def __init__(
        self, places: Sequence[int], parameters: Sequence[Tensor], size: int, pairs: int
    ) -> None:
        self.places = places
        total = sum(_entries(parameters[place]) for place in places)
        size = min(size, max(MAX_KEPT // pairs, 1))
        shapes = [tuple(parameters[place].shape) for place in places]
        self._stride = fair_stride(max(1, total // size), shapes)
        self._rows: list[NDArray[np.float32]] = []

    @property
    def differences(self) -> NDArray[np.float32]:
        return np.stack(self._rows)

    def add(self, difference: Sequence[Tensor]) -> None:
        device = difference[self.places[0]].device
        parts = [difference[place].to(device) for place in self.places]
        drawn = systematic(parts, self._stride, 0)
        self._rows.append(drawn.to("cpu", torch.float32).numpy())


def _entries(parameter: Tensor) -> int:
    return parameter.numel() * (2 if parameter.is_complex() else 1)


def _flat(gradient: Tensor | None, parameter: Tensor) -> Tensor:
    """A gradient as a flat tensor of real numbers in float32 or float64, dense."""
    if gradient is None:
        like = torch.view_as_real(parameter.detach()) if parameter.is_complex() else parameter
        return torch.zeros((), dtype=widened(like.dtype), device=like.device).expand(like.numel())
    gradient = gradient.detach()
    if gradient.layout != torch.strided:
        gradient = gradient.to_dense()
    if gradient.is_complex():
        gradient = torch.view_as_real(gradient.resolve_conj())
    return gradient.reshape(-1).to(widened(gradient.dtype))


def _squares(parts: Sequence[Tensor]) -> NDArray[np.float64]:
    """The sum of squares of each part; waits for the devices."""
    found = np.zeros(len(parts))
    for device in {part.device for part in parts}:
        places = [place for place, part in enumerate(parts) if part.device == device]
        found[places] = sums_of_squares([parts[place] for place in places]).cpu().numpy()
    return found
