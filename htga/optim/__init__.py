"""The HTGA optimizer, its reference twin and the baselines it is compared with."""

from __future__ import annotations

from htga.optim.htga import HTGA
from htga.optim.settings import PRESETS, Settings

__all__ = ["HTGA", "PRESETS", "Settings"]
