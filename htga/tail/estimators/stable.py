"""The common part of the estimators that assume a symmetric stable law for a whole sample."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from htga.tail.estimate import TailEstimate, TailStatus, conclude
from htga.tail.flat_tensors import Tensors, flatten
from htga_client.statistics.hill import MIN_SAMPLE

GAUSSIAN = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeSample:
    """The finite non-zero entries of a sample, and the number of entries of other kinds.

    Attributes:
        x: float64 of shape [d]; the first `n` are the entries in order, the rest zeros.
        among: Which elements of `x` are entries, bool of shape [d].
        n: Number of finite non-zero entries, int64, 0-d.
        n_zero: Number of exact zeros, int64, 0-d.
        n_nonfinite: Number of NaNs and infinities, int64, 0-d.
    """

    x: Tensor
    among: Tensor
    n: Tensor
    n_zero: Tensor
    n_nonfinite: Tensor

    @classmethod
    def of(cls, tensors: Tensors) -> WholeSample:
        """Take a sample without waiting for its device.

        Raises:
            TypeError: `tensors` is neither a tensor nor a sequence of them.
            ValueError: A tensor is not floating point.
        """
        flat = flatten(tensors).double()
        finite = flat.isfinite()
        kept = finite & (flat != 0)
        n, n_nonfinite = kept.sum(), (~finite).sum()
        order = (~kept).to(torch.int8).sort(stable=True).indices
        among = torch.arange(flat.numel(), device=flat.device) < n
        return cls(
            x=torch.where(among, flat.take(order), 0.0),
            among=among,
            n=n,
            n_zero=flat.numel() - n - n_nonfinite,
            n_nonfinite=n_nonfinite,
        )

    def mean(self, x: Tensor) -> Tensor:
        """Mean over the entries of a function of them, 0-d."""
        return torch.where(self.among, x, 0.0).sum() / self.n

    def quantiles(self, *q: float) -> Tensor:
        """Quantiles of |x|, linear between order statistics, float64 of shape [len(q)]."""
        if not self.x.numel():
            return self.x.new_full((len(q),), torch.nan)
        rising = torch.where(self.among, self.x.abs(), torch.inf).sort().values
        at = torch.tensor(q, dtype=torch.float64, device=self.x.device) * (self.n - 1).clamp(min=0)
        lower = rising.take(at.long())
        upper = rising.take(at.ceil().long())
        return lower + at.frac() * (upper - lower)

    def conclude(self, *, alpha: Tensor, stderr: Tensor, defined: Tensor) -> TailEstimate:
        """Make an estimate of the index of a stable law, which is at most 2.

        Args:
            alpha: The index, float64; values above 2 become 2.
            stderr: Its standard error, float64.
            defined: Whether the estimator has a result, bool.
        """
        alpha = alpha.clamp(max=GAUSSIAN)
        gaussian = alpha == GAUSSIAN
        magnitudes = self.x.abs()
        all_equal = ((magnitudes == magnitudes[:1]) | ~self.among).all()
        estimate = conclude(
            alpha=alpha,
            xi=1 / alpha,
            stderr=stderr,
            k=self.n,
            n=self.n,
            threshold=torch.zeros_like(alpha),
            n_zero=self.n_zero,
            n_nonfinite=self.n_nonfinite,
            light=gaussian,
            enough=self.n >= MIN_SAMPLE,
            degenerate=~defined | all_equal,
        )
        usable = estimate.status == TailStatus.OK
        return replace(
            estimate, status=estimate.status.masked_fill(usable & gaussian, TailStatus.LIGHT)
        )
