"""One state for several samples."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import torch
from torch import Tensor

from htga.tail import LogHistogram, TailState, TailStatus


def combined_state(tails: Sequence[TailState]) -> TailState | None:
    """What several samples look like together; of a single one, its own state.

    * Counts, histograms and squared lengths add up.
    * gamma and beta are means over the samples, weighted by their number of entries.
    * The tail indices and control_stderr are the reciprocals of such means of the reciprocals, over
      the samples that have them.
    * The status is OK if that of any sample is, otherwise the first sample's; NONFINITE goes first.
    """
    if len(tails) < 2:
        return tails[0] if tails else None
    device = tails[0].gamma.device

    def of(name: str) -> Tensor:
        return torch.stack([getattr(tail, name).to(device) for tail in tails])

    weight = of("n").double()
    status = of("status")

    def mean(x: Tensor, has: Tensor | None = None) -> Tensor:
        has = torch.ones_like(x, dtype=torch.bool) if has is None else has
        return (x * weight).where(has, 0).sum() / weight.where(has, 0).sum()

    def harmonic(name: str) -> Tensor:
        x = of(name)
        return 1 / mean(1 / x, ~x.isnan())

    norms = of("grad_norm")
    length = norms.square().sum().sqrt()
    ok, nonfinite = status == TailStatus.OK, status == TailStatus.NONFINITE
    worst = torch.where(nonfinite.any(), TailStatus.NONFINITE, status[0]).to(torch.int8)
    return TailState(
        control_alpha=harmonic("control_alpha"),
        control_alpha_bar=harmonic("control_alpha_bar"),
        control_stderr=harmonic("control_stderr"),
        xi=mean(of("xi"), ~of("xi").isnan()),
        k=of("k").sum(),
        n=of("n").sum(),
        gamma=mean(of("gamma")),
        beta=mean(of("beta")),
        target_alpha=tails[0].target_alpha,
        update_alpha=harmonic("update_alpha"),
        grad_norm=length,
        norm_ratio=(of("norm_ratio") * norms).square().nan_to_num().sum().sqrt() / length,
        n_zero=of("n_zero").sum(),
        n_nonfinite=of("n_nonfinite").sum(),
        status=torch.where(ok.any() & ~nonfinite.any(), TailStatus.OK, worst).to(torch.int8),
        skipped=tails[0].skipped,
        histogram=reduce(LogHistogram.__add__, (_on(tail, device) for tail in tails)),
    )


def _on(tail: TailState, device: torch.device) -> LogHistogram:
    histogram = LogHistogram(tail.histogram.bits, device)
    histogram.state.copy_(tail.histogram.state)
    return histogram
