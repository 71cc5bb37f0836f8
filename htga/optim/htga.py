"""The HTGA optimizer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any, overload

import torch
from torch.optim import LBFGS, Optimizer

from htga.optim.controller import Memory, advance, start
from htga.optim.gradients import Gradients
from htga.optim.settings import (
    Actuator,
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
from htga.optim.weights import amplify, warn_of_raw_weights
from htga.tail import K, TailState, hill, measure
from htga.tail.measure import Estimator
from htga.tail.smoothing import SmoothingOf


class HTGA(Optimizer):
    """Adaptive Heavy-Tail Gradient Amplification around any torch optimizer.

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
        preset: "stable" (beta controlled, length kept), or "seed", the proposal as written. It
            says what every argument below is that is left at None.
        target_alpha: Tail index to aim at, above 0.
        gain: Of the gamma controller, at least 0.
        smoothing: lambda of the moving average, in [0, 1).
        smoothing_of: What is averaged: "alpha" or "inv_alpha".
        gamma_bounds: Limits of a controlled gamma.
        fixed_gamma: Use this gamma and control none.
        beta: Rank exponent where it is not controlled, and before the first estimate.
        beta_bounds: Limits of a controlled beta.
        actuator: What is controlled: "gamma", "beta", "both" or "none".
        direction: "as_written" raises gamma where the tail is heavier than the target,
            "regulating" lowers it. No matter to beta.
        law: gamma is "proportional" to the error, or its logarithm is the error's "integral".
        estimator: Where alpha_hat comes from, "hill" or "moment". beta is exact with "hill".
        k: Tail size: a number, a fraction of the non-zero entries, or "auto" for n**0.6.
        scope: "global": all parameters' entries are one sample.
        normalize: "none", "mean_one" (the mean weight is 1) or "l2" (the length is kept).
        ranks: "exact": by sorting.
        ties: Equal magnitudes get "ordinal" ranks by position, or their "average" rank.
        nonfinite: A step whose gradient (or its amplification) holds NaN or infinity never
            reaches the parameters; "skip" counts it, "raise" raises FloatingPointError.

    Attributes:
        base: The optimizer inside.
        settings: All settings, resolved.
        tail: `TailState` of the last step, or None before the first.

    Raises:
        TypeError: `base` is no torch optimizer, or one that needs a closure to step.
        ValueError: An argument is out of its range.
    """

    base: Optimizer
    settings: Settings
    tail: TailState | None
    _memory: Memory

    def __init__(
        self,
        base: Optimizer,
        *,
        preset: str = "stable",
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
        ranks: Ranks | None = None,
        ties: Ties | None = None,
        nonfinite: Nonfinite | None = None,
    ) -> None:
        if not isinstance(base, Optimizer) or isinstance(base, LBFGS):
            raise TypeError(
                "base must be a torch optimizer that steps without a closure, such as SGD or "
                f"AdamW, got {type(base).__name__}"
            )
        given = {
            "target_alpha": target_alpha,
            "gain": gain,
            "smoothing": smoothing,
            "smoothing_of": smoothing_of,
            "gamma_bounds": gamma_bounds,
            "fixed_gamma": fixed_gamma,
            "beta": beta,
            "beta_bounds": beta_bounds,
            "actuator": actuator,
            "direction": direction,
            "law": law,
            "estimator": estimator,
            "k": k,
            "scope": scope,
            "normalize": normalize,
            "ranks": ranks,
            "ties": ties,
            "nonfinite": nonfinite,
        }
        settings = resolve(preset, given)
        device = base.param_groups[0]["params"][0].device
        # Optimizer.__init__ would build groups and state of its own; ours are the base's.
        super().__setstate__(
            {
                "base": base,
                "settings": settings,
                "tail": None,
                "_memory": start(settings, device),
            }
        )
        warn_of_raw_weights(self.param_groups, settings)

    # The base replaces these objects when it loads a checkpoint, so we never keep them.
    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """The base's parameter groups."""
        return self.base.param_groups

    @param_groups.setter
    def param_groups(self, groups: list[dict[str, Any]]) -> None:
        self.base.param_groups = groups

    @property
    def state(self) -> Any:
        """The base's state by parameter."""
        return self.base.state

    @state.setter
    def state(self, state: Any) -> None:
        self.base.state = state

    @property
    def defaults(self) -> dict[str, Any]:
        """The base's defaults."""
        return self.base.defaults

    @defaults.setter
    def defaults(self, defaults: dict[str, Any]) -> None:
        self.base.defaults = defaults

    @overload
    def step(self, closure: None = None) -> None: ...

    @overload
    def step(self, closure: Callable[[], float]) -> float: ...

    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Measure, amplify and step; returns what the closure returns.

        Raises:
            FloatingPointError: The gradient is not finite, and `nonfinite` is "raise".
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        if self._rewrite_gradients():
            self.base.step()
        return loss

    @torch.no_grad()
    def _rewrite_gradients(self) -> bool:
        """Amplify every gradient in place; returns whether the base may step."""
        gradients = Gradients.of(self.param_groups)
        if not gradients.owners:
            return True
        settings = self.settings
        flat = gradients.flat()
        seen = measure(flat, k=settings.k, estimator=settings.estimator)
        memory = advance(self._memory, seen, settings)
        if not settings.changes_nothing:
            flat = amplify(
                flat,
                beta=memory.beta,
                gamma=memory.gamma,
                ties=settings.ties,
                normalize=settings.normalize,
            )
        updates = gradients.shaped(flat)
        update = hill(updates, settings.k)

        # The one place where the host waits for the device: whether to step is its decision. The
        # amplified gradient is what counts, since weights can overflow half precision.
        n_bad = int(update.n_nonfinite)
        if n_bad:
            memory = replace(memory, skipped=memory.skipped + 1)
        elif not settings.changes_nothing:
            gradients.write(updates)
        self._memory = memory
        self.tail = TailState(
            alpha_hat=seen.alpha_hat,
            alpha_bar=memory.alpha_bar,
            alpha_stderr=seen.alpha_stderr,
            xi=seen.xi,
            k=seen.k,
            n=seen.n,
            gamma=memory.gamma,
            beta=memory.beta,
            target_alpha=torch.full_like(memory.gamma, settings.target_alpha),
            update_alpha=update.alpha,
            grad_norm=seen.grad_norm,
            n_zero=seen.n_zero,
            n_nonfinite=seen.n_nonfinite,
            status=seen.status,
            skipped=memory.skipped,
            histogram=seen.histogram,
        )
        if n_bad and settings.nonfinite == "raise":
            raise FloatingPointError(
                f"{n_bad} of {flat.numel()} entries of the amplified gradient are not finite; the "
                "parameters are unchanged. Lower the learning rate, or pass nonfinite='skip'"
            )
        return not n_bad

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Reset the gradients, as the base does."""
        self.base.zero_grad(set_to_none)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a parameter group to the base."""
        self.base.add_param_group(param_group)

    def state_dict(self) -> dict[str, Any]:
        """The base's state, and under "htga" what the controller remembers."""
        for before in self._optimizer_state_dict_pre_hooks.values():
            before(self)
        state = self.base.state_dict() | {"htga": asdict(self._memory)}
        for after in self._optimizer_state_dict_post_hooks.values():
            result = after(self, state)
            state = state if result is None else result
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what `state_dict` returned; the settings stay those of the constructor.

        Raises:
            ValueError: The state is that of a bare optimizer.
        """
        state = dict(state_dict)
        for before in self._optimizer_load_state_dict_pre_hooks.values():
            result = before(self, state)
            state = state if result is None else result
        if "htga" not in state:
            raise ValueError(
                f"state_dict must hold 'htga', got {sorted(state)}; load the state of a bare "
                "optimizer into HTGA.base"
            )
        self.base.load_state_dict({name: part for name, part in state.items() if name != "htga"})
        device = self._memory.gamma.device
        self._memory = Memory(**{k: v.to(device) for k, v in state["htga"].items()})
        for after in self._optimizer_load_state_dict_post_hooks.values():
            after(self)

    def __getstate__(self) -> dict[str, Any]:
        return {
            "base": self.base,
            "settings": self.settings,
            "tail": self.tail,
            "_memory": self._memory,
        }

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={value!r}" for name, value in asdict(self.settings).items())
        return f"HTGA({self.base!r}, {settings})"
