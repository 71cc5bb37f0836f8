"""How the interpreter comes to its end."""

from __future__ import annotations

import contextlib
import sys


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
