"""Rank weights (rank / d)**-beta as a function of the magnitude, from a sketch of the sample.

The largest magnitudes, which decide how heavy the tail is, have their exact ranks. Below them the
logarithm of the rank is interpolated between the edges of the histogram's bins, where it is
known, and the weight in turn within a quarter of a bin. So a weight costs a table look-up instead
of a sort. It depends on the magnitude alone: equal entries get equal weights.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from htga.optim.constants import MAX_CAPPED, MAX_TAIL_INDEX, TABLE_BITS
from htga.optim.settings import Normalize
from htga.tail import LogHistogram
from htga.tail.histogram import binned
from htga.tail.histogram.sketch import Sketch
from htga.tail.tail_size import K, max_tail_size

TOP = 1024
"""Minimum number of entries with an exact rank; the entries of the tail always have one."""

MARGIN = 4
"""The exact ranks go beyond the tail by its size over this number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RankWeights:
    """Weights by magnitude; every tensor on one device, and nothing here waits for it.

    Attributes:
        level: Weight at the lower edge of each bin of the table, float32 [256 << TABLE_BITS].
        rise: How much the weight rises to the upper edge, in units of the lowest mantissa bit,
            float32, same shape.
        largest: Magnitudes that have their exact rank, ascending, float64 [m].
        exact: Weights of `largest`, float64 [m].
        total: Predicted sum of the weights of the non-zero entries, float64, 0-d.
        squares: Predicted sum of the squares of the weighted entries, float64, 0-d.
    """

    level: Tensor
    rise: Tensor
    largest: Tensor
    exact: Tensor
    total: Tensor
    squares: Tensor

    @classmethod
    def of(cls, sketch: Sketch, *, d: int, beta: Tensor, w_max: float, share: float) -> RankWeights:
        """The weights of a sample.

        Args:
            sketch: The sketch of the whole sample.
            d: Number of entries, zeros included.
            beta: Exponent, float64, 0-d.
            w_max: Limit on a weight, infinity for none.
            share: Limit on the share of one coordinate in the squared length, 1 for none; `cap`.
        """
        largest = sketch.largest.flip(0)
        exact_rank = average_ranks(largest)
        # Ties of the smallest may be missing, so it has no exact rank, but for zeros.
        ranked = largest > largest[0]
        first = ranked.sum().double() + 0.5
        rank = _rank_at_edges(sketch.histogram, largest[0], first)
        lower, upper = _without_steps(rank, sketch.histogram.bits)
        exact, at_lower, at_upper = (
            (ranks / max(d, 1)).pow(-beta).clamp(max=w_max) for ranks in (exact_rank, lower, upper)
        )
        edges = binned.edges(TABLE_BITS, largest.device)
        held = -rank.maximum(first).diff()
        middle = (at_lower + at_upper) / 2
        squared = held * ((edges[1:] + edges[:-1]) / 2).square()
        # The model of a bin is good to a part in a thousand, the sum of squares known; so the
        # model need only say how much the weights change that.
        rest = (sketch.squares - (largest * ranked).square().sum()).clamp(min=0)
        grown = (squared * middle.square()).sum() / squared.sum()
        weighted = rest * grown.masked_fill(grown.isnan(), 1)
        if share < 1:
            limit = cap(largest * ranked, exact, weighted, sketch.squares, share)
            exact = exact.minimum((limit / largest).where(ranked, torch.inf))
        return cls(
            level=_padded(at_lower),
            rise=_padded((at_upper - at_lower) * 2.0 ** (TABLE_BITS - 23)),
            largest=largest,
            exact=exact,
            total=(exact * ranked).sum() + (held * middle).sum(),
            squares=(exact * largest * ranked).square().sum() + weighted,
        )

    def normalized(self, sketch: Sketch, normalize: Normalize) -> RankWeights:
        """Scale the weights so that, by prediction, the weighted sample keeps its size."""
        if normalize == "none":
            return self
        if normalize == "mean_one":
            return self.scaled(_ratio(sketch.histogram.n.double(), self.total))
        return self.scaled(_ratio(sketch.squares, self.squares).sqrt())

    def scaled(self, factor: Tensor) -> RankWeights:
        """All weights multiplied by a number, float64, 0-d."""
        return replace(
            self,
            level=self.level * factor,
            rise=self.rise * factor,
            exact=self.exact * factor,
            total=self.total * factor,
            squares=self.squares * factor.square(),
        )

    def to(self, device: torch.device) -> RankWeights:
        """The same weights on a device."""
        return (
            self
            if device == self.level.device
            else RankWeights(**{name: getattr(self, name).to(device) for name in self.__slots__})
        )

    @property
    def amplified(self) -> Tensor:
        """The largest magnitudes after weighting, float64 [m], descending."""
        return (self.exact * self.largest).sort(descending=True).values


