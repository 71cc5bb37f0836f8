"""A second implementation of the optimizer for tests: slow, on lists of Python floats.

It sorts all entries, as the proposal does. It does not follow the optimizer's modules line by line,
so that a test that steps both finds the mistakes of either. It covers one sample of dense, finite
gradients that is large enough for an estimate, with scope "global" or "rms_normalised".
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, fsum, hypot, inf, isnan, log, nan, sqrt
from statistics import fmean

from htga.optim.settings import Settings


@dataclass(frozen=True, slots=True)
class ReferenceState:
    """The controller's state, as Python floats."""

    alpha_bar: float = nan
    gamma: float = 1.0


def tail_size(n: int, k: float | str) -> int:
    """The k that belongs to `n` non-zero entries."""
    if isinstance(k, int):
        return k
    if k == "power":
        return int(min(max(round(n**0.6), 50), n // 10))
    if isinstance(k, str):
        return max(round(n / 100), 50)
    return max(round(k * n), 50)


def hill_alpha(x: list[float], k: int) -> float:
    """Hill's estimate from the k + 1 largest magnitudes."""
    s = sorted((abs(value) for value in x), reverse=True)
    return k / fsum(log(s[i] / s[k]) for i in range(k))


def moment_alpha(x: list[float], k: int) -> float:
    """1 / xi of the moment estimator, for a heavy tail."""
    s = sorted((abs(value) for value in x), reverse=True)
    m1, m2 = (fsum(log(s[i] / s[k]) ** power for i in range(k)) / k for power in (1, 2))
    return 1 / (m1 + 1 - 0.5 / (1 - m1**2 / m2))


def rank_of_each(x: list[float], ties: str) -> list[float]:
    """1 for the largest magnitude; equal ones by position, or their average."""
    order = sorted(range(len(x)), key=lambda i: (-abs(x[i]), i))
    ordinal = {i: rank for rank, i in enumerate(order, start=1)}
    if ties == "ordinal":
        return [float(ordinal[i]) for i in range(len(x))]
    alike: dict[float, list[int]] = {}
    for i, rank in ordinal.items():
        alike.setdefault(abs(x[i]), []).append(rank)
    return [fmean(alike[abs(value)]) for value in x]


def largest_allowed(before: list[float], after: list[float], share: float) -> float:
    """How large an entry of `after` may be to hold no larger share of its squared length.

    No share is cut below the largest one of `before`. Found by cutting the largest entries to a
    common value, one more at a time, until none of the others exceeds it.
    """
    squares = sorted((y * y for y in after), reverse=True)
    share = max(share, max(x * x for x in before) / fsum(x * x for x in before) * (1 + 1e-9))
    for cut, square in enumerate(squares):
        room = 1 - share * cut
        limit = share * fsum(squares[cut:]) / room if room > 0 else inf
        if square <= limit:
            return sqrt(limit) if cut else inf
    return inf


def average(alpha_bar: float, alpha: float, settings: Settings) -> float:
    """The moving average after one more estimate."""
    alpha, lam = min(max(alpha, 0.1), 20.0), settings.smoothing
    if isnan(alpha_bar):
        return alpha
    if settings.smoothing_of == "alpha":
        return lam * alpha_bar + (1 - lam) * alpha
    return 1 / (lam / alpha_bar + (1 - lam) / alpha)


def gain(gamma: float, alpha_bar: float, settings: Settings) -> float:
    """The next gamma."""
    if settings.fixed_gamma is not None:
        return settings.fixed_gamma
    if settings.actuator not in {"gamma", "both"}:
        return 1.0
    error = (settings.target_alpha - alpha_bar) / settings.target_alpha
    if settings.direction == "regulating":
        error = -error
    if settings.law == "proportional":
        gamma = 1 + settings.gain * error
    else:
        gamma = exp(log(gamma) + settings.gain * error)
    low, high = settings.gamma_bounds
    return min(max(gamma, low), high)


def exponent(x: list[float], alpha: float, k: int, settings: Settings) -> float:
    """The exponent beta."""
    if settings.actuator not in {"beta", "both"}:
        return settings.beta
    low, high = max(settings.beta_bounds[0], -0.9 / alpha), settings.beta_bounds[1]
    c_k = fsum(log((k + 1) / r) for r in range(1, k + 1)) / k
    beta = min(max((1 / settings.target_alpha - 1 / alpha) / c_k, low), high)
    if beta < 0 and settings.estimator == "hill":  # Neighbours are exchanged: twice add the miss.
        ordered = sorted((abs(value) for value in x if value), reverse=True)
        for _ in range(2):
            tempered = [s * r**-beta for r, s in enumerate(ordered, start=1)]
            beta += (1 / settings.target_alpha - 1 / hill_alpha(tempered, k)) / c_k
            beta = min(max(beta, low), high)
    return beta


def weigh(x: list[float], beta: float, settings: Settings) -> list[float]:
    """Weights by the ranks of `x`, before they are normalised."""
    d = len(x)
    weights = [min((r / d) ** -beta, settings.w_max) for r in rank_of_each(x, settings.ties)]
    if settings.max_coord_share == 1:
        return weights
    after = [w * abs(value) for w, value in zip(weights, x, strict=True)]
    limit = largest_allowed(x, after, settings.max_coord_share)
    return [
        limit / abs(value) if y > limit else w
        for w, value, y in zip(weights, x, after, strict=True)
    ]


def step(
    tensors: list[list[float]], controller: ReferenceState, settings: Settings
) -> tuple[list[float], ReferenceState]:
    """Amplify the gradient whose tensors are given; returns it, end to end, and the new state."""
    x = [value for tensor in tensors for value in tensor]
    seen = x
    if settings.scope == "rms_normalised":
        rms = [hypot(*tensor) / sqrt(len(tensor)) for tensor in tensors]
        seen = [v / scale for tensor, scale in zip(tensors, rms, strict=True) for v in tensor]
    k = tail_size(sum(value != 0 for value in x), settings.k)
    alpha = (hill_alpha if settings.estimator == "hill" else moment_alpha)(seen, k)
    alpha_bar = average(controller.alpha_bar, alpha, settings)
    gamma = gain(controller.gamma, alpha_bar, settings)
    weights = weigh(seen, exponent(seen, alpha, k, settings), settings)
    scale = 1.0
    if settings.normalize == "mean_one":
        ranked = [w for w, value in zip(weights, x, strict=True) if value != 0]
        scale = len(ranked) / fsum(ranked)
    elif settings.normalize == "l2":
        scale = hypot(*x) / hypot(*(w * value for w, value in zip(weights, x, strict=True)))
    amplified = [gamma * scale * w * value for w, value in zip(weights, x, strict=True)]
    return amplified, ReferenceState(alpha_bar, gamma)
