"""Reweighting by ranks from a sort of all entries, as in the proposal."""

from __future__ import annotations

import torch
from torch import Tensor

from htga.optim.settings import Settings
from htga.optim.weights.by_sorting import amplify
from htga.optim.weights.samples import Sample
from htga.tail.flat_tensors import widened


def reweight_exactly(sample: Sample, beta: Tensor, gamma: Tensor, settings: Settings) -> None:
    """Multiply every entry of a sample by its weight and by gamma, in place.

    Raises:
        ValueError: The sample is sharded, so no process could sort it.
    """
    if any(bucket.groups for bucket in sample.buckets):
        raise ValueError(
            "ranks='exact' sorts all entries, which a sharded gradient does not have in one place; "
            "pass ranks='fast', ties='average'"
        )
    home = sample.device
    raw, seen = [], []
    for bucket in sample.buckets:
        for i, x in enumerate(bucket.entries):
            wide = x.to(home, widened(x.dtype))
            raw.append(wide)
            seen.append(wide if bucket.scales is None else wide * bucket.scales[i].to(home))
    y = amplify(
        torch.cat(raw),
        beta=beta,
        gamma=gamma,
        ties=settings.ties,
        normalize=settings.normalize,
        w_max=settings.w_max,
        max_coord_share=settings.max_coord_share,
        ranked_by=torch.cat(seen).abs(),
    )
    parts = sample.parts
    for part, piece in zip(parts, y.split([p.entries.numel() for p in parts]), strict=True):
        part.entries.copy_(piece)
