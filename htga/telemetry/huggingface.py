"""Telemetry of a Hugging Face `Trainer`."""

from __future__ import annotations

from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import ExportableState

from htga.telemetry.attach import attach
from htga.telemetry.run import Run
from htga_client.wire.json_codec import to_jsonable


class TelemetryCallback(TrainerCallback, ExportableState):
    """Attaches telemetry to the trainer's optimizer for as long as it trains.

    What the trainer logs goes to the run as well. Checkpoints carry the run's id, so a training
    that goes on from one continues the run.

    Args:
        **options: Arguments of `htga.telemetry.attach`. `model` is the trainer's and `config` its
            `TrainingArguments` unless they are given.

    Attributes:
        run: The run, once training has begun.
    """

    def __init__(self, **options: Any) -> None:
        self.run: Run | None = None
        self._options = options

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **others: Any
    ) -> None:
        """Begin a run, or continue that of the checkpoint."""
        if self.run is not None:
            self.run.finish("failed")  # `on_train_end` was never called
        config: Any = args.to_dict()  # type: ignore[no-untyped-call]  # it hides tokens
        options = {"model": others["model"], "config": config, "step": state.global_step}
        known: Any = state.stateful_callbacks
        if state.global_step and (before := known.get(type(self).__name__)):
            options["run_id"] = before["attributes"]["run_id"]
        self.run = attach(others["optimizer"], **options | self._options)

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **others: Any
    ) -> None:
        """Log what the trainer logs."""
        if self.run is not None:
            self.run.log(others["logs"])

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **others: Any
    ) -> None:
        """Finish the run."""
        if self.run is not None:
            self.run.finish()

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps of the run; no secrets, because checkpoints are shared."""
        run_id = None if self.run is None else self.run.id
        options = {name: value for name, value in self._options.items() if name != "token"}
        return {"args": to_jsonable(options), "attributes": {"run_id": run_id}}
