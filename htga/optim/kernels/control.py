"""The controller in one launch of a Triton kernel, from the sums of a pass over a sketch.

`htga.optim.controller.controller` and `htga.tail.estimators.smoothing` do the same in small
operations. The tests check that both give the same numbers.
"""

from __future__ import annotations

import triton
import triton.language as tl

from htga.optim.kernels.mean_excess import mean_excess
from htga.optim.kernels.scratch_layout import (
    BEYOND,
    CORNER,
    FIRST,
    FLOOR,
    LOG_CORNER,
    LOG_KNOWN,
    M1,
    START,
)
from htga.tail.estimators.triton_estimate import conclude
from htga.tail.estimators.triton_excesses import SLOTS, added, count_of, tail_size
from htga.tail.histogram.binned import TINIEST

REFINEMENTS = tl.constexpr(2)
TEMPERING_LIMIT = tl.constexpr(0.9)
SMALLEST = tl.constexpr(TINIEST)


@triton.jit  # type: ignore[untyped-decorator] # Triton has no types
def control_kernel(  # noqa: PLR0917 (Triton binds by position)
    state: tl.tensor,
    largest: tl.tensor,
    m: tl.tensor,
    sums: tl.tensor,
    programs: tl.tensor,
    number: tl.tensor,
    logs: tl.tensor,
    log_ranks: tl.tensor,
    options: tl.tensor,
    memory: tl.tensor,
    stride: tl.tensor,
    coarse: tl.tensor,
    fine: tl.tensor,
    numbers: tl.tensor,
    counts: tl.tensor,
    status: tl.tensor,
    scratch: tl.tensor,
    above: tl.tensor,
    RULE: tl.constexpr,  # noqa: N803 (Triton's custom for constants)
    MOMENT: tl.constexpr,  # noqa: N803
    INVERSE: tl.constexpr,  # noqa: N803
    GAMMA: tl.constexpr,  # noqa: N803
    SIGN: tl.constexpr,  # noqa: N803
    BETA: tl.constexpr,  # noqa: N803
    BINS: tl.constexpr,  # noqa: N803
    EDGES: tl.constexpr,  # noqa: N803
    BLOCK: tl.constexpr,  # noqa: N803
) -> None:
    """Estimate, update the state of one sample, and store where the ranks of its bins begin."""
    n = count_of(state, BINS)
    k = tail_size(n, number, RULE)
    m1, m2 = added(sums, programs) / k, added(sums + programs, programs) / k
    alpha, worst, void = conclude(m1, m2, k, n, state + BINS, numbers, counts, status, MOMENT)
    tl.store(scratch + M1, tl.where(void, float("nan"), m1))
    usable = worst == 0
    target, gain, smoothing = tl.load(options), tl.load(options + 1), tl.load(options + 2)

    before = tl.load(memory)
    value = tl.minimum(tl.maximum(alpha, 0.1), 20.0)
    if INVERSE:
        mean = 1 / (smoothing / before + (1 - smoothing) / value)
    else:
        mean = smoothing * before + (1 - smoothing) * value
    mean = tl.where(before == before, mean, value)  # noqa: PLR0124 (a NaN equals nothing)
    alpha_bar = tl.where(usable, mean, before)
    tl.store(memory, alpha_bar)

    if GAMMA == "constant":
        tl.store(memory + stride, tl.load(options + 5))
    else:
        last = tl.load(memory + stride)
        error = SIGN * (1 - alpha_bar / target)
        if GAMMA == "proportional":  # noqa: SIM108 (Triton compiles only the branch that is taken)
            gamma = 1 + gain * error
        else:
            gamma = last * tl.exp(gain * error)
        gamma = tl.minimum(tl.maximum(gamma, tl.load(options + 3)), tl.load(options + 4))
        tl.store(memory + stride, tl.where(usable, gamma, last))

    if BETA == "constant":
        tl.store(memory + 2 * stride, tl.load(options + 6))
    else:
        last = tl.load(memory + 2 * stride)
        low, high = tl.load(options + 7), tl.load(options + 8)
        constant = rank_constant(k.to(tl.float64))
        beta = bounded((1 / target - 1 / alpha) / constant, alpha, low, high)
        if BETA == "refined":  # noqa: SIM102 (as above)
            if usable & (beta < 0):
                refined = beta
                mean_log_rank = tl.log((k + 1).to(tl.float64)) - constant
                mean_log = m1 + tl.load(logs + k)
                for _ in tl.static_range(REFINEMENTS):
                    mean = mean_log - refined * mean_log_rank
                    found = mean_excess(logs, log_ranks, refined, mean, m, k, True, BLOCK)
                    refined += (1 / target - found) / constant
                    refined = bounded(refined, 1 / m1, low, high)
                beta = tl.where(tl.abs(refined) < float("inf"), refined, beta)
        tl.store(memory + 2 * stride, tl.where(usable, beta, last))

    prepare(
        state, largest, m, added(sums + 2 * programs, programs), coarse, fine, scratch, BINS, EDGES
    )
    lane = tl.arange(0, SLOTS)
    count = tl.load(state + lane, mask=lane < BINS, other=0)
    tl.store(above + lane, (n - tl.cumsum(count, 0) + count).to(tl.float64), mask=lane <= BINS)


