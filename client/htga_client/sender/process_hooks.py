"""Hooks into how the interpreter forks and ends."""

from __future__ import annotations

import contextlib
import os
import sys
import weakref
from collections.abc import Callable
from dis import opname
from types import TracebackType


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
    """The exception that ends the program, once the interpreter has printed it.

    `sys.last_value` alone does not tell: notebooks, consoles and debuggers set it for each error
    that they show, and the program goes on. One that ends it has left the outermost frame.
    """
    error: BaseException | None = getattr(sys, "last_value", None)
    traceback: TracebackType | None = getattr(sys, "last_traceback", None)
    goes_on = sys.flags.interactive or sys.flags.inspect or os.environ.get("PYTHONINSPECT")
    if error is None or traceback is None or goes_on:
        return None
    frame = traceback.tb_frame
    is_typed = frame.f_code.co_filename.startswith("<stdin>") and os.isatty(0)
    if frame.f_back is not None or is_typed:
        return None
    # A frame that was left stands where the exception was raised, or where it was raised again.
    last = opname[frame.f_code.co_code[frame.f_lasti]]
    was_left = frame.f_lasti == traceback.tb_lasti or last in {"RAISE_VARARGS", "RERAISE"}
    return error if was_left else None


def reraise_keyboard_interrupt() -> None:
    """Make the interpreter end with the exit status of Ctrl-C, which shells check.

    The interpreter notes an uncaught KeyboardInterrupt in a flag, and any code compiled from text
    resets it; importing a module that defines a dataclass does so, on any thread.
    """
    with contextlib.suppress(KeyboardInterrupt):
        exec("raise KeyboardInterrupt")  # noqa: S102
