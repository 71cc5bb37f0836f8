"""The standard error of a tail index from entries that depend on one another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from htga.tail.estimate import TailEstimate
from htga.tail.histogram import binned
from htga.tail.histogram.log_histogram import LogHistogram
from htga.tail.tail_size import K


def jackknife(groups: Sequence[Tensor | LogHistogram], k: K = "auto") -> TailEstimate:
    """Hill's estimate of all groups, with a standard error that assumes only independent groups.

    Entries of one gradient are not independent: in a linear layer a small batch gives an outer
    product of few factors, and the usual standard error is several times too small. Leaving out one
    group at a time, at a fixed threshold, shows how far whole groups move the estimate:
    stderr**2 = (g - 1) / g * sum_j (alpha_(j) - mean)**2 (Tukey 1958). Histograms make this
    cheap: one is subtracted at a time.

    Args:
        groups: At least two: the tensors of a model, chunks of rows of one tensor, or their
            histograms.
        k: Tail size, as in `LogHistogram.hill`.

    Returns:
        `LogHistogram.hill` of all groups together, with the jackknife's `stderr`, which is NaN if
        the whole tail is in one group.

    Raises:
        ValueError: There are fewer than two groups, or `k` is out of range.
    """
    if len(groups) < 2:
        raise ValueError(
            f"groups must be at least two, got {len(groups)}; split a single tensor by rows"
        )
    parts = [
        LogHistogram(device=group.device).update(group) if isinstance(group, Tensor) else group
        for group in groups
    ]
    whole = sum(parts[1:], parts[0])
    tail = binned.tail_of(whole.counts, whole.bits, k)

    def estimate(of: LogHistogram) -> TailEstimate:
        return binned.hill(
            of.counts,
            of.bits,
            tail,
            n_zero=of.n_zero.clone(),
            n_nonfinite=of.n_nonfinite.clone(),
        )

    alphas = torch.stack([estimate(whole - part).alpha for part in parts])
    share = (len(parts) - 1) / len(parts)
    stderr = (share * (alphas - alphas.mean()).square().sum()).sqrt()
    return replace(estimate(whole), stderr=stderr)
