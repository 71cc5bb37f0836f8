"""Hooks into how the interpreter forks and ends."""

from __future__ import annotations

import contextlib
import os
import sys
import weakref
from collections.abc import Callable


def in_children(method: Callable[[], None]) -> None:
    """Call a bound method in each child that this process forks, while its object lives."""
    if hasattr(os, "register_at_fork"):
        again = weakref.WeakMethod(method)
        os.register_at_fork(after_in_child=lambda: (call := again()) and call())


def at_end_of_child(handler: Callable[[], None]) -> None:
    """Call `handler` when this forked process ends.

    A child of `multiprocessing` ends without running the handlers of `atexit`.
    """
    if multiprocessing := sys.modules.get("multiprocessing.util"):
        multiprocessing.Finalize(None, handler, exitpriority=0)


def uncaught_exception() -> BaseException | None:
    """The exception that ends the program, once the interpreter has printed it."""
    error: BaseException | None = getattr(sys, "last_value", None)
    return error


def reraise_keyboard_interrupt() -> None:
    """Make the interpreter end with the exit status of Ctrl-C, which shells check.

    The interpreter notes an uncaught KeyboardInterrupt in a flag, and any code compiled from text
    resets it; importing a module that defines a dataclass does so, on any thread.
    """
    with contextlib.suppress(KeyboardInterrupt):
        exec("raise KeyboardInterrupt")  # noqa: S102
