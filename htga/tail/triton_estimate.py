"""Hill's and the moment estimator on a sketch, in two launches of Triton kernels.

`htga.tail.order_statistics`, `hill`, `moment` and `estimate` say the same in some hundred small
operations, each of which the host must launch. The tests hold both to the same numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor

from htga.tail.constants import constants
from htga.tail.sketch import Sketch
from htga.tail.tail_size import K
from htga.tail.triton_launch import launch
from htga_client.histogram import n_bins

BLOCK = 512
"""Entries that a program holds at a time."""

PROGRAMS = tl.constexpr(256)
"""How many programs share the largest magnitudes at most, so that one can add up what they find."""

SLOTS = tl.constexpr(2048)
"""Lanes that hold all bins of a sketch."""

TOO_FEW, DEGENERATE, LIGHT, NONFINITE = (tl.constexpr(i) for i in (1, 2, 3, 4))


@dataclass(frozen=True, slots=True)
class Excesses:
    """What a pass over the largest magnitudes of a sketch leaves.

    Attributes:
        sketch: Theirs.
        rule: Of the tail size, a word for the kernels.
        number: That of the rule, float64 [1].
        logs: ln s_(i), float64 [m].
        sums: Of ln(s_(i) / s_(k+1)) over the tail, of their squares, and how many magnitudes are
            above the smallest kept, a column from each program, float64 [3, programs].
        span: Entries that each program looked at, a multiple of `BLOCK`.
    """

    sketch: Sketch
    rule: str
    number: Tensor
    logs: Tensor
    sums: Tensor
    span: int

    @classmethod
    def of(cls, sketch: Sketch, k: K) -> Excesses:
        """Look at the `k` largest, in one launch."""
        m, device = sketch.largest.numel(), sketch.largest.device
        span = -(-m // (BLOCK * PROGRAMS.value)) * BLOCK
        rule = k if isinstance(k, str) else "fraction" if isinstance(k, float) else "fixed"
        seen = cls(
            sketch,
            rule,
            constants((0.0 if isinstance(k, str) else float(k),), device),
            torch.empty(m, dtype=torch.float64, device=device),
            torch.empty((3, -(-m // span)), dtype=torch.float64, device=device),
            span,
        )
        launch(
            excess_kernel,
            seen.programs,
            sketch.histogram.state,
            sketch.largest,
            m,
            span,
            seen.number,
            seen.logs,
            seen.sums,
            RULE=rule,
            BINS=n_bins(sketch.histogram.bits),
            BLOCK=BLOCK,
        )
        return seen

    @property
    def programs(self) -> int:
        """How many share the entries."""
        return self.sums.shape[1]


@dataclass(frozen=True, slots=True)
class Estimates:
    """Where kernels leave an estimate: alpha, its error and xi; k, n and what else there is.

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
        """Nothing yet."""
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
        """As arguments of a kernel."""
        return self.numbers, self.counts, self.status


@triton.jit  # type: ignore[untyped-decorator] # Triton has no types
def excess_kernel(  # noqa: PLR0917 (Triton binds by position)
    state: tl.tensor,
    largest: tl.tensor,
    m: tl.tensor,
    span: tl.tensor,
    number: tl.tensor,
    logs: tl.tensor,
    sums: tl.tensor,
    RULE: tl.constexpr,  # noqa: N803 (Triton's custom for constants)
    BINS: tl.constexpr,  # noqa: N803
    BLOCK: tl.constexpr,  # noqa: N803
) -> None:
    """Logarithms of the largest magnitudes, and sums over those that this program looks at."""
    k = tail_size(count_of(state, BINS), number, RULE)
    threshold = tl.load(largest + tl.minimum(k, m - 1))
    smallest = tl.load(largest + m - 1)
    lane = tl.arange(0, BLOCK)
    first = tl.zeros([BLOCK], dtype=tl.float64)
    second = tl.zeros([BLOCK], dtype=tl.float64)
    ranked = tl.zeros([BLOCK], dtype=tl.int32)
    begin = tl.program_id(0) * span
    for start in range(begin, tl.minimum(begin + span, m), BLOCK):
        at = start + lane
        value = tl.load(largest + at, mask=at < m, other=0.0)
        # A ratio, because scaling the sample by a power of two then changes no bit of it.
        excess = tl.where(at < k, tl.log(value / threshold), 0.0)
        first += excess
        second += excess * excess
        ranked += (value > smallest).to(tl.int32)
        tl.store(logs + at, tl.log(value), mask=at < m)
    column = sums + tl.program_id(0)
    programs = tl.num_programs(0)
    tl.store(column, tl.sum(first))
    tl.store(column + programs, tl.sum(second))
    tl.store(column + 2 * programs, tl.sum(ranked).to(tl.float64))


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
    """The estimate, from the sums that the passes over the largest magnitudes have left."""
    n = count_of(state, BINS)
    k = tail_size(n, number, RULE)
    m1, m2 = added(sums, programs) / k, added(sums + programs, programs) / k
    judge(m1, m2, k, n, state + BINS, numbers, counts, status, MOMENT)


@triton.jit  # type: ignore[untyped-decorator] # Triton has no types
def judge(  # noqa: PLR0917 (Triton binds by position)
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
    """Store what `htga.tail.hill` or `moment`, and `estimate.conclude`, make of two moments.

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


@triton.jit  # type: ignore[untyped-decorator] # Triton has no types
def count_of(state: tl.tensor, BINS: tl.constexpr) -> tl.tensor:  # noqa: N803
    """Number of finite non-zero entries."""
    lane = tl.arange(0, SLOTS)
    return tl.sum(tl.load(state + lane, mask=lane < BINS, other=0))


@triton.jit  # type: ignore[untyped-decorator] # Triton has no types
def tail_size(n: tl.tensor, number: tl.tensor, RULE: tl.constexpr) -> tl.tensor:  # noqa: N803
    """As `htga.tail.tail_size.k_for`."""
    if RULE == "fixed":
        k = tl.load(number).to(tl.int64)
    else:
        if RULE == "auto":
            exact = tl.exp(0.6 * tl.log(tl.maximum(n, 1).to(tl.float64)))
            k = tl.minimum(tl.maximum(rounded(exact), 50), n // 10)
        else:
            k = tl.maximum(rounded(n.to(tl.float64) * tl.load(number)), 50)
        k = tl.where(n < 500, 0, k)
    return k


@triton.jit  # type: ignore[untyped-decorator] # Triton has no types
def rounded(x: tl.tensor) -> tl.tensor:
    """The nearest whole number, of two the even one, int64; `x` is not negative."""
    whole = tl.floor(x).to(tl.int64)
    rest = x - whole.to(tl.float64)
    return whole + ((rest > 0.5) | ((rest == 0.5) & (whole % 2 == 1))).to(tl.int64)


@triton.jit  # type: ignore[untyped-decorator] # Triton has no types
def added(sums: tl.tensor, programs: tl.tensor) -> tl.tensor:
    """What all programs have found together."""
    lane = tl.arange(0, PROGRAMS)
    return tl.sum(tl.load(sums + lane, mask=lane < programs, other=0.0))
