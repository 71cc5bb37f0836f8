"""The HTGA optimizer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from htga.optim.amplify import amplify_samples
from htga.optim.controller.amplified import Amplified
from htga.optim.controller.combined_state import combined_state
from htga.optim.controller.controller import ControllerState, grown, start
from htga.optim.controller.saved_state import check_saved, restored, saved
from htga.optim.no_effect import warn_of_no_effect
from htga.optim.response import UNKNOWN, Response, response_of
from htga.optim.settings import (
    DEFAULT,
    Actuator,
    Apply,
    Direction,
    Law,
    Nonfinite,
    Normalize,
    Ranks,
    Scope,
    Settings,
    Ties,
    resolve,
)
from htga.optim.weights.by_sorting import warn_of_raw_weights
from htga.optim.weights.flat_parameter import (
    FlatParameter,
    flat_parameter,
    gradient_of,
    separate_gradients,
)
from htga.optim.weights.reweight import multiply
from htga.optim.weights.samples import host_decides, sample_of, split
from htga.optim.wrapper import Wrapper, refuse_complex, refused
from htga.tail import K, TailState
from htga.tail.estimators.smoothing import SmoothingOf
from htga.tail.flat_tensors import values
from htga.tail.measure import Estimator
from htga.tail.norm import sum_of_squares


class HTGA(Wrapper):
    """Adaptive Heavy-Tail Gradient Amplification around any torch optimizer.

    By default it tempers a gradient whose tail is heavier than an index of 3, and is the base to
    the last bit otherwise.

    Each step measures the tail index alpha_hat of the gradient, multiplies entry i by
    gamma * w_i with w_i = (rank_i / d)**-beta and rank 1 for the largest magnitude, writes the
    product into `p.grad`, and lets the base optimizer step. A controller sets gamma or beta:

    * "gamma" moves by the distance of the smoothed alpha_bar from the target. A scalar changes no
      tail index, so this is a multiplier of the learning rate that nothing ties to the target.
    * "beta" is (1 / target_alpha - 1 / alpha_hat) / c_k, at which the tail index of the update
      is the target exactly, unless a bound intervenes.

    Learning-rate schedulers, GradScaler, hooks, closures and checkpoints work as with the base
    optimizer, whose `param_groups` and `state` are this one's too. Unscale and clip before
    `step`; the gradient is rewritten after a closure has run. Weight decay that the base adds is
    not amplified.

    Args:
        base: The optimizer that takes the step.
        preset: "guard", the default, tempers tails that are heavier than the target; "temper" does
            so with almost every gradient, after a clip of the norm; "amplify" (also "stable")
            brings the tail of the update to an index of 1.5; "seed" is the proposal as written.
            What each was measured to do is in docs/optimizer.md. It gives the value of every
            argument below that is left at None.
        target_alpha: Tail index to aim at, above 0. With "guard" and "temper" nothing happens to a
            tail that is lighter.
        gain: Of the gamma controller, at least 0.
        smoothing: lambda of the moving average alpha_bar, in [0, 1). gamma follows alpha_bar; beta
            follows the alpha_hat of each step, whatever the smoothing.
        smoothing_of: What is averaged: "alpha" or "inv_alpha".
        gamma_bounds: Limits of a controlled gamma.
        fixed_gamma: Use this gamma and control none.
        beta: Rank exponent where it is not controlled, and before the first estimate.
        beta_bounds: Limits of a controlled beta.
        actuator: What is controlled: "gamma", "beta", "both" or "none".
        direction: "as_written" raises gamma where the tail is heavier than the target,
            "regulating" lowers it. It has no effect on beta.
        law: gamma is "proportional" to the error, or its logarithm is the error's "integral".
        estimator: The estimator of alpha_hat, "hill" or "moment". beta is exact with "hill".
        k: Tail size: a number, a fraction of the non-zero entries, "power" for
            n**0.6, or "auto" for 1 %, at least 50.
        scope: What is one sample, measured, ranked and controlled by itself: "global", all
            parameters; "group", those of a parameter group; "tensor", each one (those of a group
            with fewer than 500 entries together); "rms_normalised", all, each tensor divided by
            its root mean square first.
        normalize: "none", "mean_one" (the mean weight is 1) or "l2" (the length is kept).
        w_max: Limit on the weights before they are normalised, at least 1.
        max_coord_share: Limit to which weighting may raise one coordinate's share of the squared
            length, in [1/8, 1]; 1 for no limit.
        ranks: "exact" by sorting all entries, or "fast": exact for the 1024 largest, or the whole
            tail if that is more, and interpolated between the bins of a histogram for the rest.
        ties: Equal magnitudes get "ordinal" ranks by position, or their "average" rank, as they
            always do with fast ranks.
        apply: "grad" amplifies the gradient, as described above; "update" amplifies what the base
            has made of it, which needs memory for two copies of the parameters. "auto" is "grad"
            around a base whose update is proportional to the gradients, as a trial on a small copy
            of it finds, and "update" around any other, which may undo what is done to the gradient.
        nonfinite: A step whose gradient (or its amplification) holds NaN or infinity never
            reaches the parameters; "skip" counts it, "raise" raises FloatingPointError. See the
            documentation for what "skip" can do without waiting for a GPU.

    Attributes:
        base: The optimizer inside.
        settings: All settings, resolved.
        tail: `TailState` of the last step, or None before the first; several samples are combined
            into one, see `combined_state`.
        response: What the trial has found about the base.
        tails: The `TailState` of each sample that had gradients, by its index: the group's with
            scope "group"; with "tensor" each tensor's, and one for the small tensors of each group.

    Raises:
        TypeError: `base` is no torch optimizer, or one that needs a closure to step, or has
            complex parameters.
        ValueError: An argument is out of its range, or `base` is to be differentiated through.
        FloatingPointError: From `step`: the gradient is not finite, and `nonfinite` is "raise".
        RuntimeError: From `step`: a CUDA graph is being captured.
    """

    settings: Settings
    response: Response = UNKNOWN
    tail: TailState | None
    tails: dict[int, TailState]
    _controller: ControllerState

    def __init__(
        self,
        base: Optimizer,
        *,
        preset: str = DEFAULT,
        target_alpha: float | None = None,
        gain: float | None = None,
        smoothing: float | None = None,
        smoothing_of: SmoothingOf | None = None,
        gamma_bounds: tuple[float, float] | None = None,
        fixed_gamma: float | None = None,
        beta: float | None = None,
        beta_bounds: tuple[float, float] | None = None,
        actuator: Actuator | None = None,
        direction: Direction | None = None,
        law: Law | None = None,
        estimator: Estimator | None = None,
        k: K | None = None,
        scope: Scope | None = None,
        normalize: Normalize | None = None,
        w_max: float | None = None,
        max_coord_share: float | None = None,
        ranks: Ranks | None = None,
        ties: Ties | None = None,
        apply: Apply | None = None,
        nonfinite: Nonfinite | None = None,
    ) -> None:
        given = {
            name: value
            for name, value in locals().items()
            if name not in {"self", "base", "preset", "__class__"}
        }
        settings = resolve(preset, given)
        own: dict[str, Any] = {"tail": None, "tails": {}, "_controller": None}
        super().__init__(base, {"settings": settings, "response": UNKNOWN, **own})
        refuse_differentiable(base)
        self.response = response_of(base)
        if self.response.needs_closure:
            raise refused(base)
        if settings.apply == "auto":
            self.settings = replace(settings, apply="grad" if self.response.linear else "update")
        self._controller = start(settings, *self._place)
        warn_of_raw_weights(self.param_groups, settings)
        warn_of_no_effect(base, self.response, self.settings)

    @property
    def _device(self) -> torch.device:
        """Device of the controller's state: that of the first parameter."""
        first = next((p for group in self.param_groups for p in group["params"]), None)
        return torch.device("cpu") if first is None else first.device

    @property
    def _place(self) -> tuple[torch.device, tuple[int, ...]]:
        """Device and shape of the controller's state."""
        samples = split(self.param_groups, self.settings.scope)
        return self._device, shape_of(samples, self.settings)

    def _step(self) -> None:
        if torch.cuda.is_initialized() and torch.cuda.is_current_stream_capturing():
            raise RuntimeError(
                "HTGA cannot step within a CUDA graph, which would replay one step's control; "
                "capture the forward and backward pass alone"
            )
        owners = [p for group in self.param_groups for p in group["params"] if p.grad is not None]
        refuse_complex(owners)
        separate_gradients(owners)
        if not owners:
            self.base.step()
        elif self.settings.apply == "update":
            self._step_and_amplify(owners)
        else:
            self._amplify_and_step()

    @property
    def alone(self) -> dict[int, int]:
        """Number in `tails`, by `id`, of each tensor whose gradient is a sample by itself."""
        if self.settings.apply == "update":
            return {}
        samples = split(self.param_groups, self.settings.scope)
        return {id(same[0]): i for i, same in enumerate(samples) if len(same) == 1}

    def _amplify_and_step(self) -> None:
        outcome = self._amplify(gradient_of)
        self._keep(outcome)
        self._step_base(outcome.bad, hosted=outcome.hosted)

    def _step_and_amplify(self, owners: list[Tensor]) -> None:
        """Let the base optimizer step, and amplify its update."""
        gradient = sample_of([gradient_of(p) for p in owners], "global")
        squares = gradient.total(lambda bucket: sum_of_squares(bucket.entries))
        bad = ~squares.isfinite()
        hosted = host_decides([gradient])
        if hosted and bad:
            self._amplify_and_step()  # This measures the gradient and stops.
            return
        if not hosted and not self._base_skips:
            for part in gradient.parts:
                multiply([part.entries], torch.ones_like(squares), unless=bad)
                part.store()
        places = {id(p): values(p) for p in owners}
        before = {i: place.clone() for i, place in places.items()}
        self._step_base(bad, hosted=hosted)
        moved = {i: place - before[i] for i, place in places.items()}
        outcome = self._amplify(lambda p: flat_parameter(moved[id(p)], sharded_as=p))
        for i, place in places.items():
            # The difference of two differences: nothing, to the last bit, where nothing changed.
            moved[i].sub_(place - before[i]).add_(place)
            place.copy_(torch.where(outcome.bad.to(place.device), before[i], moved[i]))
        controller = replace(
            outcome.controller, skipped=outcome.controller.skipped + (bad & ~outcome.bad)
        )
        self._keep(replace(outcome, controller=controller))
        if self.tail is not None:
            self.tail = replace(self.tail, grad_norm=squares.sqrt(), skipped=controller.skipped)
        self._raise_if_asked(outcome.bad)

    def _amplify(self, part: Callable[[Tensor], FlatParameter]) -> Amplified:
        """Measure the part of each parameter that has a gradient, and amplify it in place."""
        settings = self.settings
        parameters = split(self.param_groups, settings.scope)
        samples = {
            i: sample_of([part(p) for p in same if p.grad is not None], settings.scope)
            for i, same in enumerate(parameters)
            if any(p.grad is not None for p in same)
        }
        shape = shape_of(parameters, settings)
        controller = grown(self._controller, self._device, shape, settings)
        return amplify_samples(samples, controller, settings, masks=not self._base_skips)

    def _keep(self, outcome: Amplified) -> None:
        self._controller = outcome.controller
        self.tails, self.tail = outcome.tails, combined_state(list(outcome.tails.values()))
        if self.settings.apply == "grad" and not self.response.linear:
            # What the base makes of the gradient would have another tail index.
            self.tails = {i: replace(t, update_alpha=None) for i, t in self.tails.items()}
            self.tail = self.tail and replace(self.tail, update_alpha=None)

    @property
    def _base_skips(self) -> bool:
        """Whether the base reads from the device that it must not step, as with GradScaler."""
        return getattr(self.base, "_step_supports_amp_scaling", False)

    def _step_base(self, bad: Tensor, *, hosted: bool) -> None:
        """Let the base optimizer step, unless a number is not finite."""
        self._raise_if_asked(bad)
        if hosted:
            if not bad:
                self.base.step()
        elif self._base_skips:
            self.base.found_inf = bad.float()  # type: ignore[attr-defined] # torch sets it, too
            try:
                self.base.step()
            finally:
                del self.base.found_inf  # type: ignore[attr-defined]
        else:
            self.base.step()

    def _raise_if_asked(self, bad: Tensor) -> None:
        if self.settings.nonfinite == "raise" and bool(bad):
            n_bad = 0 if self.tail is None else int(self.tail.n_nonfinite)
            grads = [p.grad for group in self.param_groups for p in group["params"]]
            total = sum(grad.numel() for grad in grads if grad is not None)
            raise FloatingPointError(
                f"{n_bad} of {total} entries of the gradient, or else of its amplification, are "
                "not finite; the parameters are unchanged. Lower the learning rate, or pass "
                "nonfinite='skip'"
            )

    def own_state(self) -> dict[str, Any]:
        """The controller's state as numbers, and whose they are: the scope."""
        device, shape = self._place
        return saved(grown(self._controller, device, shape, self.settings), self.settings.scope)

    def check_own_state(self, state: dict[str, Any]) -> None:
        """Raise ValueError if a state is of another scope, or of more samples than there are."""
        check_saved(state, self.settings.scope, self._place[1])

    def load_own_state(self, state: dict[str, Any]) -> None:
        """Restore what `own_state` returned, or begin anew."""
        device, shape = self._place
        self._controller = restored(state, device, shape, self.settings)

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={value!r}" for name, value in asdict(self.settings).items())
        return f"HTGA({self.base!r}, {settings})"


def refuse_differentiable(base: Optimizer) -> None:
    """Raise ValueError if the base is to be differentiated through."""
    if any(group.get("differentiable") for group in base.param_groups):
        raise ValueError(
            "differentiable must be False, got True: HTGA rewrites gradients in place, through "
            "which no derivative passes"
        )


def shape_of(samples: list[list[Tensor]], settings: Settings) -> tuple[int, ...]:
    """Shape of the controller's state: scalars for one sample, vectors for several."""
    return (len(samples),) if settings.scope in {"group", "tensor"} else ()
