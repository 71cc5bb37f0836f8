"""The largest magnitudes of a sample, in descending order."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from htga.tail.estimate import TailEstimate, conclude
from htga.tail.light_tail import is_light, moment_index
from htga_client.statistics.hill import MIN_TAIL


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderStatistics:
    """The largest magnitudes of a sample, its tail, and the number of entries of each kind.

    Of S samples, every field has a first dimension S.

    Attributes:
        largest: s_(1) >= s_(2) >= ..., float64 of shape [m], with m > k and zeros behind the last
            entry of a smaller sample.
        excesses: ln(s_(i) / s_(k+1)) for i = 1 to k and zeros after, float64 of shape [m].
        m1: Mean of the excesses, float64, 0-d.
        m2: Mean of their squares, float64, 0-d.
        threshold: s_(k+1), float64, 0-d.
        k: Size of the tail, int64, 0-d.
        n: Number of finite non-zero entries, int64, 0-d.
        n_zero: Number of exact zeros, int64, 0-d.
        n_nonfinite: Number of NaNs and infinities, int64, 0-d.
    """

    largest: Tensor
    excesses: Tensor
    m1: Tensor
    m2: Tensor
    threshold: Tensor
    k: Tensor
    n: Tensor
    n_zero: Tensor
    n_nonfinite: Tensor

    @classmethod
    def of(
        cls, largest: Tensor, *, k: Tensor, n: Tensor, n_zero: Tensor, n_nonfinite: Tensor
    ) -> OrderStatistics:
        """Measure a tail against the largest magnitude outside it.

        Args:
            largest: As the attribute, in any float type, of shape [m] with m >= 1.
            k, n, n_zero, n_nonfinite: As the attributes.
        """
        largest = largest.double()
        m = largest.shape[-1]
        threshold = largest.gather(-1, k.clamp(max=m - 1).unsqueeze(-1))
        in_tail = torch.arange(m, device=largest.device) < k.unsqueeze(-1)
        # A ratio, so that scaling the sample by a power of two changes no bit of the result.
        excesses = torch.where(in_tail, (largest / threshold).log(), 0.0)
        return cls(
            largest=largest,
            excesses=excesses,
            m1=excesses.sum(-1) / k,
            m2=excesses.square().sum(-1) / k,
            threshold=threshold.squeeze(-1),
            k=k,
            n=n,
            n_zero=n_zero,
            n_nonfinite=n_nonfinite,
        )

    @property
    def in_tail(self) -> Tensor:
        """Which of `largest` belong to the tail, bool of shape [m]."""
        places = torch.arange(self.largest.shape[-1], device=self.k.device)
        return places < self.k.unsqueeze(-1)

    def conclude(
        self, *, alpha: Tensor, xi: Tensor, stderr: Tensor, degenerate: Tensor
    ) -> TailEstimate:
        """Make an estimate of this tail, see `htga.tail.estimate.conclude`."""
        index, _ = moment_index(self.m1, self.m2)
        return conclude(
            alpha=alpha,
            xi=xi,
            stderr=stderr,
            k=self.k,
            n=self.n,
            threshold=self.threshold,
            n_zero=self.n_zero,
            n_nonfinite=self.n_nonfinite,
            light=is_light(index, self.k),
            enough=(self.k >= MIN_TAIL) & (self.n > self.k),
            degenerate=degenerate,
        )
