"""The result of amplifying the samples of a step."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from htga.optim.controller.controller import ControllerState
from htga.tail import TailState

SIZE_TOLERANCE = 1e-3
"""A normalised sample whose size is off by less is not rescaled in another pass."""


@dataclass(frozen=True, slots=True)
class Amplified:
    """The result of an amplification.

    Attributes:
        controller: The controller's state after the step.
        tails: Measurements of each sample, by its index in that state.
        bad: Whether a number is not finite, so that the step must not be taken; bool, 0-d.
        hosted: Whether the host may read `bad`, see `htga.optim.weights.samples.host_decides`.
    """

    controller: ControllerState
    tails: dict[int, TailState]
    bad: Tensor
    hosted: bool
