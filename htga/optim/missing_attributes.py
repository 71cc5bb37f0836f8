"""Attributes that an optimizer lacks whose constructor did not call that of `Optimizer`."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from typing import Any

HOOKS = (
    "_optimizer_step_pre_hooks",
    "_optimizer_step_post_hooks",
    "_optimizer_state_dict_pre_hooks",
    "_optimizer_state_dict_post_hooks",
    "_optimizer_load_state_dict_pre_hooks",
    "_optimizer_load_state_dict_post_hooks",
)


def complete(optimizer: Any) -> None:
    """Set those that are missing, as `Optimizer.__init__` does.

    Its class stays as it is: a `step` with hooks would fail for the others of that class.
    """
    if not hasattr(optimizer, "defaults"):
        optimizer.defaults = {}
    if not hasattr(optimizer, "state"):
        optimizer.state = defaultdict(dict)
    for name in HOOKS:
        if not hasattr(optimizer, name):
            setattr(optimizer, name, OrderedDict())
