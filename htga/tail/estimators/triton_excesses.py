"""Sums over the largest magnitudes of a sketch, for the estimators, by Triton."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor

from htga.tail.device_constants import constants
from htga.tail.histogram.sketch import Sketch
from htga.tail.tail_size import K, resolved
from htga.tail.triton.launch import launch
from htga_client.wire.histogram import n_bins

BLOCK = 512
"""Number of entries that a program holds at a time."""

PROGRAMS = tl.constexpr(256)
"""Maximum number of programs that share the largest magnitudes, so that one can add them up."""

SLOTS = tl.constexpr(2048)
"""Number of lanes that hold all bins of a sketch."""


@dataclass(frozen=True, slots=True)
class Excesses:
    """Logarithms of and sums over the largest magnitudes of a sketch.

    Attributes:
        sketch: The sketch.
        rule: Rule of the tail size, a word for the kernels.
        number: Number of the rule, float64 [1].
        logs: ln s_(i), float64 [m].
        sums: Sums over the tail of ln(s_(i) / s_(k+1)) and of its square, and the number of
            magnitudes above the smallest kept, a column from each program, float64 [3, programs].
        span: Number of entries of each program, a multiple of `BLOCK`.
    """

    sketch: Sketch
    rule: str
    number: Tensor
    logs: Tensor
    sums: Tensor
    span: int

    @classmethod
    def of(cls, sketch: Sketch, k: K) -> Excesses:
        """Scan the `k` largest, in one launch."""
        m, device = sketch.largest.numel(), sketch.largest.device
        span = -(-m // (BLOCK * PROGRAMS.value)) * BLOCK
        k = resolved(k)
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
        """Number of programs that share the entries."""
        return self.sums.shape[1]


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
    """Store logarithms of the largest magnitudes, and sums over those of this program."""
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
        # A ratio, so that scaling the sample by a power of two changes no bit of the result.
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
def count_of(state: tl.tensor, BINS: tl.constexpr) -> tl.tensor:  # noqa: N803
    """Number of finite non-zero entries."""
    lane = tl.arange(0, SLOTS)
    return tl.sum(tl.load(state + lane, mask=lane < BINS, other=0))


@triton.jit  # type: ignore[untyped-decorator] # Triton has no types
def tail_size(n: tl.tensor, number: tl.tensor, RULE: tl.constexpr) -> tl.tensor:  # noqa: N803
    """`htga.tail.tail_size.k_for` as a kernel."""
    if RULE == "fixed":
        k = tl.load(number).to(tl.int64)
    else:
        if RULE == "power":
            exact = tl.exp(0.6 * tl.log(tl.maximum(n, 1).to(tl.float64)))
            k = tl.minimum(tl.maximum(rounded(exact), 50), n // 10)
        else:
            k = tl.maximum(rounded(n.to(tl.float64) * tl.load(number)), 50)
        k = tl.where(n < 500, 0, k)
    return k


@triton.jit  # type: ignore[untyped-decorator] # Triton has no types
def rounded(x: tl.tensor) -> tl.tensor:
    """Round to the nearest integer, ties to even, int64; `x` is not negative."""
    whole = tl.floor(x).to(tl.int64)
    rest = x - whole.to(tl.float64)
    return whole + ((rest > 0.5) | ((rest == 0.5) & (whole % 2 == 1))).to(tl.int64)


@triton.jit  # type: ignore[untyped-decorator] # Triton has no types
def added(sums: tl.tensor, programs: tl.tensor) -> tl.tensor:
    """The sum over all programs."""
    lane = tl.arange(0, PROGRAMS)
    return tl.sum(tl.load(sums + lane, mask=lane < programs, other=0.0))
