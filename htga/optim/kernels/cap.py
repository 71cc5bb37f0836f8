"""The cap on a weighted coordinate, as kernels, from the greatest coordinates."""

from __future__ import annotations

import triton
import triton.language as tl

from htga.optim.constants import MAX_CAPPED
from htga.tail.estimators.triton_excesses import PROGRAMS

TOP = tl.constexpr(MAX_CAPPED)


@triton.jit  # type: ignore[untyped-decorator] # Triton has no types
def greatest(
    peaks: tl.tensor, places: tl.tensor, values: tl.tensor, at: tl.tensor, m: tl.tensor
) -> tuple[tl.tensor, tl.tensor]:
    """Merge values into the peaks: the greatest of both, in falling order, and their places."""
    slot = tl.arange(0, TOP)
    new_peaks, new_places = peaks, places
    for j in tl.static_range(TOP):
        here, there = tl.max(values), tl.max(peaks)
        is_here = here > there
        which = tl.where(is_here, tl.min(tl.where(values == here, at, m)), m)
        other = tl.where(is_here, TOP, tl.min(tl.where(peaks == there, slot, TOP)))
        place = tl.where(is_here, which, tl.sum(tl.where(slot == other, places, 0)))
        new_peaks = tl.where(slot == j, tl.maximum(here, there), new_peaks)
        new_places = tl.where(slot == j, place, new_places)
        values = tl.where(at == which, -1, values)
        peaks = tl.where(slot == other, -1, peaks)
    return new_peaks, new_places


@triton.jit  # type: ignore[untyped-decorator] # Triton has no types
def cap(  # noqa: PLR0917 (Triton binds by position)
    top: tl.tensor,
    programs: tl.tensor,
    rising: tl.tensor,
    m: tl.tensor,
    of_largest: tl.tensor,
    rest: tl.tensor,
    before: tl.tensor,
    share: tl.tensor,
) -> tuple[tl.tensor, tl.tensor, tl.tensor]:
    """`htga.optim.weights.rank_weights.cap` as a kernel.

    Returns:
        The limit, and how much it reduces the sum of the weights and the sum of the squares.
    """
    lane = tl.arange(0, PROGRAMS * TOP)
    there = lane < programs * TOP
    left = tl.load(top + lane, mask=there, other=-1.0)
    places = tl.load(top + programs * TOP + lane, mask=there, other=0.0)
    slot = tl.arange(0, TOP)
    peaks = tl.full([TOP], -1, tl.float64)
    at = tl.zeros([TOP], dtype=tl.int32)
    for j in tl.static_range(TOP):
        peak = tl.max(left)
        which = tl.min(tl.where(left == peak, lane, PROGRAMS * TOP))
        place = tl.sum(tl.where(lane == which, places, 0.0)).to(tl.int32)
        peaks, at = tl.where(slot == j, peak, peaks), tl.where(slot == j, place, at)
        left = tl.where(lane == which, -1, left)
    is_there = peaks >= 0
    peaks = tl.where(is_there, peaks, 0.0)
    others = of_largest + rest - (tl.cumsum(peaks, 0) - peaks)
    largest = tl.load(rising + m - 1)
    allowed = largest * largest / before * (1 + 1e-9)
    allowed = tl.maximum(tl.where(allowed == allowed, allowed, 1.0), share)  # noqa: PLR0124
    room = 1 - allowed * slot
    limits = tl.where(room > 0, allowed * others / room, float("inf"))
    first = tl.min(tl.where(is_there & (peaks <= limits), slot, TOP))
    binds = (first > 0) & (first < TOP)
    square = tl.where(binds, tl.sum(tl.where(slot == first, limits, 0.0)), float("inf"))
    limit = tl.sqrt(square)
    cut = is_there & (peaks > square)
    value = tl.load(rising + m - 1 - at, mask=cut, other=1.0)
    lost_total = tl.sum(tl.where(cut, (tl.sqrt(peaks) - limit) / value, 0.0))
    return limit, lost_total, tl.sum(tl.where(cut, peaks - square, 0.0))
