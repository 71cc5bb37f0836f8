"""Telemetry of a Lightning `Trainer`."""

from __future__ import annotations

import itertools
import weakref
from typing import Any, Literal

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import Logger
from lightning.pytorch.trainer.states import TrainerFn

from htga.telemetry.attach import OPTIONS, attach_beside
from htga.telemetry.run import Run
from htga.telemetry.settings import check_options, public

_TOLD_APART = ("url", "project", "name", "group", "run_id")


class TelemetryCallback(Callback):
    """Attaches telemetry to an optimizer of the module whenever it is fitted.

    What the module logs by `self.log` goes to the run as well, and after the fit what it logs in
    `validate` and `test`. Checkpoints carry the run's id, so a fit that goes on from one continues
    the run, and so does a further fit of a trainer that goes on where it was. Another fit begins
    a run of its own. A trainer may have several of these callbacks.

    Args:
        optimizer: Index of the module's optimizer to measure.
        **options: Arguments of `htga.telemetry.attach`. `model` is the module and `config` its
            `hparams` unless they are given.

    Attributes:
        run: The run, once fitting has begun in this process.

    Raises:
        TypeError: `attach` has no such argument.
        ValueError: An option is invalid.
    """

    def __init__(self, *, optimizer: int = 0, **options: Any) -> None:
        check_options(type(self).__name__, options, (*OPTIONS, "optimizer"))
        self.run: Run | None = None
        self._optimizer = optimizer
        self._options = options
        self._sink: _Sink | None = None
        self._state: dict[str, Any] = {}
        self._is_fit = True  # whether what is loaded now belongs to a fit
        self._left_at: tuple[int, int] | None = None  # trainer and its step at the last fit's end
        self._key = self._unique_key()
        _living.add(self)

    @property
    def state_key(self) -> str:
        """What tells this callback from others in a checkpoint."""
        return self._key

    def _unique_key(self) -> str:
        given = public(self._options)
        told = {name: given[name] for name in _TOLD_APART if name in given}
        key = self._generate_state_key(optimizer=self._optimizer, **told)
        taken = {callback.state_key for callback in _living}
        copies = (f"{key} {number}" for number in itertools.count(2))
        return key if key not in taken else next(copy for copy in copies if copy not in taken)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin a run, or continue that of the checkpoint or of the fit that this one extends."""
        options: dict[str, Any] = {"model": pl_module, "config": dict(pl_module.hparams)}
        options["step"] = trainer.global_step // len(trainer.optimizers)
        if self.run is not None:
            if trainer.global_step and self._left_at == (id(trainer), trainer.global_step):
                options |= self.run.state_dict()
            self.run.finish()
        options |= self._state | self._options
        self._state = {}
        self.run = attach_beside(trainer.optimizers[self._optimizer], **options)
        self._listen(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Report the training's end."""
        self._end(trainer, "finished")

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Report the training's failure."""
        self._end(trainer, "failed")

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Listen to a validation after the fit."""
        if trainer.state.fn == TrainerFn.VALIDATING:
            self._listen(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Listen no more."""
        if trainer.state.fn == TrainerFn.VALIDATING:
            self._leave(trainer)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Listen to a test after the fit."""
        self._listen(trainer)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Listen no more."""
        self._leave(trainer)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps of the run."""
        return self._state if self.run is None else self.run.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue the run of a checkpoint, if it is loaded for a fit."""
        if self._is_fit:
            self._state = state_dict

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Find the callback's state in a checkpoint where its options were others.

        Those of several callbacks are told apart by their keys, or else by their order.
        """
        callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]  # set late
        self._is_fit, self._state = trainer.state.fn == TrainerFn.FITTING, {}
        saved: dict[str, Any] = checkpoint.get("callbacks") or {}
        mine = [one for one in callbacks if isinstance(one, TelemetryCallback)]
        keys = {one.state_key for one in mine}
        others = [one for one in mine if one.state_key not in saved]
        kind = type(self).__qualname__
        free = [saved[key] for key in saved if str(key).startswith(kind) and key not in keys]
        for callback, state in zip(others, free, strict=False):
            if callback is self:
                self.load_state_dict(dict(state))

    def _listen(self, trainer: Trainer) -> None:
        # Added late: the loggers present at the start decide where checkpoints are written.
        if self.run is not None:
            self._sink = _Sink(self.run)
            trainer.loggers = [*trainer.loggers, self._sink]

    def _leave(self, trainer: Trainer) -> None:
        trainer.loggers = [logger for logger in trainer.loggers if logger is not self._sink]

    def _end(self, trainer: Trainer, state: Literal["finished", "failed"]) -> None:
        self._leave(trainer)
        if self.run is not None:
            self._left_at = id(trainer), trainer.global_step
            self.run.end_training(state)


_living: weakref.WeakSet[TelemetryCallback] = weakref.WeakSet()


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
