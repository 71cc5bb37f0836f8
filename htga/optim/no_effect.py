"""What is said where HTGA can have no effect."""

from __future__ import annotations

import warnings

from torch.optim import Optimizer

from htga.optim.response import Response
from htga.optim.settings import Settings


def warn_of_no_effect(base: Optimizer, response: Response, settings: Settings) -> None:
    """Warn, with a remedy, if what the base makes of the gradient undoes all that HTGA does."""
    by_grad, remedy = settings.apply == "grad", "pass apply='update'"
    name, what = type(base).__name__, ""
    if settings.changes_nothing:
        return
    if response.one_size and (by_grad or settings.constant_gamma == 1):
        what = f"all entries of the update of {name} are of one size, in which no tail is"
        remedy = "wrap another optimizer, such as AdamW, or multiply its learning rate"
    elif by_grad and not response.sees_weights:
        what = f"the update of {name} depends on the signs of the gradient alone"
    elif by_grad and not (response.sees_scale or settings.beta or settings.controls_beta):
        what = f"the update of {name} does not depend on the length of the gradient"
    if what:
        warnings.warn(f"HTGA has no effect: {what}; {remedy}", stacklevel=3)
