"""Hill's and the moment estimator on a sketch, in two launches of Triton kernels.

`htga.tail.order_statistics`, `hill`, `moment` and `estimate` do the same in about a hundred small
operations, each of which the host must launch. The tests check that both give the same numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor

from htga.tail.estimators.triton_excesses import Excesses, added, count_of, tail_size
from htga.tail.histogram.sketch import Sketch
from htga.tail.tail_size import K
from htga.tail.triton.launch import launch
from htga_client.wire.histogram import n_bins

TOO_FEW, DEGENERATE, LIGHT, NONFINITE = (tl.constexpr(i) for i in (1, 2, 3, 4))


@dataclass(frozen=True, slots=True)
class Estimates:
    """Buffers for an estimate that kernels write.

    Attributes:
        numbers: alpha, stderr and the moment estimator's xi, float64 [3].
        counts: k, n, n_zero and n_nonfinite, int64 [4].
        status: A `TailStatus`, int8 [1].
    """

    numbers: Tensor
    counts: Tensor
    status: Tensor

    @classmethod
    def empty(cls, device: torch.device) -> Estimates:
        """Buffers without content."""
        return cls(
            torch.empty(3, dtype=torch.float64, device=device),
            torch.empty(4, dtype=torch.int64, device=device),
            torch.empty(1, dtype=torch.int8, device=device),
        )

    @classmethod
    def of(cls, sketch: Sketch, k: K, estimator: str) -> Estimates:
        """Estimate from a sketch, in two launches."""
        seen, estimates = Excesses.of(sketch, k), cls.empty(sketch.largest.device)
        launch(
            estimate_kernel,
            1,
            sketch.histogram.state,
            seen.sums,
            seen.programs,
            seen.number,
            *estimates.places,
            RULE=seen.rule,
            MOMENT=estimator == "moment",
            BINS=n_bins(sketch.histogram.bits),
        )
        return estimates

    @property
    def places(self) -> tuple[Tensor, Tensor, Tensor]:
        """The buffers as arguments of a kernel."""
        return self.numbers, self.counts, self.status


@triton.jit  # type: ignore[untyped-decorator] # Triton has no types
def estimate_kernel(  # noqa: PLR0917 (Triton binds by position)
    state: tl.tensor,
    sums: tl.tensor,
    programs: tl.tensor,
    number: tl.tensor,
    numbers: tl.tensor,
    counts: tl.tensor,
    status: tl.tensor,
    RULE: tl.constexpr,  # noqa: N803
    MOMENT: tl.constexpr,  # noqa: N803
    BINS: tl.constexpr,  # noqa: N803
) -> None:
    """Compute the estimate from the sums over the largest magnitudes."""
    n = count_of(state, BINS)
    k = tail_size(n, number, RULE)
    m1, m2 = added(sums, programs) / k, added(sums + programs, programs) / k
    conclude(m1, m2, k, n, state + BINS, numbers, counts, status, MOMENT)


@triton.jit  # type: ignore[untyped-decorator] # Triton has no types
def conclude(  # noqa: PLR0917 (Triton binds by position)
    m1: tl.tensor,
    m2: tl.tensor,
    k: tl.tensor,
    n: tl.tensor,
    behind: tl.tensor,
    numbers: tl.tensor,
    counts: tl.tensor,
    status: tl.tensor,
    MOMENT: tl.constexpr,  # noqa: N803
) -> tuple[tl.tensor, tl.tensor, tl.tensor]:
    """Store what `hill_of` or `moment_of`, and `estimate.conclude`, make of two moments.

    Returns:
        alpha, the status, and whether there is no estimate.
    """
    few = (k < 10) | (n <= k)
    spread = 1 - m1 * m1 / m2
    moment = m1 + 1 - 0.5 / spread
    no_moment = few | ((spread > 1e-12) == 0)
    root = tl.sqrt(k.to(tl.float64))
    if MOMENT:
        xi = moment
        degenerate = (spread > 1e-12) == 0
        alpha = 1 / xi
        stderr = alpha * tl.sqrt(alpha * alpha + 1) / root
    else:
        xi = m1
        degenerate = m1 == 0
        alpha = 1 / m1
        stderr = alpha / root
    infinite = xi <= 0
    void = few | degenerate
    alpha = tl.where(void, float("nan"), tl.where(infinite, float("inf"), alpha))
    stderr = tl.where(void, float("nan"), tl.where(infinite, float("inf"), stderr))
    n_zero, n_nonfinite = tl.load(behind), tl.load(behind + 1)
    worst = tl.where(infinite, LIGHT, 0)
    worst = tl.where(degenerate, DEGENERATE, worst)
    worst = tl.where(few, TOO_FEW, worst)
    worst = tl.where(n_nonfinite > 0, NONFINITE, worst)
    tl.store(numbers, alpha)
    tl.store(numbers + 1, stderr)
    tl.store(numbers + 2, tl.where(no_moment, float("nan"), moment))
    tl.store(counts, k)
    tl.store(counts + 1, n)
    tl.store(counts + 2, n_zero)
    tl.store(counts + 3, n_nonfinite)
    tl.store(status, worst.to(tl.int8))
    return alpha, worst, void
