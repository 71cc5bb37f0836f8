"""Telemetry of a Hugging Face `Trainer`."""

from __future__ import annotations

import weakref
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import ExportableState

from htga.telemetry.attach import OPTIONS, attach_beside
from htga.telemetry.run import Run
from htga.telemetry.settings import check_options, public


class TelemetryCallback(TrainerCallback, ExportableState):
    """Attaches telemetry to the trainer's optimizer whenever it trains.

    What the trainer logs goes to the run as well, also in `evaluate` and `predict` after the
    training. Checkpoints carry the run's id, so a training that goes on from one continues the
    run. Another training begins a run of its own. A trainer may have several of these callbacks.

    With `restore_callback_states_from_checkpoint` the trainer makes its callbacks anew. The new one
    gets the options of the one that was given, among them the token, which no checkpoint holds.

    Args:
        **options: Arguments of `htga.telemetry.attach`. `model` is the trainer's and `config` its
            `TrainingArguments` unless they are given.

    Attributes:
        run: The run, once training has begun.
        options: As given.
        is_replaced: Whether the trainer has made another from a checkpoint in place of this one.

    Raises:
        TypeError: `attach` has no such argument.
        ValueError: An option is invalid.
    """

    def __init__(self, **options: Any) -> None:
        check_options(type(self).__name__, options, OPTIONS)
        self.run: Run | None = None
        self.options = options
        self.is_replaced = False
        self._given: TelemetryCallback | None = None  # the one in whose place this one was made
        self._continues = ""
        # One object, which the trainer puts into its state, so that it is up to date there.
        self._exported = _Exported(args=public(options), attributes={"run_id": None})
        _living.append(weakref.ref(self, _living.remove))

    @property
    def run_id(self) -> str | None:
        """Id of the run."""
        return None if self.run is None else self.run.id

    @run_id.setter
    def run_id(self, run_id: str | None) -> None:
        """Continue a run; the trainer sets this on a callback that it makes from a checkpoint."""
        self._continues = run_id or ""
        if (given := _given_for(self)) is not None:
            given.is_replaced = True
            self._given, self.options = given, given.options

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **others: Any
    ) -> None:
        """Begin a run, or continue that of the checkpoint."""
        if self.run is not None:
            self.run.finish("failed")  # unless `on_train_end` has said otherwise
        config: Any = args.to_dict()  # type: ignore[no-untyped-call]  # it hides tokens
        options = {"model": others["model"], "config": config, "step": state.global_step}
        saved = self._enter(state)
        if state.global_step and (run_id := self._continues or saved):
            options["run_id"] = run_id
        self._continues = ""
        self.run = attach_beside(others["optimizer"], **options | self.options)
        self.state()
        if self._given is not None:
            self._given.run = self.run

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **others: Any
    ) -> None:
        """Log what the trainer logs."""
        if self.run is not None:
            self.run.log(others["logs"])

    def on_predict(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: Any,
        **others: Any,
    ) -> None:
        """Log the metrics of a prediction, which the trainer only returns."""
        if self.run is not None:
            self.run.log(metrics)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **others: Any
    ) -> None:
        """Report the training's end."""
        if self.run is not None:
            self.run.end_training()

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **others: Any
    ) -> None:
        """Remove what the trainer has added to its state: of several callbacks, all once more."""
        entries: Any = state.stateful_callbacks
        if isinstance(own := entries.get(type(self).__name__), list):
            own[:] = {id(entry): entry for entry in own}.values()

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps of the run; no secrets, because checkpoints are shared."""
        self._exported["attributes"]["run_id"] = self.run_id
        return self._exported

    def _enter(self, state: TrainerState) -> str:
        """Put this callback into a state that a checkpoint has brought; the run that it had there.

        Of several callbacks each takes an entry with its own options, or else the next one.
        """
        entries: Any = state.stateful_callbacks
        known = entries.setdefault(type(self).__name__, [])
        listed = known if isinstance(known, list) else [known]
        if any(entry is self._exported for entry in listed):
            return ""
        free = [at for at, entry in enumerate(listed) if not isinstance(entry, _Exported)]
        own = self._exported["args"]
        at = next((at for at in free if listed[at].get("args") == own), free[0] if free else None)
        if at is None:
            listed.append(self._exported)
            found: dict[str, Any] = {}
        else:
            found, listed[at] = listed[at], self._exported
        entries[type(self).__name__] = listed if len(listed) > 1 else listed[0]
        return (found.get("attributes") or {}).get("run_id") or ""


class _Exported(dict[str, Any]):
    """The entry of a living callback in a trainer's state, in contrast to one from a checkpoint."""


_living: list[weakref.ref[TelemetryCallback]] = []  # in the order in which they were made


def _given_for(made: TelemetryCallback) -> TelemetryCallback | None:
    """The callback of the script in whose place the trainer has made one, if that is certain."""
    living = [one for ref in _living if (one := ref()) is not None and one is not made]
    free = [one for one in living if one.run is None and not one.is_replaced]
    same = [one for one in free if public(one.options) == public(made.options)]
    if same:
        return same[0]
    return free[0] if len(free) == 1 else None
