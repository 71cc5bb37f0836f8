"""Telemetry of a Lightning `Trainer`."""

from __future__ import annotations

from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import Logger

from htga.telemetry.attach import attach
from htga.telemetry.run import Run


class TelemetryCallback(Callback):
    """Attaches telemetry to an optimizer of the module for as long as it is fitted.

    What the module logs by `self.log` goes to the run as well. Checkpoints carry the run's id, so
    a fit that goes on from one continues the run.

    Args:
        optimizer: Index of the module's optimizer to measure.
        **options: Arguments of `htga.telemetry.attach`. `model` is the module and `config` its
            `hparams` unless they are given.

    Attributes:
        run: The run, once fitting has begun.
    """

    def __init__(self, *, optimizer: int = 0, **options: Any) -> None:
        self.run: Run | None = None
        self._optimizer = optimizer
        self._options = options
        self._sink: _Sink | None = None
        self._state: dict[str, Any] = {}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin a run, or continue that of the checkpoint."""
        options: dict[str, Any] = {"model": pl_module, "config": dict(pl_module.hparams)}
        options |= self._state | self._options
        self._state = {}
        self.run = attach(trainer.optimizers[self._optimizer], **options)
        self._sink = _Sink(self.run)
        # Added late: the loggers present at the start decide where checkpoints are written.
        trainer.loggers = [*trainer.loggers, self._sink]

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Finish the run."""
        self._end(trainer, "finished")

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Finish the run as failed."""
        self._end(trainer, "failed")

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps of the run."""
        return self._state if self.run is None else self.run.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue the run of a checkpoint."""
        self._state = state_dict

    def _end(self, trainer: Trainer, state: Any) -> None:
        trainer.loggers = [logger for logger in trainer.loggers if logger is not self._sink]
        if self.run is not None:
            self.run.finish(state)


class _Sink(Logger):
    """Passes what a module logs on to the run."""

    def __init__(self, run: Run) -> None:
        self._run = run

    @property
    def name(self) -> str:
        return "htga"

    @property
    def version(self) -> str:
        return ""  # keeps it off the progress bar

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        # The step is the optimizer's, as for gradients; Lightning's counts batches.
        self._run.log(metrics)

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        pass
