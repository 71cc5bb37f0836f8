"""The HTGA optimizer, its reference twin and the baselines it is compared with."""

from __future__ import annotations

from htga.optim.baselines.bi_clip import Bi2Clip, BiClip
from htga.optim.baselines.clipped_sgd import ClippedSGD
from htga.optim.baselines.nsgd import NSGD
from htga.optim.htga import HTGA
from htga.optim.settings import PRESETS, Settings

__all__ = ["HTGA", "NSGD", "PRESETS", "Bi2Clip", "BiClip", "ClippedSGD", "Settings"]
