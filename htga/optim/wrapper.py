"""An optimizer around another one, which schedulers and checkpoints see as that one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, overload

import torch
from torch.optim import LBFGS, Optimizer


class ClosureOptimizer(Optimizer):
    """An optimizer whose step evaluates the closure first, if there is one."""

    @overload
    def step(self, closure: None = None) -> None: ...

    @overload
    def step(self, closure: Callable[[], float]) -> float: ...

    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Take a step; returns what the closure returns."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        with torch.no_grad():
            self._step()
        return loss

    def _step(self) -> None:
        raise NotImplementedError


class Wrapper(ClosureOptimizer):
    """Passes everything but `step` on to the optimizer inside.

    Learning-rate schedulers, GradScaler, hooks, checkpoints, deep copies and pickling work as with
    the base, whose `param_groups`, `state` and `defaults` are this one's too. GradScaler unscales
    the gradients before `step`: the flag by which a fused base asks to do so itself
    (`_step_supports_amp_scaling`) is not passed on.

    Args:
        base: The optimizer that takes the step.
        own: Attributes of the subclass, which copies and pickles carry along.

    Raises:
        TypeError: `base` is not a torch optimizer, needs a closure to step, or has complex
            parameters.
    """

    base: Optimizer

    def __init__(self, base: Optimizer, own: dict[str, Any]) -> None:
        if not isinstance(base, Optimizer) or isinstance(base, LBFGS):
            raise TypeError(
                "base must be a torch optimizer that steps without a closure, such as SGD or "
                f"AdamW, got {type(base).__name__}"
            )
        for group in base.param_groups:
            refuse_complex(group)
        self._own = (*own, "base")
        # Optimizer.__init__ would build its own groups and state; ours are the base's.
        super().__setstate__({"base": base, "_own": self._own, **own})

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

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Reset the gradients, as the base does."""
        self.base.zero_grad(set_to_none)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a parameter group to the base.

        Raises:
            TypeError: A parameter is complex.
        """
        self.base.add_param_group(param_group)
        try:
            refuse_complex(self.base.param_groups[-1])
        except TypeError:
            del self.base.param_groups[-1]
            raise

    def own_state(self) -> dict[str, Any]:
        """What `state_dict` keeps under "htga"; a subclass with a state of its own overrides it."""
        return {}

    def load_own_state(self, state: dict[str, Any]) -> None:
        """Restore what `own_state` returned."""

    def state_dict(self) -> dict[str, Any]:
        """The base's state, and this optimizer's own under "htga"."""
        for before in self._optimizer_state_dict_pre_hooks.values():
            before(self)
        state = self.base.state_dict() | {"htga": self.own_state()}
        for after in self._optimizer_state_dict_post_hooks.values():
            result = after(self, state)
            state = state if result is None else result
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what `state_dict` returned; the settings stay those of the constructor.

        Raises:
            ValueError: The state belongs to a bare optimizer.
        """
        state = dict(state_dict)
        for before in self._optimizer_load_state_dict_pre_hooks.values():
            result = before(self, state)
            state = state if result is None else result
        if "htga" not in state:
            raise ValueError(
                f"state_dict must hold 'htga', got {sorted(state)}; load the state of a bare "
                f"optimizer into {type(self).__name__}.base"
            )
        self.base.load_state_dict({name: part for name, part in state.items() if name != "htga"})
        self.load_own_state(state["htga"])
        for after in self._optimizer_load_state_dict_post_hooks.values():
            after(self)

    def __getstate__(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("_own", *self._own)}


def refuse_complex(param_group: dict[str, Any]) -> None:
    """Raise TypeError if a parameter of a group is complex."""
    for parameter in param_group["params"]:
        if parameter.is_complex():
            raise TypeError(
                f"parameters must be real, got one of {parameter.dtype} and shape "
                f"{tuple(parameter.shape)}; optimize torch.view_as_real(parameter)"
            )
