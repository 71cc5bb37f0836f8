"""How the interpreter forks and comes to its end."""

from __future__ import annotations

import contextlib
import os
import sys
import weakref
from collections.abc import Callable


def in_children(method: Callable[[], None]) -> None:
    """Have a bound method called in each child that this process forks, while its object lives."""
    if hasattr(os, "register_at_fork"):
        again = weakref.WeakMethod(method)
        os.register_at_fork(after_in_child=lambda: (call := again()) and call())


def at_end_of_child(handler: Callable[[], None]) -> None:
    """Have it called at the end of this forked process.

    That of `multiprocessing` ends without the handlers of `atexit`.
    """
    if multiprocessing := sys.modules.get("multiprocessing.util"):
        multiprocessing.Finalize(None, handler, exitpriority=0)


def died_of() -> BaseException | None:
    """The exception that nobody caught, once the interpreter has printed it."""
    error: BaseException | None = getattr(sys, "last_value", None)
    return error


def end_as_interrupted() -> None:
    """Have it end as one that Ctrl-C has ended, which the shell looks at.

    It notes an uncaught KeyboardInterrupt in a flag that code run from text overwrites; importing
    a module that defines a dataclass does so, on any thread.
    """
    with contextlib.suppress(KeyboardInterrupt):
        exec("raise KeyboardInterrupt")  # noqa: S102
