"""The spectra of an optimizer's weights, every so many steps, on a thread of their own."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from htga.telemetry.guard import Guard
from htga.telemetry.layers import Layers
from htga.telemetry.measure_schedule import Counter, EverySteps
from htga.telemetry.spectra.spectral_index import is_matrix, random_index, spectral_index
from htga_client.wire.row_encoder import Row

KEYS = ("esd_alpha", "esd_alpha_null")
Emit = Callable[[Callable[[], Sequence[Row]]], Any]


class Spectra:
    """Measures the weight matrices of an optimizer, and emits rows when they are computed.

    The training thread copies the weights, on their device, and goes on. While one measurement is
    computed, no other begins.

    Args:
        optimizer: Its parameters are measured; it is not kept alive.
        emit: Takes a callable that makes rows.
        counter: Counts the steps of the optimizer, before this is told of them.
        every: Number of steps from one measurement to the next; the first is after the first step.
        model: Gives the layers their names.
        layers: Patterns of the names of layers to measure.
        layers_top: Maximum number of layers; of more, the largest are measured.
        rank: Rank of this process.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        emit: Emit,
        *,
        counter: Counter,
        every: int,
        model: nn.Module | None = None,
        layers: Sequence[str] = ("*",),
        layers_top: int = 50,
        rank: int = 0,
    ) -> None:
        self._optimizer = weakref.ref(optimizer)
        self._emit = emit
        self._counter = counter
        self._layers = Layers(optimizer, model, layers, layers_top)
        self._rank = rank
        self._guard = Guard("the spectra of the weights could not be measured")
        self._thread: threading.Thread | None = None
        self._hook = EverySteps(optimizer, counter, every, self._begin)

    def detach(self) -> None:
        """Begin no further measurement."""
        self._hook.remove()

    def wait(self, seconds: float) -> None:
        """Wait until the measurement that goes on is emitted, but no longer than this."""
        if self._thread is not None:
            self._thread.join(seconds)

    @torch.no_grad()
    def _begin(self) -> None:
        with self._guard:
            optimizer = self._optimizer()
            if optimizer is None or (self._thread is not None and self._thread.is_alive()):
                return
            chosen = self._layers.chosen(optimizer, _can_be_measured)
            weights = {name: parameter.detach().clone() for name, parameter in chosen}
            if not weights:
                return
            place = {
                "step": max(0, self._counter.steps - 1),
                "time": time.time(),
                "rank": self._rank,
            }
            copied = [_event(device) for device in {copy.device for copy in weights.values()}]
            self._thread = threading.Thread(
                target=self._measure,
                args=(weights, copied, place),
                name="htga-spectra",
                daemon=True,
            )
            self._thread.start()

    def _measure(
        self, weights: dict[str, Tensor], copied: Sequence[Any], place: Mapping[str, Any]
    ) -> None:
        with self._guard:
            for event in copied:
                if event is not None:
                    event.synchronize()
            rows: list[Row] = []
            for name in list(weights):
                matrix = weights.pop(name).cpu()  # its copy is freed once it is measured
                rows.append({**place, "layer": name, **_numbers(matrix)})
            means = {key: _mean([row[key] for row in rows]) for key in KEYS}
            self._emit(lambda: [{**place, "layer": "", **means}, *rows])


def _can_be_measured(parameter: Tensor) -> bool:
    is_whole = not hasattr(parameter, "to_local") and parameter.layout == torch.strided
    return is_whole and parameter.is_floating_point() and is_matrix(parameter)


def _numbers(weights: Tensor) -> dict[str, float]:
    rows, columns = weights.shape[:2]
    matrices = weights.numel() // (rows * columns)
    found = spectral_index(weights), random_index(rows, columns, matrices)
    return dict(zip(KEYS, found, strict=True))


def _mean(numbers: Sequence[float]) -> float:
    known = [number for number in numbers if np.isfinite(number)]
    return float(np.mean(known)) if known else np.nan


def _event(device: torch.device) -> Any:
    """What tells when the copies on a device are done; None where they are done at once."""
    if device.type != "cuda":
        return None
    event = torch.cuda.Event(blocking=True)
    event.record(torch.cuda.current_stream(device))
    return event
