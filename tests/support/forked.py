"""Processes that begin where their imports have ended.

A collector imports for a second before it does anything, and fault tests start a hundred of them.
So one process imports once, and each collector is a fork of it: a process with an id of its own,
which signals end like any other.
"""

from __future__ import annotations

import io
import multiprocessing
import os
import signal
import subprocess
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.support.collector"])


class Forked:
    """What `subprocess.Popen` is for a program, for a function of an importable module.

    Args:
        function: Called with `arguments`; what it prints can be read from `stdout`.
        arguments: Texts.
    """

    def __init__(self, function: Callable[[Sequence[str]], None], arguments: Sequence[str]) -> None:
        read, write = CONTEXT.Pipe(duplex=False)
        self._process = CONTEXT.Process(target=_run, args=(function, arguments, write), daemon=True)
        self._process.start()
        self.stdout: io.TextIOWrapper | None = os.fdopen(os.dup(read.fileno()))
        read.close()
        write.close()
        assert self._process.pid is not None
        self.pid = self._process.pid

    def send_signal(self, sig: signal.Signals) -> None:
        """Send a signal."""
        os.kill(self.pid, sig)

    def kill(self) -> None:
        """SIGKILL."""
        self._process.kill()

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end; the exit status, or the negative number of the signal.

        Raises:
            TimeoutExpired: It has not ended in time.
        """
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("a forked process", timeout or 0.0)
        return self._process.exitcode


def _run(
    function: Callable[[Sequence[str]], None], arguments: Sequence[str], out: Connection
) -> None:
    os.dup2(out.fileno(), 1)
    out.close()
    function(arguments)
