"""The controller's state as a checkpoint keeps it: numbers, and whose they are."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from htga.optim.controller.controller import ControllerState, grown, start
from htga.optim.settings import Scope, Settings

CONTROLLED = ("alpha_bar", "gamma", "beta")


def saved(controller: ControllerState, scope: Scope) -> dict[str, Any]:
    """The state as numbers, or lists of them, which no loader takes for a part of the model.

    Waits for the device. On the meta device there are no numbers.
    """
    if controller.gamma.device.type == "meta":
        return {"scope": scope}
    stack = torch.stack([getattr(controller, name) for name in CONTROLLED])
    numbers = dict(zip(CONTROLLED, stack.tolist(), strict=True))
    return {"scope": scope, **numbers, "skipped": int(controller.skipped)}


def check_saved(state: dict[str, Any], scope: Scope, shape: tuple[int, ...]) -> None:
    """Raise ValueError if a state cannot become one of this scope and shape."""
    gamma = state.get("gamma", [] if shape else 1.0)
    values = gamma.tolist() if isinstance(gamma, Tensor) else gamma
    several = isinstance(values, list)
    n, room = len(values) if several else 1, math.prod(shape)
    # An earlier version wrote no scope, only a number or several.
    found = state.get("scope", scope if several == bool(shape) else "tensor or group")
    if found != scope or n > room:
        raise ValueError(
            f"state_dict is of scope {found!r} with {n} sample(s), this HTGA of scope {scope!r} "
            f"with {room}; pass that scope to HTGA, or load the state into its .base to let the "
            "controller begin anew"
        )


def restored(
    state: dict[str, Any], device: torch.device, shape: tuple[int, ...], settings: Settings
) -> ControllerState:
    """The state of which `saved` wrote the numbers; the one to start with if there are none.

    What is controlled comes back within the bounds of these settings: other settings may have
    written it, and a step whose estimate is unusable goes with it.
    """
    if "gamma" not in state:
        return start(settings, device, shape)
    numbers = {name: _tensor(state[name], torch.float64, device) for name in CONTROLLED}
    for name, controlled, bounds, first in (
        ("gamma", settings.controls_gamma, settings.gamma_bounds, settings.constant_gamma),
        ("beta", settings.controls_beta, settings.beta_bounds, settings.beta),
    ):
        if controlled:
            numbers[name].clamp_(min(*bounds, first), max(*bounds, first))
    skipped = _tensor(state["skipped"], torch.int64, device)
    return grown(ControllerState(**numbers, skipped=skipped), device, shape, settings)


def _tensor(number: Any, dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.as_tensor(number, dtype=dtype, device=device).clone()
