"""The handle of a run."""

from __future__ import annotations

import contextlib
import logging
import time
import uuid
from collections.abc import Callable, Collection, Mapping
from html import escape
from operator import index
from types import TracebackType
from typing import Any, Literal, Self
from weakref import WeakValueDictionary

from torch.optim import Optimizer

from htga.telemetry.closures.measurements import ClosureMeasurements, NoiseMeasurement
from htga.telemetry.closures.sharpness import Sharpness
from htga.telemetry.guard import Guard, WarnOnce
from htga.telemetry.metric_values import MetricValues
from htga.telemetry.notebook.card import Card
from htga.telemetry.probe import Probe
from htga.telemetry.spectra.spectra import Spectra
from htga_client import wire
from htga_client.console import logger, notify
from htga_client.sender.sender import Sender
from htga_client.sender.stats import SenderStats
from htga_client.wire.json_codec import dumps
from htga_client.wire.limits import MAX_EVENT, MAX_LABEL, MAX_STEP
from htga_client.wire.text import as_text, shown

_FLOATS = frozenset({float})
_LEVELS = {"info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_runs: WeakValueDictionary[str, Run] = WeakValueDictionary()  # of this process, by key
_told: set[str] = set()  # keys of the other processes' runs that were logged to here


class StepCounter:
    """Counts the steps of a run whose optimizer is not measured.

    Args:
        optimizer: Its steps are counted; None if only the run counts.
        first_step: Number of the first step.

    Attributes:
        steps: Number of the next step.
    """

    def __init__(self, optimizer: Optimizer | None = None, first_step: int = 0) -> None:
        self.steps = first_step
        self._hook = None if optimizer is None else optimizer.register_step_post_hook(self.count)

    def count(self, *_: Any) -> None:
        """Count a step."""
        self.steps += 1

    def detach(self) -> None:
        """Count no more."""
        if self._hook is not None:
            self._hook.remove()

    def __reduce__(self) -> tuple[Any, ...]:
        return StepCounter, ()  # that of a copied optimizer counts for no run


class Run:
    """A run, as `attach` returns it.

    No method raises because of a failure of telemetry, and each may be called at any time and any
    number of times, even after the end. As a context manager it finishes the run, as failed if an
    exception leaves the block.

    It is copied and pickled as a handle: a copy is the run itself, and so is what is unpickled in
    the same process. Unpickled in another process, it knows the run's id, page, name and next step,
    and what is logged to it is dropped, with one warning.

    Args:
        run_id: UUID of the run.
        url: Its page on the dashboard.
        name: Its label for people.
        sender: Takes the rows; None makes a run that does nothing.
        probe: Measures the optimizer, or only counts; its step counter gives `log` its step.
        rank: Rank of this process.
        find_id: Tells the id later, where it is another rank's and `run_id` is empty.
        card: Shows the run in a notebook, in which this process is.
        holder: The run of another optimizer whose sender this one shares, and whose end it leaves
            to that one.
        closures: Measures what needs a closure; None if nothing can be measured so.
        spectra: Measures the spectra of the weights, if they are measured.
    """

    def __init__(
        self,
        run_id: str,
        url: str,
        *,
        name: str = "",
        sender: Sender | None = None,
        probe: Probe | StepCounter | None = None,
        rank: int = 0,
        find_id: Callable[[], str] | None = None,
        card: Card | None = None,
        holder: Run | None = None,
        closures: ClosureMeasurements | None = None,
        spectra: Spectra | None = None,
    ) -> None:
        self._id = run_id
        self._find_id = find_id
        self._card = card
        self._holder = holder
        self._closures = closures
        self._spectra = spectra
        self._url = url
        self._name = name
        self._sender = sender
        self._probe = probe
        self._rank = rank
        self._guard = Guard("metrics could not be logged")
        self._counter = StepCounter() if probe is None else probe
        self._unstepped = self._counter.steps  # what the counter is until the first step
        self._early: set[Any] = set()  # what was logged at the last step before the first
        self._warn_once = WarnOnce()
        self._values = MetricValues(self._warn_once, self._guard)
        self._finished = self._settled = False
        self._key = uuid.uuid4().hex
        self._is_foreign = False  # whether another process logs to the run, and this one cannot
        _runs[self._key] = self

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, _: dict[int, Any]) -> Self:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        is_logged = self._sender is not None or self._is_foreign
        known = {"run_id": self._id, "url": self._url, "name": self._name, "rank": self._rank}
        return _unpickled, (self._key, known, self._counter.steps, is_logged)

    @property
    def id(self) -> str:
        """UUID of the run; empty, with one warning, on a rank that cannot learn that of rank 0."""
        if not self._id and self._find_id is not None:
            self._id = self._find_id()
        return self._id

    @property
    def is_open(self) -> bool:
        """Whether the run goes on: neither its end nor that of its training was reported."""
        return not (self._finished or self._settled or self._sender is None)

    @property
    def url(self) -> str:
        """The run's page on the dashboard; empty offline and if telemetry is disabled."""
        return self._url

    @property
    def name(self) -> str:
        """The run's label for people; empty if telemetry is disabled."""
        return self._name

    @property
    def stats(self) -> SenderStats:
        """Counts of the rows that were stored, wait, or were dropped so far."""
        return SenderStats() if self._sender is None else self._sender.stats

    def log(
        self, metrics: Mapping[str, Any] | None = None, /, *, step: int | None = None, **named: Any
    ) -> None:
        """Log metrics of one step; returns at once.

        Args:
            metrics: Numbers by name: Python's, NumPy's, or arrays and tensors with one element,
                which are read from an accelerator later and without a wait. NaN and infinities
                are kept. Other values are left out, with one warning, and the rest is logged.
            step: The step of the metrics; the optimizer's last step if it is left out, or, with
                one warning, if it is not a whole number. What is logged before the first step of
                all gets number 0, and the optimizer begins with 1. A metric that is logged again
                before the optimizer has taken a step begins another step, with one warning.
            **named: More metrics.
        """
        sender = self._sender
        if sender is None:
            self._warn_of_other_process()
            return
        try:
            try:
                numbers = named if metrics is None else {**metrics, **named}
            except Exception:  # noqa: BLE001  it may be any object
                numbers = self._values.readable(metrics) | named
            row = {
                "step": self._step(numbers) if step is None else self._as_step(step),
                "time": time.time(),
                "rank": self._rank,
                "metrics": numbers,
            }
            # A float cannot change before the sender's thread reads it; other values are read now.
            are_floats = _FLOATS.issuperset(map(type, numbers.values()))
            item = row if are_floats else self._values.read(row)
            if not sender.put(item) and self._finished:
                self._warn_once(
                    "finished",
                    f"run {self._id} is finished, so what is logged to it is dropped; "
                    "attach(optimizer) begins another",
                )
        except Exception as error:  # a `with` would cost as much as all the rest
            if not self._guard.caught(error):
                raise

    def step(self) -> None:
        """Count a step, where the optimizer's `step` is never called; `log` gives its number."""
        self._counter.steps += 1

    def measure_noise(
        self,
        closure: Callable[[], Any] | None = None,
        batches: int = 16,
        *,
        batch_size: int | None = None,
    ) -> NoiseMeasurement | None:
        """Measure how gradients differ between minibatches, at the weights as they are now.

        The closure is called once for each minibatch and computes its loss: on other samples at
        each call, drawn as in training: from an iterator, or with the generators below, which
        begin anew for each measurement. It returns the loss, or calls its `backward()` itself; it
        need not set gradients to zero, and may. Under `DistributedDataParallel` call this on every
        rank alike.

        Afterwards all is as before: the gradients, the random generators of Python, NumPy and
        PyTorch, and the buffers and modes of the model and of every module that the closure runs.
        It takes the memory of two more gradients. The weights must stay as they are.

        The numbers go to the run, at the optimizer's last step.

        Args:
            closure: As above; left out, that of `attach`.
            batches: Number of minibatches, at least 2; 8 give `noise_alpha`, 40 the index of the
                norm. One that is left over from the pairs counts for the noise scale only.
            batch_size: Number of samples in a minibatch; without it there is no noise scale.

        Returns:
            The numbers; None where nothing is measured, because telemetry is disabled, the
            parameters are sharded, or telemetry fails.

        Raises:
            TypeError: `closure` is no callable.
            ValueError: A number is out of range, the closure makes no gradient, or it changes the
                weights, which then stay changed.
            Exception: Whatever the closure raises, after all has been put back.
        """
        if self._closures is None:
            self._warn_of_other_process()
            return None
        return self._closures.measure_noise(closure, batches, batch_size)

    def measure_sharpness(self, closure: Callable[[], Any], products: int = 20) -> Sharpness | None:
        """Measure how sharply the loss bends: the largest eigenvalue of its Hessian.

        The closure is called once and returns the loss, of as many samples as you like and without
        calling `backward()`. All is put back as by `measure_noise`, and the number goes to the run,
        at the optimizer's last step. Each product of the Hessian with a vector takes about twice as
        long as a backward pass; the graph of the loss is kept for all of them.

        Args:
            closure: As above.
            products: Number of products, at least 1; more make it more exact, as the result says.

        Returns:
            The eigenvalue and how exact it is; None where nothing is measured, because telemetry is
            disabled, the parameters are sharded, or telemetry fails.

        Raises:
            TypeError: `closure` is no callable.
            ValueError: `products` is out of range; the closure returns no loss, has called
                `backward()`, or changes the weights; or the loss has no second derivative.
            Exception: Whatever the closure raises, after all has been put back.
        """
        if self._closures is None:
            self._warn_of_other_process()
            return None
        return self._closures.measure_sharpness(closure, products)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint needs so that the run can go on: its id and the next step.

        A later process calls `attach(optimizer, run_id=state["run_id"], step=state["step"])`.
        """
        return {"run_id": self.id, "step": self._counter.steps}

    def alert(self, title: str, text: str = "", *, level: wire.Level = "info") -> None:
        """Report something that a person should see, in the log and in the run's events.

        Args:
            title: A few words.
            text: The details.
            level: "info", "warning" or "error".
        """
        if self._sender is None:
            self._warn_of_other_process()
            return
        with self._guard:
            title, text = as_text(title), as_text(text)
            notify(f"{title}: {text}" if text else title, level=_LEVELS[level])
            self._sender.put(
                {
                    "step": self._last_step,
                    "time": time.time(),
                    "rank": self._rank,
                    "event": _alert(title[:MAX_LABEL], text[:MAX_EVENT], level),
                }
            )

    def flush(self, timeout: float = 30.0) -> bool:
        """Wait until everything logged so far is stored; True if no row was lost.

        Args:
            timeout: Seconds to wait at most.
        """
        return True if self._sender is None else self._sender.flush(timeout)

    def finish(
        self, state: Literal["finished", "failed"] = "finished", *, timeout: float = 5.0
    ) -> None:
        """Stop measuring, deliver the waiting rows and end the run.

        Args:
            state: How the run ended; the first call decides.
            timeout: Seconds to wait at most. The remaining rows are delivered in the background,
                as long as the process lives.
        """
        timeout = self._ended(timeout)
        self._finished = True
        if self._holder is None and self._sender is not None:
            self._say_what_is_left(self._sender.finish(state, timeout=timeout))

    def end_training(
        self, state: Literal["finished", "failed"] = "finished", *, timeout: float = 5.0
    ) -> None:
        """Stop measuring, deliver the waiting rows and report how the training ended.

        In contrast to `finish`, what is still logged is kept, such as the result of a test: at the
        optimizer's last step, and the run stays as it ended. It is closed with the process, or
        when nothing refers to it any more.

        Args:
            state: How the training ended; the first call of this or `finish` decides.
            timeout: Seconds to wait at most. The rest is delivered in the background.
        """
        timeout = self._ended(timeout)
        self._settled = True
        if self._holder is None and self._sender is not None and not self._finished:
            self._say_what_is_left(self._sender.settle(state, timeout=timeout))

    def _ended(self, timeout: float) -> float:
        """Stop measuring; wait for what is computed beside the training. Returns what is left."""
        self.detach()
        begin = time.monotonic()
        if self._spectra is not None:
            self._spectra.wait(timeout)
        return max(0.0, timeout - (time.monotonic() - begin))

    def _say_what_is_left(self, is_delivered: bool) -> None:
        if not is_delivered and self._sender is not None and (left := self._sender.stats.queued):
            logger.info("%d rows are still on their way", left)

    def detach(self) -> None:
        """Stop measuring the optimizer; `log` keeps working."""
        for beside in (self._closures, self._spectra):
            if beside is not None:
                beside.detach()
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

    def __repr__(self) -> str:
        return f"<htga run {self._id}{self._url and f' on {self._url}'}>"

    def _repr_html_(self) -> str:
        """The run in a notebook: a link, and a picture if there is one."""
        if self._card is not None:
            return self._card.html()
        title = escape(self._name or self._id or "run")
        link = f'<a href="{escape(self._url)}" target="_blank" rel="noopener">{title}</a>'
        return f"<div>run {link if self._url else title}</div>"

    def _ipython_display_(self) -> None:
        """Show the run below a notebook's cell, and keep the picture up to date."""
        if self._card is None or not self._card.show():
            raise NotImplementedError  # IPython then takes another form

    @property
    def _last_step(self) -> int:
        return max(0, self._counter.steps - 1)

    def _step(self, names: Collection[Any]) -> int:
        """The optimizer's last step, or one of its own for what is logged before the first."""
        steps = self._counter.steps
        return steps - 1 if steps != self._unstepped else self._early_step(names)

    def _early_step(self, names: Collection[Any]) -> int:
        again = not self._early.isdisjoint(names)
        if again or self._counter.steps == 0:
            self._early.clear()
            self._counter.steps += 1
            self._unstepped = self._counter.steps
        self._early.update(names)
        if again:
            self._warn_once(
                "steps",
                "metrics are logged again although optimizer.step() has not been called, so each "
                "log of the same metric counts as a step until it is; where it never is, call "
                "run.step() once for each step",
            )
        return self._counter.steps - 1

    def _as_step(self, step: Any) -> int:
        """Convert a step to an integer, if it is a whole number of any type."""
        try:
            whole = int(step) if isinstance(step, float) and step.is_integer() else index(step)
        except Exception:  # noqa: BLE001  it may be any object
            whole = -1
        if 0 <= whole < MAX_STEP:
            return whole
        last = self._last_step
        self._warn_once(
            "step", f"step must be a whole number of at least 0, got {shown(step)}; {last} is taken"
        )
        return last

    def _warn_of_other_process(self) -> None:
        """Say once in this process that the run is another's, if it is."""
        if self._is_foreign and self._key not in _told:
            _told.add(self._key)
            notify(
                f"run {self._name} is not attached in this process, so what is logged to it here "
                "is dropped; log to it in the process that called attach",
                level=logging.WARNING,
            )


def _unpickled(key: str, known: dict[str, Any], left_at: int, is_foreign: bool) -> Run:
    """The run of this process that was pickled, or a handle of another process's."""
    run = _runs.get(key)
    if run is None:
        run = Run(**known)
        del _runs[run._key]  # noqa: SLF001  only what `attach` returned is found again
        run._key, run._is_foreign = key, is_foreign  # noqa: SLF001
        run._counter.steps = left_at  # noqa: SLF001
    return run


def _alert(title: str, text: str, level: wire.Level) -> str:
    """An alert as JSON, with as much of the text as an event can hold."""
    while True:
        event = wire.Event(kind="alert", level=level, title=title, text=text)
        encoded = dumps(event).decode()
        if len(encoded) <= MAX_EVENT:
            return encoded
        text = text[: len(text) * 3 // 4]
