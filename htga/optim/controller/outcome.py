"""What came of amplifying the samples of a step."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from htga.optim.controller.controller import Memory
from htga.tail import TailState

SIZE_TOLERANCE = 1e-3
"""A normalised sample off its size by less is not passed over once more."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an amplification.

    Attributes:
        memory: The controller's, after it.
        tails: What was seen of each sample, by its place in the memory.
        bad: Whether a number is not finite, so that the step must not be taken; bool, 0-d.
        hosted: Whether the host may look at that, see `htga.optim.samples.host_decides`.
    """

    memory: Memory
    tails: dict[int, TailState]
    bad: Tensor
    hosted: bool
