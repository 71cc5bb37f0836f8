"""An exponentially fading histogram, for a tail index that averages over many steps."""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor

from htga.tail.estimate import TailEstimate
from htga.tail.histogram import binned
from htga.tail.histogram.log_histogram import LogHistogram
from htga.tail.tail_size import K
from htga_client.wire.histogram import n_bins


class FadingHistogram:
    """Counts of |x| in which each step weighs `memory` times what the next one does.

    counts <- memory * counts + the step's counts, from which the tail index is estimated. That is
    less noisy than an average of the steps' own indices, because the tail then has the entries of
    many steps. A mixture of scales would look like a heavy tail. So the counts follow the scale of
    the gradient: before each addition they are shifted, without loss, by the whole number of
        octaves
    that brings their median nearest to the step's.

    Nothing waits for the device.

    Args:
        bits: Mantissa bits of the histograms.
        memory: In [0, 1); 0 remembers the last step alone.
        align: Whether to follow the scale.
        device: Device of the counts; the CPU if None.

    Attributes:
        counts: float64 of shape [255 * 2**bits].
        n_zero: Number of exact zeros, faded alike, float64, 0-d.
        n_nonfinite: Number of NaNs and infinities, faded alike, float64, 0-d.

    Raises:
        ValueError: `memory` is out of range.
    """

    def __init__(
        self,
        bits: int = 3,
        *,
        memory: float = 0.95,
        align: bool = True,
        device: torch.device | str | None = None,
    ) -> None:
        if not 0 <= memory < 1:
            raise ValueError(f"memory must be in [0, 1), got {memory}")
        self._bits = bits
        self._memory = memory
        self._align = align
        self._state = torch.zeros(n_bins(bits) + 2, dtype=torch.float64, device=device)

    @property
    def counts(self) -> Tensor:
        """float64 of shape [255 * 2**bits], a view."""
        return self._state[:-2]

    @property
    def n_zero(self) -> Tensor:
        """Faded number of exact zeros, float64, 0-d, a view."""
        return self._state[-2]

    @property
    def n_nonfinite(self) -> Tensor:
        """Faded number of NaNs and infinities, float64, 0-d, a view."""
        return self._state[-1]

    def update(self, step: LogHistogram) -> Self:
        """Fade the counts and add those of a step.

        Raises:
            ValueError: The step has other `bits`.
        """
        if step.bits != self._bits:
            raise ValueError(f"bits must be equal to add, got {self._bits} and {step.bits}")
        new = step.state.to(self._state.device).double()
        if self._align:
            octaves = self._octaves_to(new[:-2])
            self.counts.copy_(binned.shifted(self.counts, self._bits, octaves))
        self._state.mul_(self._memory).add_(new)
        return self

    def hill(self, k: K = "auto") -> TailEstimate:
        """The tail index, see `LogHistogram.hill`; n and k are effective numbers, rounded.

        Raises:
            ValueError: `k` is out of range.
        """
        return binned.hill(
            self.counts,
            self._bits,
            binned.tail_of(self.counts, self._bits, k),
            n_zero=self.n_zero.round().long(),
            n_nonfinite=self.n_nonfinite.ceil().long(),
        )

    def _octaves_to(self, new: Tensor) -> Tensor:
        """Whole octaves from the median of the counts to that of a step; 0 if one has no median."""
        half = torch.tensor(0.5, dtype=torch.float64, device=new.device)
        medians = [binned.quantile(counts, self._bits, half) for counts in (self.counts, new)]
        octaves = (medians[1] / medians[0]).log2().round()
        return octaves.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0).long()
