"""The few lines that HTGA prints for the person who runs a script."""

from __future__ import annotations

import contextlib
import logging
import sys

logger = logging.getLogger("htga")


def notify(message: str, *, level: int = logging.INFO) -> None:
    """Log one line to the logger "htga"; where no logging is set up, write it to stderr.

    Python's own fallback would show warnings only, and a plain script should see its run's address.
    """
    if logger.hasHandlers():
        logger.log(level, "%s", message)
        return
    with contextlib.suppress(OSError, ValueError, AttributeError):  # stderr may be closed, or None
        sys.stderr.write(f"htga: {message}\n")
