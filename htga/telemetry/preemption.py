"""Delivery of telemetry when a scheduler ends the process."""

from __future__ import annotations

import os
import signal
import time
import weakref
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

from htga.telemetry.run import Run

END_TIMEOUT = 2.0
"""Seconds that the process lives on to deliver, for all of its runs together."""


def install_preemption_handler(
    run: Run, *, signals: Sequence[signal.Signals] | None = None
) -> None:
    """Deliver waiting rows when a signal ends the process, then handle the signal as before.

    Without it a signal ends Python at once: the run's last ten milliseconds are lost, the other
        rows
    stay on disk until another process delivers them, and the run appears to be running until the
    collector takes it for lost. With it the run gets an event that names the signal and is marked
    failed; then the signal ends the process as usual. If the script has its own handler, which may
    save a checkpoint or go on, the run is only flushed and the handler called.

    Call it after the script has installed its own handlers, from the main thread, once for each
    run. It does nothing in a forked child.

    Args:
        run: What `htga.telemetry.attach` returned.
        signals: The signals to handle; by default SIGTERM and SIGUSR1, which SLURM's
            `--signal=USR1@60` sends.

    Raises:
        ValueError: This is not the main thread, or a signal cannot be handled.
    """
    if signals is None:
        names = ("SIGTERM", "SIGUSR1")  # Windows lacks SIGUSR1
        signals = [signal.Signals[name] for name in names if name in signal.Signals.__members__]
    for signum in signals:
        handler = signal.getsignal(signum)
        if not isinstance(handler, _Handler):
            if handler is None:
                raise ValueError(
                    f"signals holds {signum.name}, whose handler was not set from Python and so "
                    "could not be called; leave it out"
                )
            handler = _Handler(handler)
            signal.signal(signum, handler)
        handler.runs.add(run)


class _Handler:
    def __init__(self, former: Callable[[int, FrameType | None], Any] | int) -> None:
        self.runs: weakref.WeakSet[Run] = weakref.WeakSet()
        self._former = former
        self._pid = os.getpid()

    def __call__(self, signum: int, frame: FrameType | None) -> None:
        if os.getpid() == self._pid:
            self._deliver(signal.Signals(signum).name)
        if callable(self._former):
            self._former(signum, frame)
        elif self._former == signal.SIG_DFL:
            signal.signal(signum, signal.SIG_DFL)
            signal.raise_signal(signum)

    def _deliver(self, name: str) -> None:
        deadline = time.monotonic() + END_TIMEOUT
        for run in tuple(self.runs):
            run.alert(f"told to end by {name}", level="warning")
            left = max(0.0, deadline - time.monotonic())
            if self._former == signal.SIG_DFL:
                run.finish("failed", timeout=left)
            else:
                run.flush(left)
