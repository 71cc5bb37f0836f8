"""The HTGA optimizer, and the baselines that it is compared with.

In: parameters with gradients. Out: steps, and the measurements of each in `HTGA.tail`. May import
`htga.tail`, and `statistics` and `wire` of the client.
"""

from __future__ import annotations

from htga.optim.baselines.bi_clip import Bi2Clip, BiClip
from htga.optim.baselines.clipped_sgd import ClippedSGD
from htga.optim.baselines.lion import Lion
from htga.optim.baselines.nsgd import NSGD
from htga.optim.htga import HTGA
from htga.optim.settings import PRESETS, Settings

__all__ = ["HTGA", "NSGD", "PRESETS", "Bi2Clip", "BiClip", "ClippedSGD", "Lion", "Settings"]
