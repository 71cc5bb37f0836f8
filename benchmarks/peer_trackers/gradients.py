"""A training whose gradients a tracker watches at every step; prints what that costs as JSON.

gradients.py WATCH FOLDER

Blocks of ten steps with the watch and without take turns, so that a drift of the machine's speed
hits both alike. Needs `training.py` on its path, and torch in the tracker's environment.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from training import Training

BLOCK, BLOCKS = 10, 16


class Watch(Protocol):
    """Looks at the gradients between `on` and `off`."""

    def on(self) -> None:
        """Begin to watch."""

    def log(self, loss: float) -> None:
        """After a step."""

    def off(self) -> None:
        """Cease, with everything stored."""


class Htga:
    """`attach` with so many options, and a run of its own each time."""

    def __init__(self, folder: Path, training: Training, **options: Any) -> None:
        self._telemetry = import_module("htga.telemetry")
        self._training = training
        self._options = options | {"dir": folder, "project": "peers", "model": training.model}

    def on(self) -> None:
        """Begin a run."""
        self._run = self._telemetry.attach(self._training.optimizer, **self._options)

    def log(self, loss: float) -> None:
        """The loss beside what the optimizer's hooks have seen."""
        self._run.log(loss=loss)

    def off(self) -> None:
        """Finish it."""
        self._run.finish(timeout=60)
        assert not self._run.stats.queued


class Wandb:
    """`wandb.watch`, offline."""

    def __init__(self, folder: Path, training: Training) -> None:
        os.environ |= {"WANDB_MODE": "offline", "WANDB_SILENT": "true"}
        self._wandb = import_module("wandb")
        self._model = training.model
        self._run = self._wandb.init(project="peers", dir=str(folder))

    def on(self) -> None:
        """At every step."""
        self._run.watch(self._model, log="gradients", log_freq=1)

    def log(self, loss: float) -> None:
        """The histograms go with the next `log`."""
        self._run.log({"loss": loss})

    def off(self) -> None:
        """Unhook."""
        self._run.unwatch(self._model)


class TensorBoard:
    """`SummaryWriter.add_histogram` of each parameter's gradient."""

    def __init__(self, folder: Path, training: Training) -> None:
        self._writer = import_module("torch.utils.tensorboard").SummaryWriter(str(folder))
        self._model = training.model
        self._step = 0

    def on(self) -> None:
        """Nothing to do."""

    def log(self, loss: float) -> None:
        """One call for each parameter."""
        for name, parameter in self._model.named_parameters():
            self._writer.add_histogram(name, parameter.grad, self._step)
        self._writer.add_scalar("loss", loss, self._step)
        self._step += 1

    def off(self) -> None:
        """Write it down."""
        self._writer.flush()


EACH_LAYER: dict[str, Any] = {"layers": "*", "layers_every": 1}
WATCHES: dict[str, Callable[[Path, Training], Watch]] = {
    "htga": Htga,
    "htga, each layer": partial(Htga, **EACH_LAYER),
    "htga, all entries": partial(Htga, sample=0),
    "htga, all entries of each layer": partial(Htga, sample=0, **EACH_LAYER),
    "wandb": Wandb,
    "tensorboard": TensorBoard,
}


def main() -> None:
    """Do what the command line says."""
    folder, training = Path(sys.argv[2]), Training()
    training.steps(BLOCK)
    watch = WATCHES[sys.argv[1]](folder, training)
    watch.on()
    watched(training, watch)
    watch.off()
    ratios = []
    for _ in range(BLOCKS):
        bare = training.steps(BLOCK)
        watch.on()
        watched(training, watch)
        ratios.append(watched(training, watch) / bare)
        watch.off()
    low, middle, high = statistics.quantiles(ratios, n=4)
    print(json.dumps({"ratio": middle, "low": low, "high": high}), flush=True)
    os._exit(0)  # some keep threads that would hold up the end


def watched(training: Training, watch: Watch) -> float:
    """Take a block of steps; seconds of one."""
    begin = time.perf_counter()
    for _ in range(BLOCK):
        watch.log(training.step())
    return (time.perf_counter() - begin) / BLOCK


if __name__ == "__main__":
    main()
