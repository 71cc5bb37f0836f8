"""Telemetry of a process that a scheduler ends."""

from __future__ import annotations

import os
import signal
import time
import weakref
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

from htga.telemetry.run import Run

PATIENCE = 2.0
"""Seconds that the process lives on, for all of its runs together."""


def install_preemption_handler(
    run: Run, *, signals: Sequence[signal.Signals] | None = None
) -> None:
    """Deliver what waits when the process is told to end, then do what would have been done.

    Without it a signal ends Python where it stands: the run's last ten milliseconds are lost, the
    rest stays on disk until another process delivers it, and the run looks as if it went on until
    it is taken for lost. With it the run has an event that names the signal and is marked failed;
    then the signal ends the process as ever. Where the script has a handler of its own, which may
    save a checkpoint or go on, the run is only flushed and the handler called.

    Call it after the script has installed handlers of its own, from the main thread, once for each
    run. A forked child is left as it is.

    Args:
        run: What `htga.telemetry.attach` returned.
        signals: Which; those of schedulers if left out: SIGTERM and, as SLURM's `--signal=USR1@60`
            sends, SIGUSR1.

    Raises:
        ValueError: This is not the main thread, or a signal cannot be handled.
    """
    if signals is None:
        names = ("SIGTERM", "SIGUSR1")  # Windows has no second
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
            self._settle(signal.Signals(signum).name)
        if callable(self._former):
            self._former(signum, frame)
        elif self._former == signal.SIG_DFL:
            signal.signal(signum, signal.SIG_DFL)
            signal.raise_signal(signum)

    def _settle(self, name: str) -> None:
        deadline = time.monotonic() + PATIENCE
        for run in tuple(self.runs):
            run.alert(f"told to end by {name}", level="warning")
            left = max(0.0, deadline - time.monotonic())
            if self._former == signal.SIG_DFL:
                run.finish("failed", timeout=left)
            else:
                run.flush(left)
