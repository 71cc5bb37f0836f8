"""Power law against lognormal and exponential law on the tail of a histogram, by likelihood ratio.

All three are fitted to the entries above the same threshold by maximum likelihood of what is known,
the counts of the bins. Vuong's test (Econometrica 1989) asks whether the mean difference of their
log-likelihoods is zero, as Clauset, Shalizi and Newman do (SIAM Review 2009).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

MAX_STEPS = 60
"""Maximum number of steps of a fit; ten are usual."""

NO_CURVATURE = 1e-7
"""The least curvature of a lognormal law, at which it is a power law but for the last digits."""

FAR = 20.0
"""Where the complementary error function is given by its asymptotic series, to 1e-9."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LawTest:
    """A power law against another law.

    Attributes:
        law: The other law, "lognormal" or "exponential".
        ratio: Logarithm of the likelihood ratio; positive where the power law fits better.
        z: `ratio` over its standard deviation.
        p: Probability of so large a |z| if both fit equally well, as if entries were independent.
    """

    law: str
    ratio: float
    z: float
    p: float


def compare_laws(edges: Floats, counts: NDArray[np.int64], threshold: float) -> list[LawTest]:
    """Test a power law against the others above `threshold`; no test if one bin has all entries.

    Args:
        edges: Increasing, shape [B + 1].
        counts: Entries from each edge up to the next, shape [B].
        threshold: Lower end of the tail, one of the edges, positive.
    """
    inside = (edges[:-1] >= threshold) & (counts > 0)
    n = counts[inside].astype(np.float64)
    if n.size < 2 or threshold <= 0:
        return []
    lower, upper = edges[:-1][inside] / threshold, edges[1:][inside] / threshold
    power = _of_steady_decay(n, np.log(lower), np.log(upper))
    others = {
        "lognormal": _of_lognormal(n, np.log(lower), np.log(upper)),
        "exponential": _of_steady_decay(n, lower - 1, upper - 1),
    }
    return [_vuong(law, n, power - other) for law, other in others.items()]


def _vuong(law: str, n: Floats, difference: Floats) -> LawTest:
    size, ratio = n.sum(), float((n * difference).sum())
    spread = math.sqrt(max(float((n * difference**2).sum() / size - (ratio / size) ** 2), 0.0))
    z = ratio / (spread * math.sqrt(size)) if spread > 0 else 0.0
    return LawTest(law=law, ratio=ratio, z=z, p=math.erfc(abs(z) / math.sqrt(2)))


def _of_steady_decay(n: Floats, lower: Floats, upper: Floats) -> Floats:
    """Log-probabilities of bins under the density r exp(-r y), y >= 0, at the most likely r.

    In y = ln(x / threshold) that is a power law, in y = x / threshold - 1 an exponential one.
    """
    width, distance, size = upper - lower, float((n * lower).sum()), float(n.sum())
    # The derivative of the likelihood is convex and falls, so that Newton's steps from below rise
    # to its root; with all entries at the upper ends of their bins the rate would be lower.
    rate = size / float((n * upper).sum())
    for _ in range(MAX_STEPS):
        stays, leaves = np.exp(-rate * width), -np.expm1(-rate * width)
        slope = float((n * stays * (width / leaves) ** 2).sum())
        step = (float((n * stays * width / leaves).sum()) - distance) / slope
        rate += step
        if abs(step) <= 1e-12 * rate:
            break
    found: Floats = -rate * lower + np.log(-np.expm1(-rate * width))
    return found


def _of_lognormal(n: Floats, lower: Floats, upper: Floats) -> Floats:
    """Log-probabilities of bins under the density exp(-a y - b y**2), y >= 0, most likely a and b.

    That is a lognormal law above a threshold, with y = ln(x / threshold); a power law at b = 0.
    Each step is the score over the empirical information, halved until it rises.
    """
    a, b = float(n.sum() / (n * upper).sum()), 1e-2
    best = _curved(a, b, lower, upper)
    height = float((n * best).sum())
    for _ in range(MAX_STEPS):
        h_a, h_b = 1e-5 * max(abs(a), 0.1), 1e-5 * max(b, 1e-3)
        score = np.stack([
            (_curved(a + h_a, b, lower, upper) - _curved(a - h_a, b, lower, upper)) / (2 * h_a),
            (_curved(a, b + h_b, lower, upper) - best) / h_b,
        ])  # fmt: skip
        information = (n * score) @ score.T
        step = np.linalg.lstsq(information, score @ n, rcond=1e-12)[0]
        before = height
        for half in range(30):
            at = (a + step[0] / 2**half, max(b + step[1] / 2**half, NO_CURVATURE))
            now = _curved(*at, lower, upper)
            reached = float((n * now).sum())
            if reached > height:
                (a, b), best, height = at, now, reached
                break
        if height - before < 1e-9 * n.sum():
            break
    return best


def _curved(a: float, b: float, lower: Floats, upper: Floats) -> Floats:
    root = math.sqrt(b)
    from_zero, at, beyond = (root * y + a / (2 * root) for y in (np.zeros(1), lower, upper))
    with np.errstate(all="ignore"):
        falls = np.exp(at**2 - beyond**2) * _erfcx(beyond)
        found: Floats = -(a + b * lower) * lower
        found = found + np.log(_erfcx(at) - falls) - np.log(_erfcx(from_zero))
    return np.where(np.isfinite(found), found, -1e6)


def _erfcx(z: Floats) -> Floats:
    """exp(z**2) erfc(z)."""
    far = np.maximum(z, FAR)
    inverse = 1 / (2 * far**2)
    series = 1 - inverse * (1 - 3 * inverse * (1 - 5 * inverse * (1 - 7 * inverse)))
    near = np.array([math.exp(x * x) * math.erfc(x) for x in np.clip(z, -26.0, FAR).tolist()])
    found: Floats = np.where(z < FAR, near, series / (far * math.sqrt(math.pi)))
    return found
