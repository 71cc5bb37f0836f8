"""Tail-index estimation: estimators, the mergeable histogram, and the choice of k.

Every estimator takes a tensor or a list of tensors, looks at the magnitudes of their entries, and
returns a `TailEstimate`. Bad data is reported in its `status`; only a bad argument raises.
"""

from __future__ import annotations

from htga.tail.choose_k import K, choose_k
from htga.tail.entries import Tensors
from htga.tail.estimate import TailEstimate, TailStatus
from htga.tail.hill import hill
from htga.tail.log_histogram import LogHistogram
from htga.tail.measure import Measurement, measure
from htga.tail.moment import moment
from htga.tail.smoothing import smooth
from htga.tail.state import TailState

__all__ = [
    "K",
    "LogHistogram",
    "Measurement",
    "TailEstimate",
    "TailState",
    "TailStatus",
    "Tensors",
    "choose_k",
    "hill",
    "measure",
    "moment",
    "smooth",
]