def n_exact(d: int, k: K) -> int:
    """Number of the largest magnitudes that a sketch of `d` entries must keep."""
    size = max_tail_size(d, k)
    return min(max(size + size // MARGIN + 2, TOP), d + 1)


def average_ranks(ascending: Tensor) -> Tensor:
    """Ranks of sorted magnitudes, 1 for the largest, those of equal ones averaged, float64 [m]."""
    place = torch.arange(ascending.numel(), device=ascending.device)
    differs = ascending.diff() != 0
    end = differs.new_ones(1)
    # The first and the last place of each run of equal magnitudes; a search would be slower.
    first = place.where(torch.cat([end, differs]), 0).cummax(0).values
    last = place.where(torch.cat([differs, end]), place.numel() - 1)
    last = last.flip(0).cummin(0).values.flip(0)
    return place.numel() - (first + last).double() / 2


def cap(x: Tensor, weights: Tensor, rest: Tensor, before: Tensor, share: float) -> Tensor:
    """The largest weighted coordinate for which its share of the squared length is `share`.

    If one coordinate has a larger share before weighting, that share is the limit. With j
    coordinates cut to c, c**2 is to be `share` of j c**2 + R_j, where R_j are the squares of the
    others; j is the first for which the next coordinate is below c.

    Args:
        x: The largest magnitudes, ascending, float64 [m].
        weights: Weights of `x`, float64 [m].
        rest: Sum of the squares of all other weighted entries, float64, 0-d.
        before: Sum of the squares of all entries unweighted, float64, 0-d.
        share: In (0, 1].

    Returns:
        float64, 0-d; infinite if nothing needs to be cut.
    """
    squares = (x * weights).square()
    top = squares.topk(min(MAX_CAPPED, squares.numel())).values
    cut = torch.arange(top.numel(), device=x.device)
    others = squares.sum() + rest - (top.cumsum(0) - top)
    # A hair more, lest rounding cut what is not weighted at all.
    allowed = (x[-1].square() / before * (1 + 1e-9)).nan_to_num(nan=1.0).clamp(min=share)
    room = 1 - allowed * cut
    limits = (allowed * others / room).where(room > 0, torch.inf)
    first = (top <= limits).long().argmax()
    return limits.take(first).sqrt().where(first > 0, torch.inf)


def _rank_at_edges(histogram: LogHistogram, known: Tensor, its_rank: Tensor) -> Tensor:
    """Ranks at the edges of the table, float64 [255 * 2**TABLE_BITS + 1], falling.

    Args:
        histogram: The sample's.
        known: The magnitude above which ranks are exact, float64, 0-d.
        its_rank: The rank at that magnitude, float64, 0-d.
    """
    device, bits = known.device, histogram.bits
    logs = binned.log_edges(TABLE_BITS, device)
    rank = binned.ranks(histogram.counts, bits, binned.edges(TABLE_BITS, device)[:-1].float())
    rank = torch.cat([rank, rank.new_full((1,), 0.5)])
    # In the bin where the exact ranks begin, interpolate towards the first of them.
    log_known = known.clamp(min=binned.TINIEST).log()
    edge = torch.arange(logs.numel(), device=device)
    corner = ((binned.log_edges(bits, device) <= log_known).sum() - 1) << (TABLE_BITS - bits)
    beyond = (logs < log_known).sum()
    way = (logs - logs.take(corner)) / (log_known - logs.take(corner))
    start = rank.take(corner)
    aimed = start * (its_rank / start).pow(way)
    rank = aimed.where((edge >= corner) & (edge <= beyond) & way.isfinite(), rank)
    return rank.maximum(rank.take(beyond).maximum(its_rank / 2))


def _without_steps(rank: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    """Ranks at the lower and the upper edges of the table's bins, equal where entries are tied.

    If the rank falls within a bin faster than in any law, most of its entries are the same number.
    They share their mean rank, wherever in the bin they lie.
    """
    fine = 1 << (TABLE_BITS - bits)
    at_bins = rank[::fine]
    steep = -at_bins.log().diff() > MAX_TAIL_INDEX * binned.log_edges(bits, rank.device).diff()
    middle = ((at_bins[1:] + at_bins[:-1]) / 2).repeat_interleave(fine)
    tied = steep.repeat_interleave(fine)
    return middle.where(tied, rank[:-1]), middle.where(tied, rank[1:])


def _padded(table: Tensor) -> Tensor:
    """Append entries for the bit patterns of infinities and NaNs, which no weight makes finite."""
    return torch.cat([table, table.new_ones(1 << TABLE_BITS)]).float()


def _ratio(wanted: Tensor, found: Tensor) -> Tensor:
    """The ratio in float32; a ratio of 1 but for rounding then changes nothing."""
    ratio = (wanted / found).float().double()
    return ratio.where(ratio.isfinite() & (ratio > 0), 1)
