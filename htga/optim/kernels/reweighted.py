"""Tail and length of a sample after reweighting, in one launch of a Triton kernel."""

from __future__ import annotations

import triton
import triton.language as tl

from htga.optim.kernels.mean_excess import mean_excess
from htga.optim.kernels.scratch_layout import M1
from htga.tail.estimators.triton_excesses import added


@triton.jit  # type: ignore[untyped-decorator] # Triton has no types
def reweighted_kernel(  # noqa: PLR0917 (Triton binds by position)
    squares: tl.tensor,
    found: tl.tensor,
    gamma: tl.tensor,
    counts: tl.tensor,
    level: tl.tensor,
    scratch: tl.tensor,
    logs: tl.tensor,
    log_sums: tl.tensor,
    programs: tl.tensor,
    m: tl.tensor,
    results: tl.tensor,
    bad: tl.tensor,
    NORMALIZE: tl.constexpr,  # noqa: N803
    CHANGED: tl.constexpr,  # noqa: N803
    TOLERANCE: tl.constexpr,  # noqa: N803
    BLOCK: tl.constexpr,  # noqa: N803
) -> None:
    """Store the tail index and the length of a reweighted sample, and the factor still missing."""
    before, m1 = tl.load(squares), tl.load(scratch + M1)
    after, excess = before, m1
    missing = before * 0 + 1
    if CHANGED:
        after = tl.load(found)
        if NORMALIZE == "l2":
            missing = tl.load(gamma) * tl.sqrt(before / after)
        elif NORMALIZE == "mean_one":
            n, n_zero = tl.load(counts + 1), tl.load(counts + 2)
            of_zeros = n_zero * tl.load(level).to(tl.float64)
            missing = tl.load(gamma) * n / (tl.load(found + 1) - of_zeros)
        off = (tl.abs(tl.log(missing)) > TOLERANCE) & (tl.abs(missing) < float("inf"))
        missing = tl.where(off, missing, 1.0)
        after *= missing * missing
        if m1 == m1:  # noqa: PLR0124 (a NaN, where there is no tail, equals nothing)
            k = tl.load(counts)
            mean = added(log_sums, programs) / k
            excess = mean_excess(logs, logs, m1, mean, m, k, False, BLOCK)
    norm = tl.sqrt(before)
    tl.store(results, 1 / excess)
    tl.store(results + 1, norm)
    tl.store(results + 2, tl.sqrt(after) / norm)
    tl.store(results + 3, missing)
    # Weights can overflow half precision; squares alone can overflow where nothing else does.
    overflows = (before < float("inf")) & ((after < float("inf")) == 0)
    tl.store(bad, tl.load(bad) | overflows | (tl.load(counts + 3) > 0))
