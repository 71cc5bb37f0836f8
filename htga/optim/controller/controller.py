"""The controller: gamma and beta as functions of the tail index.

A scalar gamma cannot change a tail index: Hill's estimator is scale invariant, so gamma is a
multiplier of the learning rate. The rank exponent can: weights (r/d)**-beta add beta * c_k to
1 / alpha exactly, which `exact_beta` inverts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from htga.optim.settings import Direction, Settings
from htga.tail import Measurement, TailStatus, smooth
from htga.tail.order_statistics import OrderStatistics

TEMPERING_LIMIT = 0.9
"""Bounds beta by -0.9 / alpha_hat: near -1 / alpha_hat weights reverse the order of entries."""


REFINEMENTS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class ControllerState:
    """State of the controller between two steps.

    With one sample every field is 0-d, with S samples all but `skipped` have shape [S].

    Attributes:
        alpha_bar: Moving average of the tail index, float64; NaN before the first estimate.
        gamma: Factor on the gradient, float64.
        beta: Exponent of the rank weights, float64.
        skipped: Number of steps skipped so far, int64.
    """

    alpha_bar: Tensor
    gamma: Tensor
    beta: Tensor
    skipped: Tensor


def start(settings: Settings, device: torch.device, shape: tuple[int, ...] = ()) -> ControllerState:
    """The state before the first step; `shape` is () for one sample, (S,) for several."""
    return ControllerState(
        alpha_bar=torch.full(shape, torch.nan, dtype=torch.float64, device=device),
        gamma=torch.full(shape, settings.constant_gamma, dtype=torch.float64, device=device),
        beta=torch.full(shape, settings.beta, dtype=torch.float64, device=device),
        skipped=torch.zeros((), dtype=torch.int64, device=device),
    )


def grown(
    controller: ControllerState, device: torch.device, shape: tuple[int, ...], settings: Settings
) -> ControllerState:
    """The state on a device, with room for samples that were added at the end."""
    if controller.gamma.shape == shape and controller.gamma.device == device:
        return controller
    fresh = start(settings, device, shape)
    for name in ("alpha_bar", "gamma", "beta"):
        known = getattr(controller, name).reshape(-1)
        getattr(fresh, name).view(-1)[: known.numel()] = known
    return replace(fresh, skipped=controller.skipped.to(device))


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """The estimates that the controller acts on, in the shape of its state.

    Attributes:
        alpha_hat: Tail index, float64.
        k: Size of the tail that it was estimated from, int64.
        status: Its `TailStatus`, int8.
    """

    alpha_hat: Tensor
    k: Tensor
    status: Tensor


def advance(
    controller: ControllerState, seen: Observation | Measurement, settings: Settings
) -> ControllerState:
    """The state after a measurement. An unusable estimate moves neither gamma nor beta."""
    usable = seen.status == TailStatus.OK
    alpha_bar = smooth(
        controller.alpha_bar, seen.alpha_hat, seen.status, settings.smoothing, settings.smoothing_of
    )
    gamma = torch.full_like(controller.gamma, settings.constant_gamma)
    if settings.controls_gamma:
        error = relative_error(alpha_bar, settings.target_alpha, settings.direction)
        if settings.law == "proportional":
            moved = proportional_gamma(error, settings.gain, settings.gamma_bounds)
        else:
            moved = integral_gamma(controller.gamma, error, settings.gain, settings.gamma_bounds)
        gamma = torch.where(usable, moved, controller.gamma)
    beta = torch.full_like(controller.beta, settings.beta)
    if settings.controls_beta:
        moved = exact_beta(seen.alpha_hat, seen.k, settings.target_alpha, settings.beta_bounds)
        beta = torch.where(usable, moved, controller.beta)
    return ControllerState(alpha_bar=alpha_bar, gamma=gamma, beta=beta, skipped=controller.skipped)


def relative_error(alpha_bar: Tensor, target_alpha: float, direction: Direction) -> Tensor:
    """How much gamma should rise: 1 - alpha_bar / target_alpha as the proposal writes it.

    That sign amplifies a tail that is too heavy already; "regulating" reverses it.
    """
    error = 1 - alpha_bar / target_alpha
    return error if direction == "as_written" else -error


def proportional_gamma(error: Tensor, gain: float, bounds: tuple[float, float]) -> Tensor:
    """1 + gain * error, within bounds: the proposal's law, without@controller."""
    return (1 + gain * error).clamp(*bounds)


def integral_gamma(
    gamma: Tensor, error: Tensor, gain: float, bounds: tuple[float, float]
) -> Tensor:
    """The last gamma times exp(gain * error); the bounds keep the integral from winding up."""
    return (gamma * (gain * error).exp()).clamp(*bounds)


def exact_beta(
    alpha_hat: Tensor, k: Tensor, target_alpha: float, bounds: tuple[float, float]
) -> Tensor:
    """The exponent that puts the update's tail index on target: (1/target - 1/alpha_hat) / c_k.

    Args:
        alpha_hat: Hill's estimate at `k`, float64, 0-d.
        k: Size of the tail, int64, 0-d.
        target_alpha: Where the update's tail index should be.
        bounds: Limits on the result; it also stays above -0.9 / alpha_hat, so that tempering
            keeps the entries in their order.
    """
    return bounded((1 / target_alpha - 1 / alpha_hat) / rank_constant(k), alpha_hat, bounds)


def refined_beta(
    beta: Tensor, top: OrderStatistics, target_alpha: float, bounds: tuple[float, float]
) -> Tensor:
    """Correct a negative exponent for the neighbours that it exchanges.

    `exact_beta` supposes that entries keep their order. Where they are closer than the weights
    are apart, tempering exchanges some, and the tail index misses the target by up to a percent.
    So the index of the tempered entries is computed and the miss added, twice.

    Args:
        beta: From `exact_beta`, float64, 0-d, or [S] for S samples; returned as it is where it is
            not negative.
        top: The tail and, beyond it, the entries that may enter it; of as many samples.
        target_alpha, bounds: As in `exact_beta`.
    """
    logs = top.largest.log()
    m = logs.shape[-1]
    log_ranks = torch.arange(1, m + 1, device=logs.device).double().log()
    place = top.k.clamp(max=m - 1).unsqueeze(-1)
    refined = beta
    for _ in range(REFINEMENTS):
        after = (logs - refined.unsqueeze(-1) * log_ranks).sort(descending=True).values
        found = (after - after.gather(-1, place)).where(top.in_tail, 0).sum(-1) / top.k
        refined = refined + (1 / target_alpha - found) / rank_constant(top.k)
        refined = bounded(refined, 1 / top.m1, bounds)
    return refined.where((beta < 0) & refined.isfinite(), beta)


def bounded(beta: Tensor, alpha_hat: Tensor, bounds: tuple[float, float]) -> Tensor:
    """Within `bounds`, and above -0.9 / alpha_hat, whichever is nearer to zero."""
    low, high = bounds
    return beta.clamp(max=high).maximum((-TEMPERING_LIMIT / alpha_hat).clamp(min=low))


def rank_constant(k: Tensor) -> Tensor:
    """c_k = ln(k + 1) - lnGamma(k + 1) / k: what Hill at `k` makes of the weights r**-1.

    It is the mean of ln((k + 1) / r) over r = 1..k, and rises to 1. For weights r**-beta that
    keep the order of distinct magnitudes, 1/alpha after = 1/alpha before + beta * c_k exactly.
    """
    size = k.double()
    return size.log1p() - torch.lgamma(size + 1) / size
