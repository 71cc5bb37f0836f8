"""Tail-index estimation: estimators, the mergeable histogram, and the choice of k.

In: a tensor or a list of tensors, of whose entries the magnitudes count. Out: a `TailEstimate`. Bad
data is reported in its `status`; only a bad argument raises. May import `htga_client`.
"""

from __future__ import annotations

from htga.tail.estimate import TailEstimate, TailStatus
from htga.tail.estimators.choose_k import choose_k
from htga.tail.estimators.confidence import confidence_interval
from htga.tail.estimators.goodness_of_fit import ks_distance
from htga.tail.estimators.hill import hill
from htga.tail.estimators.jackknife import jackknife
from htga.tail.estimators.moment import moment
from htga.tail.estimators.pickands import pickands
from htga.tail.estimators.qq import qq
from htga.tail.estimators.rank_regression import rank_regression
from htga.tail.estimators.smoothing import smooth
from htga.tail.estimators.stable_ecf import stable_ecf
from htga.tail.estimators.stable_mmo import stable_mmo
from htga.tail.estimators.stable_quantile import stable_quantile
from htga.tail.flat_tensors import Tensors
from htga.tail.histogram.fading import FadingHistogram
from htga.tail.histogram.log_histogram import LogHistogram
from htga.tail.measure import DrawnSample, Measurement, draw_sample, measure
from htga.tail.state import TailState
from htga.tail.tail_size import K

__all__ = [
    "Draw",
    "DrawnSample",
    "FadingHistogram",
    "K",
    "LogHistogram",
    "Measurement",
    "TailEstimate",
    "TailState",
    "TailStatus",
    "Tensors",
    "choose_k",
    "confidence_interval",
    "draw",
    "draw_sample",
    "hill",
    "jackknife",
    "ks_distance",
    "measure",
    "moment",
    "pickands",
    "qq",
    "rank_regression",
    "smooth",
    "stable_ecf",
    "stable_mmo",
    "stable_quantile",
]

Draw, draw = DrawnSample, draw_sample  # former names
