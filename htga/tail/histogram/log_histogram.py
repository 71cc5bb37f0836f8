"""Mergeable counts of magnitudes on fixed bins.

A bin is the top bits of an IEEE float32: its exponent and `bits` of its mantissa. So the bins, and
the bytes, are those of `htga_client.wire.histogram`. Finding a bin takes a shift, so the same
numbers fall into the same bins on every device; counts are integers, so histograms merge by
addition, bit for bit, over layers, processes and steps. At 3 bits a bin is 7 to 13 % wide. On a
million Pareto, Student-t or stable entries the tail index of the largest 1 % then agrees with that
of the order statistics at the same k to 0.1 %, and at any k to a fifth of its standard error; on
lighter tails, which bend within a bin, to a percent or two.
"""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor
from torch.distributed import ProcessGroup

from htga.tail.estimate import TailEstimate
from htga.tail.flat_tensors import Tensors, pieces
from htga.tail.histogram import binned
from htga.tail.histogram.counting import count, float32
from htga.tail.tail_size import K
from htga_client.wire.histogram import MAX_BITS, decode, encode, n_bins


class LogHistogram:
    """Counts of |x| by the top bits of float32.

    Only `to_bytes`, `==` and `repr` wait for the device.

    * Zeros are counted apart. Subnormals are not zeros: they have their own bins, though `hill`
      never puts its threshold among them.
    * Half precision is widened, which is exact. float64 is rounded to the nearest float32; what
      is out of float32's range goes into the nearest bin, so a finite number is never counted as
      an infinity, nor a non-zero one as a zero.
    * Of a sparse tensor only the stored values count, duplicates summed first; of a distributed
      tensor, the local shard, see `all_reduce`.

    Args:
        bits: Mantissa bits from 0 to 8, so `2**bits` bins per octave.
        device: Device of the counts; the CPU if None.

    Attributes:
        bits: As given.
        state: All counts as one tensor, see `htga.tail.histogram.counting`.

    Raises:
        ValueError: `bits` is out of range.
    """

    __slots__ = ("bits", "state")

    def __init__(self, bits: int = 3, device: torch.device | str | None = None) -> None:
        if not 0 <= bits <= MAX_BITS:
            raise ValueError(f"bits must be from 0 to {MAX_BITS}, got {bits}")
        self.bits = bits
        self.state = torch.zeros(n_bins(bits) + 2, dtype=torch.int64, device=device)

    @classmethod
    def of_state(cls, state: Tensor, bits: int) -> Self:
        """Wrap a state as of `htga.tail.histogram.counting`, which the histogram writes to."""
        histogram = cls.__new__(cls)
        histogram.bits, histogram.state = bits, state
        return histogram

    @property
    def counts(self) -> Tensor:
        """int64 counts of shape [255 * 2**bits], a view."""
        return self.state[:-2]

    @property
    def n(self) -> Tensor:
        """Number of finite non-zero entries, int64, 0-d."""
        return self.counts.sum()

    @property
    def n_zero(self) -> Tensor:
        """Number of exact zeros, int64, 0-d, a view."""
        return self.state[-2]

    @property
    def n_nonfinite(self) -> Tensor:
        """Number of NaNs and infinities, int64, 0-d, a view."""
        return self.state[-1]

    @property
    def edges(self) -> Tensor:
        """Lower edges of the bins and the upper edge of the last, float64 [255 * 2**bits + 1]."""
        return binned.edges(self.bits, self.state.device).clone()

    def update(self, x: Tensors) -> Self:
        """Count the magnitudes of one tensor, or of several, in one pass.

        Raises:
            TypeError: `x` is neither a tensor nor a sequence of them.
            ValueError: A tensor is not floating point.
        """
        device = self.state.device
        self.state += count([part.to(device) for part in pieces(x)], self.bits, device)
        return self

    def merge(self, other: LogHistogram) -> Self:
        """Add the counts of `other` to this one's.

        Raises:
            ValueError: The two differ in `bits`.
        """
        self.state += self._alike(other)
        return self

    def __add__(self, other: LogHistogram) -> LogHistogram:
        return LogHistogram(self.bits, self.state.device).merge(self).merge(other)

    def __sub__(self, other: LogHistogram) -> LogHistogram:
        """The counts of this sample without those of a part of it.

        Counts become negative if `other` is not a part of it; checking that would have to wait.
        """
        left = LogHistogram(self.bits, self.state.device)
        left.state.copy_(self.state).sub_(self._alike(other))
        return left

    def all_reduce(self, group: ProcessGroup | None = None) -> Self:
        """Add the counts of all processes of a group, by one collective operation.

        Every process then holds the same counts, those of the whole sample if each has counted its
        own shard. Only one process may count what is replicated.
        """
        torch.distributed.all_reduce(self.state, group=group)
        return self

    def hill(self, k: K = "auto") -> TailEstimate:
        """Estimate the tail index by the maximum likelihood of a binned Pareto tail.

        The tail begins at the edge with the number of entries above it that is nearest to `k`; with
        t = edge / that edge, alpha maximises sum_j n_j ln(t_j**-alpha - t_(j+1)**-alpha). Under a
        Pareto tail this is consistent whatever the width of the bins. The standard error comes
        from the observed information.

        Args:
            k: Tail size: a number, a fraction of the non-zero entries, "power" for
            n**0.6, or "auto" for 1 %, at least 50.

        Raises:
            ValueError: `k` is out of range.
        """
        return binned.hill(
            self.counts,
            self.bits,
            binned.tail_of(self.counts, self.bits, k),
            n_zero=self.n_zero.clone(),
            n_nonfinite=self.n_nonfinite.clone(),
        )

    def survival(self) -> tuple[Tensor, Tensor]:
        """P(|x| >= edge) among the finite non-zero entries, at the lower edge of every bin.

        Returns:
            The edges and the probabilities, float64 of shape [255 * 2**bits] each; the
            probabilities are NaN if there is no entry.
        """
        above = binned.at_least(self.counts).double()
        return self.edges[:-1], above / above[0]

    def quantile(self, q: float | Tensor) -> Tensor:
        """Quantiles of the finite non-zero magnitudes, interpolated within a bin.

        Args:
            q: Probability or probabilities in [0, 1].

        Returns:
            float64, shaped like `q`; NaN if there is no entry.
        """
        q = torch.as_tensor(q, dtype=torch.float64, device=self.state.device)
        return binned.quantile(self.counts, self.bits, q)

    def ranks(self, x: Tensor, top: Tensor | None = None) -> Tensor:
        """Rank of each magnitude of `x` among those counted, 1 for the largest.

        Within a bin the rank is interpolated, which is right to a few percent except for the
        largest ten or so. Pass those as `top` (1024 are plenty) to rank them exactly. Equal
        magnitudes get equal ranks, in `top` their average; a zero gets n + 1/2, NaN and infinity
        get NaN.

        Args:
            x: Any shape, on the device of the counts.
            top: The largest magnitudes counted, in descending order.

        Returns:
            float64, shaped like `x`.

        Raises:
            ValueError: `x` is not floating point.
        """
        (flat,) = pieces(x.contiguous())
        rank = binned.ranks(self.counts, self.bits, float32(flat.abs()))
        if top is not None and top.numel():
            rising = top.flip(0).contiguous()
            at = flat.abs().to(torch.promote_types(flat.dtype, rising.dtype))
            # Ties of the last one may be missing, so its rank is not exact.
            not_below, not_above = (
                torch.searchsorted(rising.to(at.dtype), at, right=right) for right in (False, True)
            )
            exact = top.numel() - (not_below + not_above - 1) / 2.0
            rank = torch.where((at > top[-1]) & at.isfinite(), exact.double(), rank)
        return rank.view(x.shape)

    def to_bytes(self) -> bytes:
        """Encode as `htga_client.wire.histogram`, as telemetry sends it; waits for the device."""
        *counts, n_zero, n_nonfinite = self.state.tolist()
        return encode(counts, bits=self.bits, n_zero=n_zero, n_nonfinite=n_nonfinite)

    @classmethod
    def from_bytes(cls, data: bytes, device: torch.device | str | None = None) -> Self:
        """Decode the bytes of `to_bytes`.

        Raises:
            ValueError: The bytes are not a histogram.
        """
        packed = decode(data)
        histogram = cls(packed.bits, device)
        state = torch.zeros_like(histogram.state, device="cpu")
        state[packed.first : packed.first + packed.counts.size] = torch.tensor(
            packed.counts, device="cpu"
        )
        state[-2], state[-1] = packed.n_zero, packed.n_nonfinite
        histogram.state.copy_(state)
        return histogram

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, LogHistogram):
            return NotImplemented
        return self.bits == other.bits and torch.equal(self.state, other.state)

    __hash__ = None  # type: ignore[assignment] # it changes, so it cannot be a key

    def __repr__(self) -> str:
        return (
            f"LogHistogram(bits={self.bits}, n={self.n}, n_zero={self.n_zero}, "
            f"n_nonfinite={self.n_nonfinite})"
        )

    def _alike(self, other: LogHistogram) -> Tensor:
        """The state of another histogram with the same bins, on this device."""
        if other.bits != self.bits:
            raise ValueError(
                f"bits must be equal to merge, got {self.bits} and {other.bits}; "
                "make both histograms with the same bits"
            )
        return other.state.to(self.state.device)
