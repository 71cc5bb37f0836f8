"""The handle of a run that is being logged."""

from __future__ import annotations

import contextlib
import operator
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Literal, Self

from torch import Tensor

from htga.telemetry.guard import Guard
from htga.telemetry.probe import Probe
from htga.telemetry.readout import Readout
from htga_client.notices import logger
from htga_client.rows import Row
from htga_client.sender import Sender
from htga_client.stats import Stats


class Run:
    """A run; `attach` makes it.

    No method raises because of what happens to the telemetry, and each may be called at any time,
    also again, also after the end. As a context manager it finishes the run, as failed if an
    exception leaves the block.

    Args:
        run_id: Its UUID.
        url: Its page on the dashboard.
        sender: Where rows go; None makes a run that does nothing.
        probe: What measures; its step counter gives `log` its step.
    """

    def __init__(
        self, run_id: str, url: str, *, sender: Sender | None = None, probe: Probe | None = None
    ) -> None:
        self._id = run_id
        self._url = url
        self._sender = sender
        self._probe = probe
        self._guard = Guard("metrics could not be logged")
        self._left_out: set[str] = set()

    @property
    def id(self) -> str:
        """UUID of the run."""
        return self._id

    @property
    def url(self) -> str:
        """The run's page on the dashboard; empty if telemetry is disabled."""
        return self._url

    @property
    def stats(self) -> Stats:
        """What became of the rows so far."""
        return Stats() if self._sender is None else self._sender.stats

    def log(
        self, metrics: Mapping[str, Any] | None = None, /, *, step: int | None = None, **named: Any
    ) -> None:
        """Log metrics of one step; returns at once.

        Args:
            metrics: Numbers by name: Python's, NumPy's, or tensors with one element, which are
                read from an accelerator later and without a wait. NaN and infinities are kept.
                Anything else is left out, with one warning.
            step: The step they belong to; the optimizer's last one if left out.
            **named: More of them.
        """
        if self._sender is None:
            return
        with self._guard:
            if step is None:
                step = max(0, self._probe.steps - 1) if self._probe is not None else 0
            row: dict[str, Any] = {"step": operator.index(step), "time": time.time()}
            numbers = named if metrics is None else {**metrics, **named}
            row["metrics"] = numbers
            # Most are floats already, and this is the training thread.
            away = self._convert(numbers, [k for k, v in numbers.items() if type(v) is not float])
            if not away:
                self._sender.put(row)
                return
            readout = Readout([value.reshape(()) for value in away.values()])
            self._sender.put(lambda: _with_metrics(row, tuple(away), readout))

    def flush(self, timeout: float = 30.0) -> bool:
        """Wait until everything logged so far is stored; True if it all is.

        Args:
            timeout: Seconds to wait at most.
        """
        return True if self._sender is None else self._sender.flush(timeout)

    def finish(
        self, state: Literal["finished", "failed"] = "finished", *, timeout: float = 10.0
    ) -> None:
        """Stop measuring, deliver what waits and end the run.

        Args:
            state: How it ended; the first call decides.
            timeout: Seconds to wait at most. What is left is delivered in the background, as long
                as the process lives.
        """
        self.detach()
        if self._sender is not None and not self._sender.finish(state, timeout=timeout):
            left = self._sender.stats.queued
            if left:
                logger.info("%d rows are still on their way", left)

    def detach(self) -> None:
        """Stop measuring the optimizer; `log` goes on working."""
        if self._probe is not None:
            with contextlib.suppress(Exception):
                self._probe.detach()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.finish("finished" if error is None else "failed")

    def _convert(self, numbers: dict[str, Any], names: Sequence[str]) -> dict[str, Tensor]:
        """Make floats of these numbers; takes out and returns those on an accelerator."""
        away: dict[str, Tensor] = {}
        for name in names:
            value = numbers.pop(name)
            if isinstance(value, Tensor) and value.device.type != "cpu" and value.numel() == 1:
                away[name] = value
                continue
            try:
                numbers[name] = _number(value)
            except (TypeError, ValueError, OverflowError, RuntimeError):
                self._leave_out(name, value)
        return away

    def _leave_out(self, name: str, value: object) -> None:
        if name not in self._left_out:
            self._left_out.add(name)
            logger.warning(
                "metric %r is no number but %.60r; it is left out, the others are logged",
                name,
                value,
            )


def _number(value: Any) -> float:
    if isinstance(value, (str, bytes)):
        raise TypeError("text is no number, even if it spells one")
    return float(value.detach() if isinstance(value, Tensor) else value)


def _with_metrics(row: dict[str, Any], names: tuple[str, ...], readout: Readout) -> Row:
    return row | {"metrics": row["metrics"] | dict(zip(names, readout.numbers(), strict=True))}