@triton.jit  # type: ignore[untyped-decorator] # Triton has no types
def prepare(  # noqa: PLR0917 (Triton binds by position)
    state: tl.tensor,
    largest: tl.tensor,
    m: tl.tensor,
    ranked: tl.tensor,
    coarse: tl.tensor,
    fine: tl.tensor,
    scratch: tl.tensor,
    BINS: tl.constexpr,  # noqa: N803
    EDGES: tl.constexpr,  # noqa: N803
) -> None:
    """Store the scalars of `htga.optim.weights.rank_weights._rank_at_edges`."""
    first = ranked + 0.5
    log_known = tl.log(tl.maximum(tl.load(largest + m - 1), SMALLEST))
    lane, edge = tl.arange(0, SLOTS), tl.arange(0, 4 * SLOTS)
    below = tl.load(coarse + lane, mask=lane <= BINS, other=float("inf")) <= log_known
    corner = tl.sum(below.to(tl.int32)) - 1
    nearer = tl.load(fine + edge, mask=edge <= EDGES, other=float("inf")) < log_known
    beyond = tl.sum(nearer.to(tl.int32))
    start = tl.sum(tl.load(state + lane, mask=(lane >= corner) & (lane < BINS), other=0)) + 0.5
    log_corner = tl.load(coarse + corner)
    span = log_known - log_corner
    way = (tl.load(fine + beyond) - log_corner) / span
    there = tl.where(span > 0, start * tl.exp(way * tl.log(first / start)), start)
    tl.store(scratch + FIRST, first)
    tl.store(scratch + LOG_KNOWN, log_known)
    tl.store(scratch + LOG_CORNER, log_corner)
    tl.store(scratch + CORNER, (corner * (EDGES // BINS)).to(tl.float64))
    # If they begin at an edge, there is nothing to interpolate.
    tl.store(scratch + BEYOND, tl.where(span > 0, beyond.to(tl.float64), -1.0))
    tl.store(scratch + START, start)
    tl.store(scratch + FLOOR, tl.maximum(there, first / 2))


@triton.jit  # type: ignore[untyped-decorator] # Triton has no types
def bounded(beta: tl.tensor, alpha: tl.tensor, low: tl.tensor, high: tl.tensor) -> tl.tensor:
    """`htga.optim.controller.controller.bounded` as a kernel."""
    return tl.maximum(tl.minimum(beta, high), tl.maximum(-TEMPERING_LIMIT / alpha, low))


@triton.jit  # type: ignore[untyped-decorator] # Triton has no types
def rank_constant(k: tl.tensor) -> tl.tensor:
    """`rank_constant` of the controller by Stirling's series, exact to 1e-15 for k >= 10."""
    square = k * k
    series = 1 / 1680 - 1 / 1188 / square
    series = 1 / 12 - (1 / 360 - (1 / 1260 - series / square) / square) / square
    half_log = 0.5 * (tl.log(k) + 1.8378770664093454836)  # ln(2 pi)
    return tl.log(k + 1) - tl.log(k) + 1 - (half_log + series / k) / k
