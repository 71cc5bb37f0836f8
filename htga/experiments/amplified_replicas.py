"""HTGA on the gradients of many replicas at once."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from htga.optim.controller.controller import (
    ControllerState,
    Observation,
    advance,
    refined_beta,
    start,
)
from htga.optim.settings import Settings
from htga.optim.weights.by_sorting import capped, normalized
from htga.optim.weights.samples import reciprocal_rms
from htga.tail import TailStatus
from htga.tail.estimators.hill import hill_of
from htga.tail.order_statistics import OrderStatistics
from htga.tail.tail_size import k_for

SEEN = 256
"""Number of the largest entries among which tempering may exchange some.

HTGA itself looks at 1,024; the exponent differs by some 1e-6 where the noise is very heavy.
"""


@dataclass(slots=True)
class AmplifiedReplicas:
    """The controllers of R replicas.

    Attributes:
        settings: Those of every replica; `ranks` is taken to be "exact".
        sizes: Number of entries of each parameter tensor.
        controllers: The controllers' state, as of R samples.
        acted: In how many steps each has changed the gradient, int64 [R].
        seen: The tail index that each saw, float64 [R] for every step.
    """

    settings: Settings
    sizes: list[int]
    controllers: ControllerState
    acted: Tensor
    seen: list[Tensor] = field(default_factory=list)

    @classmethod
    def of(cls, settings: Settings, sizes: list[int], replicas: int) -> AmplifiedReplicas:
        """Before the first step.

        Raises:
            ValueError: A setting is one of those that this module does not have.
        """
        if settings.estimator != "hill":
            raise ValueError(f"estimator must be 'hill' here, got {settings.estimator!r}")
        if settings.scope not in {"global", "rms_normalised"}:
            raise ValueError(
                f"scope must be 'global' or 'rms_normalised' here, got {settings.scope!r}"
            )
        controllers = start(settings, torch.device("cpu"), (replicas,))
        return cls(settings, sizes, controllers, torch.zeros(replicas, dtype=torch.int64))

    @torch.no_grad()
    def amplify(self, gradient: Tensor) -> Tensor:
        """Advance the controllers, and weigh gradients, float32 [R, P]."""
        settings = self.settings
        seen = gradient.abs() * self._scales(gradient)
        n = (seen > 0).sum(1)
        top = OrderStatistics.of(
            seen.topk(min(SEEN, seen.shape[1]), dim=1).values,
            k=k_for(n, settings.k),
            n=n,
            n_zero=seen.shape[1] - n,
            n_nonfinite=(~gradient.isfinite()).sum(1),
        )
        estimate = hill_of(top)
        observed = Observation(alpha_hat=estimate.alpha, k=estimate.k, status=estimate.status)
        after = advance(self.controllers, observed, settings)
        if settings.controls_beta:
            refined = refined_beta(after.beta, top, settings.target_alpha, settings.beta_bounds)
            usable = estimate.status == TailStatus.OK
            after = replace(after, beta=refined.where(usable, after.beta))
        self.controllers = after
        beta, gamma = after.beta.float().unsqueeze(1), after.gamma.float().unsqueeze(1)
        idle = (beta == 0) & (gamma == 1)
        self.seen.append(estimate.alpha)
        self.acted += ~idle.squeeze(1)
        if idle.all():
            return gradient
        order = seen.argsort(dim=1, descending=True)
        ranks = torch.arange(1, seen.shape[1] + 1) / seen.shape[1]
        by_rank = ranks.pow(-beta).clamp(max=settings.w_max)
        weights = torch.empty_like(gradient).scatter_(1, order, by_rank)
        if settings.max_coord_share < 1:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message=".*performance drop.*")
                share = settings.max_coord_share
                weights = torch.vmap(lambda x, w: capped(x, w, share))(seen, weights)
        weights = torch.vmap(lambda w, g: normalized(w, g, settings.normalize))(weights, gradient)
        # Not a bit of a step changes where there is nothing to do.
        return gradient.where(idle, gradient * (gamma * weights))

    def _scales(self, gradient: Tensor) -> Tensor:
        """Factors on the entries as the sample sees them, float32 [R, P]."""
        if self.settings.scope == "global":
            return torch.ones_like(gradient)
        parts = gradient.double().split(self.sizes, dim=1)
        squares = torch.stack([part.square().sum(1) for part in parts], dim=1)
        sizes = torch.tensor(self.sizes)
        return reciprocal_rms(sizes.double(), squares).repeat_interleave(sizes, dim=1)
