"""An optimizer around another one, which schedulers and checkpoints see as that one."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from typing import Any, overload

import torch
from torch import Tensor
from torch._compile import _disable_dynamo
from torch.optim import LBFGS, Optimizer

from htga.optim.initialization_step import is_initialization
from htga.optim.missing_attributes import complete

OWN = "htga"
"""The entry of parameter groups in which a state dict keeps what the wrapper remembers."""

NEEDED = ("param_groups", "step", "zero_grad", "state_dict", "load_state_dict")


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


_hooked_step: Any = Optimizer.profile_hook_step(ClosureOptimizer.step)


class Wrapper(ClosureOptimizer):
    """Passes everything but `step` on to the optimizer inside.

    Learning-rate schedulers, GradScaler, hooks, checkpoints, deep copies and pickling work as with
    the base, whose `param_groups`, `state` and `defaults` are this one's too. So are, to read and
    to write, all its attributes that this one does not have itself, such as the `train` and `eval`
    of a schedule-free optimizer, but for those that begin with an underscore. GradScaler unscales
    the gradients before `step`: the flag by which a fused base asks to do so itself
    (`_step_supports_amp_scaling`) is one of these.

    Each group has an entry "htga". It is there for the sake of `state_dict`, which keeps this
    optimizer's own state in it: of a state dict, `torch.distributed.checkpoint` passes on the
    parameters' states and the groups, and of the groups those entries that it finds here as well.

    Args:
        base: The optimizer that takes the step. One that is no `torch.optim.Optimizer`, or did not
            call its constructor, has `param_groups`, `step`, `zero_grad`, `state_dict` and
            `load_state_dict` at least.
        own: Attributes of the subclass, which copies and pickles carry along.

    Raises:
        TypeError: `base` is not an optimizer, needs a closure to step, or has complex parameters.
    """

    base: Optimizer

    def __init__(self, base: Optimizer, own: dict[str, Any]) -> None:
        if isinstance(base, LBFGS) or not all(hasattr(base, name) for name in NEEDED):
            raise refused(base)
        complete(base)
        for group in base.param_groups:
            refuse_complex(group["params"])
        self._own = (*own, "base")
        # Optimizer.__init__ would build its own groups and state; ours are the base's.
        super().__setstate__({"base": base, "_own": self._own, **own})
        self._mark_groups()

    def __getattr__(self, name: str) -> Any:
        base = vars(self).get("base")
        if base is None or name.startswith("_"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(base, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if self._is_of_base(name):
            setattr(self.base, name, value)
        else:
            super().__setattr__(name, value)

    def __delattr__(self, name: str) -> None:
        if self._is_of_base(name):
            delattr(self.base, name)
        else:
            super().__delattr__(name)

    def _is_of_base(self, name: str) -> bool:
        """Whether the base alone has this attribute."""
        own = name.startswith("_") or name in vars(self) or hasattr(type(self), name)
        return not own and hasattr(vars(self).get("base"), name)

    @_disable_dynamo  # a graph would repeat the numbers of one step
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Take a step; returns what the closure returns.

        A step that only makes the base's state, see `is_initialization`, is the base's alone.
        """
        if closure is None and is_initialization(self):
            with torch.no_grad():
                self.base.step()
            return None
        loss: float | None = _hooked_step(self, *(() if closure is None else (closure,)))
        return loss

    # Hooks are called from within, so that an initialization calls none.
    step.hooked = True  # type: ignore[attr-defined]

    # The base replaces these objects when it loads a checkpoint, so we never keep them.
    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """The base's parameter groups."""
        return self.base.param_groups

    @param_groups.setter
    def param_groups(self, groups: list[dict[str, Any]]) -> None:
        self.base.param_groups = groups
        self._mark_groups()

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
        if set_to_none:
            self.base.zero_grad()
        else:
            self.base.zero_grad(set_to_none=False)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a parameter group to the base.

        Raises:
            TypeError: A parameter is complex.
        """
        self.base.add_param_group(param_group)
        try:
            refuse_complex(self.base.param_groups[-1]["params"])
        except TypeError:
            del self.base.param_groups[-1]
            raise
        self._mark_groups()

    def _mark_groups(self) -> None:
        for group in self.base.param_groups:
            group[OWN] = None

    def own_state(self) -> dict[str, Any]:
        """What a subclass remembers, with names as keys; of types that `torch.load` trusts."""
        return {}

    def check_own_state(self, state: dict[str, Any]) -> None:
        """Raise ValueError if `load_own_state` cannot restore this."""

    def load_own_state(self, state: dict[str, Any]) -> None:
        """Restore what `own_state` returned; an empty one stands for that before the first step."""

    def state_dict(self) -> dict[str, Any]:
        """The base's state, with this optimizer's own under "htga" in each parameter group.

        It is beside them if the base writes none.
        """
        for before in self._optimizer_state_dict_pre_hooks.values():
            before(self)
        state, own = self.base.state_dict(), self.own_state()
        groups = [group | {OWN: own} for group in state.get("param_groups", ())]
        state = state | ({"param_groups": groups} if groups else {OWN: own})
        for after in self._optimizer_state_dict_post_hooks.values():
            result = after(self, state)
            state = state if result is None else result
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what `state_dict` returned; the settings stay those of the constructor.

        The state of a bare optimizer is the base's, and this optimizer's own begins anew, of which
        it warns.

        Raises:
            ValueError: The state is of another shape; then nothing is loaded.
        """
        state = dict(state_dict)
        for before in self._optimizer_load_state_dict_pre_hooks.values():
            result = before(self, state)
            state = state if result is None else result
        bare, own = split_state(state)
        if own is None:
            warnings.warn(
                f"the state is that of a bare {type(self.base).__name__}: it is loaded into the "
                f"base, and what {type(self).__name__} itself remembers begins anew",
                stacklevel=2,
            )
        self.check_own_state(own or {})
        self.base.load_state_dict(bare)
        self._mark_groups()
        self.load_own_state(own or {})
        for after in self._optimizer_load_state_dict_post_hooks.values():
            after(self)

    def __getstate__(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("_own", *self._own)}


def split_state(state: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """The base's part of a state dict, and the wrapper's own, or None if there is none.

    The own part of an earlier version is beside the groups, not in them.
    """
    bare = {name: part for name, part in state.items() if name != OWN}
    found = [state.get(OWN), *(group.get(OWN) for group in bare.get("param_groups", ()))]
    if "param_groups" in bare:
        bare["param_groups"] = [
            {name: value for name, value in group.items() if name != OWN}
            for group in bare["param_groups"]
        ]
    return bare, next((own for own in found if own is not None), None)


def refused(base: object) -> TypeError:
    """The error of a base that cannot be stepped."""
    return TypeError(
        "base must be a torch optimizer that steps without a closure, such as SGD or "
        f"AdamW, got {type(base).__name__}; an optimizer that evaluates the loss itself can be "
        "given an HTGA as the one that it steps with"
    )


def refuse_complex(parameters: Iterable[Tensor]) -> None:
    """Raise TypeError if a parameter is complex."""
    for parameter in parameters:
        if parameter.is_complex():
            raise TypeError(
                f"parameters must be real, got one of {parameter.dtype} and shape "
                f"{tuple(parameter.shape)}; optimize torch.view_as_real(parameter)"
            )
