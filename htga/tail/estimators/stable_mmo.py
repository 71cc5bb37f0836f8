"""The estimator of Mohammadi, Mohammadpour and Ogata for a symmetric stable law."""

from __future__ import annotations

import torch

from htga.tail.estimate import TailEstimate
from htga.tail.estimators.stable import WholeSample
from htga.tail.flat_tensors import Tensors


def stable_mmo(x: Tensors, m: int | None = None, *, seed: int | None = None) -> TailEstimate:
    """Estimate the index of a stable law from how the size of sums grows.

    Sums Y of m independent copies of a strictly stable X are as large as m**(1/alpha) X, so
    1/alpha = (mean ln|Y| - mean ln|X|) / ln m (Mohammadi, Mohammadpour and Ogata, Metrika 2015).
    The standard error is that of the mean of ln|Y|, next to which the other is small.

    It assumes independent entries of one symmetric stable law. The result is never much above 2,
    for any law. Sums are over consecutive entries, so the order of the sample matters: on layers of
    different scale the result changes when they are shuffled. It is a diagnostic of stability, not
    a measure of a tail.

    Args:
        x: The sample, at least 500 entries. Zeros, non-finite entries and the last entries that do
            not fill a sum are left out.
        m: Number of entries in a sum, at least 2; by default the square root of their number.
        seed: Seed to shuffle the sample with first; None to keep its order.

    Returns:
        An estimate whose k and n are the number of finite non-zero entries, and whose threshold is
        0. If alpha reaches 2, the Gaussian, status is LIGHT.

    Raises:
        TypeError: `x` is neither a tensor nor a sequence of them.
        ValueError: `m` is below 2, or `x` is not floating point.
    """
    if m is not None and m < 2:
        raise ValueError(f"m must be a number of entries of at least 2, got {m}")
    sample = WholeSample.of(x)
    entries, among = sample.x, sample.among
    if seed is not None:
        order = torch.randperm(entries.numel(), generator=torch.Generator().manual_seed(seed))
        order = order.to(entries.device)
        order = order.take((~among.take(order)).to(torch.int8).sort(stable=True).indices)
        entries = entries.take(order)
    size = sample.n.sqrt().long().clamp(min=2) if m is None else torch.full_like(sample.n, m)
    n_sums = sample.n // size
    index = torch.arange(entries.numel(), device=entries.device) // size
    # As many elements as there could be sums; those in use come first.
    sums = torch.zeros_like(entries).index_add_(0, index, entries)
    complete = torch.arange(entries.numel(), device=entries.device) < n_sums
    log_sums = torch.where(complete, sums.abs(), 1.0).log()
    used = torch.arange(entries.numel(), device=entries.device) < n_sums * size
    mean_entry = torch.where(used, entries.abs(), 1.0).log().sum() / (n_sums * size)
    mean_sum = log_sums.sum() / n_sums
    variance = torch.where(complete, log_sums - mean_sum, 0).square().sum() / (n_sums - 1)
    log_m = size.double().log()
    xi = (mean_sum - mean_entry) / log_m
    return sample.conclude(
        alpha=1 / xi,
        stderr=(variance / n_sums).sqrt() / log_m / xi.square(),
        defined=xi.isfinite() & (xi > 0) & (n_sums > 1),
    )
