"""HTGA on the gradients of many replicas at once."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

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
from htga.optim.weights.by_sorting import amplify
from htga.optim.weights.rank_weights import n_exact
from htga.optim.weights.samples import reciprocal_rms
from htga.tail import TailStatus
from htga.tail.estimators.hill import hill_of
from htga.tail.order_statistics import OrderStatistics
from htga.tail.tail_size import k_for


@dataclass(slots=True)
class AmplifiedReplicas:
    """The controllers of R replicas.

    Attributes:
        settings: Those of every replica; `ranks` is taken to be "exact".
        sizes: Number of entries of each parameter tensor.
        controllers: The controllers' state, every field of shape [R].
    """

    settings: Settings
    sizes: list[int]
    controllers: ControllerState

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
        before = start(settings, torch.device("cpu"), (replicas,))
        return cls(settings, sizes, replace(before, skipped=before.skipped.expand(replicas)))

    @torch.no_grad()
    def amplify(self, gradient: Tensor) -> Tensor:
        """Advance the controllers, and weigh gradients, float32 [R, P]."""
        state = self.controllers
        before = tuple(getattr(state, field.name) for field in fields(state))
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*performance drop.*")
            amplified, *after = torch.vmap(self._one)(gradient, self._scales(gradient), *before)
        self.controllers = _state(after)
        return amplified

    def _scales(self, gradient: Tensor) -> Tensor:
        """Factors on the entries as the sample sees them, float32 [R, P]."""
        if self.settings.scope == "global":
            return torch.ones_like(gradient)
        parts = gradient.double().split(self.sizes, dim=1)
        squares = torch.stack([part.square().sum(1) for part in parts], dim=1)
        sizes = torch.tensor(self.sizes)
        return reciprocal_rms(sizes.double(), squares).repeat_interleave(sizes, dim=1)

    def _one(self, gradient: Tensor, scales: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """One replica: what `htga.optim.amplify` does, without a branch on a number."""
        settings = self.settings
        seen = gradient.abs() * scales
        size = n_exact(seen.numel(), settings.k)
        n = (seen > 0).sum()
        top = OrderStatistics.of(
            seen.topk(min(size, seen.numel())).values,
            k=k_for(n, settings.k),
            n=n,
            n_zero=seen.numel() - n,
            n_nonfinite=(~gradient.isfinite()).sum(),
        )
        estimate = hill_of(top)
        observed = Observation(alpha_hat=estimate.alpha, k=estimate.k, status=estimate.status)
        after = advance(_state(state), observed, settings)
        beta = after.beta
        if settings.controls_beta:
            refined = refined_beta(beta, top, settings.target_alpha, settings.beta_bounds)
            beta = refined.where(estimate.status == TailStatus.OK, beta)
        weighted = amplify(
            gradient,
            beta=beta,
            gamma=after.gamma,
            ties=settings.ties,
            normalize=settings.normalize,
            w_max=settings.w_max,
            max_coord_share=settings.max_coord_share,
            ranked_by=seen,
        )
        # Not a bit of a step changes where there is nothing to do.
        result = gradient.where((beta == 0) & (after.gamma == 1), weighted)
        return result, after.alpha_bar, after.gamma, beta, after.skipped


def _state(numbers: Sequence[Tensor]) -> ControllerState:
    names = (field.name for field in fields(ControllerState))
    return ControllerState(**dict(zip(names, numbers, strict=True)))
