"""What the script `htga` calls: Ctrl-C ends it without a traceback while it loads, too."""

from __future__ import annotations

import sys


def start() -> None:
    """Execute the command line of the process, and end it."""
    try:
        from htga.cli.main import main

        status = main()
    except KeyboardInterrupt:
        status = 130
    sys.exit(status)
