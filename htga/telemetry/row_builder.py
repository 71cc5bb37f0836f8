"""From measurements to rows, on the sender's thread."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from htga.tail import DrawnSample, Measurement, TailState, TailStatus
from htga.tail.estimators.smoothing import ALPHA_RANGE
from htga.telemetry.readout import Readout
from htga.telemetry.sample_measurement import BITS, measure_sample
from htga.telemetry.sharded import ShardedMeasurement
from htga.telemetry.sliding_variance import SlidingVariance
from htga_client import wire
from htga_client.statistics.hill import hill_at
from htga_client.wire.histogram import encode
from htga_client.wire.json_codec import dumps
from htga_client.wire.row_encoder import Row

SMOOTHING = 0.95

_INTEGERS = frozenset({"k", "n", "n_zero", "n_nonfinite", "status"})


AnyMeasurement = Measurement | TailState | ShardedMeasurement | DrawnSample
"""A measurement, or a sample that is still to be measured."""


@dataclass(frozen=True, slots=True)
class LayerMeasurement:
    """The measurement of one layer, or of the whole model.

    Attributes:
        layer: Name of the layer; empty for the whole model.
        source: What was measured.
    """

    layer: str
    source: AnyMeasurement

    @property
    def numbers(self) -> dict[str, Tensor]:
        """The measured numbers by name, 0-d each; none if the sample is still to be measured."""
        if isinstance(self.source, DrawnSample):
            return {}
        return _numbers(self.source)


@dataclass(frozen=True, slots=True)
class StepMeasurement:
    """The measurements of one step.

    Attributes:
        step, time: As in `wire.ROWS`.
        overhead_ms: Time that measuring took on the training thread.
        parts: The whole model, then the layers.
        readout: The numbers of the parts in order, then the norms of `layers`.
        layers: Names of all layers, if one of them may be non-finite and must still be found.
        may_be_scaled: Whether a non-finite gradient may be multiplied by a loss scale.
        hill: Whether alpha_hat is Hill's.
    """

    step: int
    time: float
    overhead_ms: float
    parts: Sequence[LayerMeasurement]
    readout: Readout
    layers: Sequence[str]
    may_be_scaled: bool
    hill: bool


class RowBuilder:
    """Makes rows from measurements, one step after the other.

    Args:
        histograms: Whether rows carry the histogram.
        rank: Rank of this process.

    Attributes:
        made: Number of steps that were processed, including those that failed.
    """

    def __init__(self, *, histograms: bool = True, rank: int = 0) -> None:
        self.made = 0
        self._rank = rank
        self._histograms = histograms
        self._norms = SlidingVariance()
        self._alpha_bar = math.nan
        self._was_finite = True

    def rows(self, measured: StepMeasurement) -> Sequence[Row]:
        """The rows of one step; waits for the device."""
        try:
            return self._rows(measured)
        finally:
            self.made += 1

    @torch.no_grad()
    def _rows(self, measured: StepMeasurement) -> Sequence[Row]:
        numbers = iter(measured.readout.numbers())
        rows = [self._row(measured, part, numbers) for part in measured.parts]
        whole = rows[0]
        whole["overhead_ms"] = measured.overhead_ms
        whole["grad_norm_var"] = self._norms.push(whole["grad_norm"])
        if "alpha_bar" not in whole:
            whole["alpha_bar"] = self._smoothed(whole)
        is_finite = not whole["n_nonfinite"]
        if self._was_finite and not is_finite:
            whole["event"] = _nonfinite_event(whole["n_nonfinite"], measured.layers, list(numbers))
        self._was_finite = is_finite
        return rows

    def _row(
        self, measured: StepMeasurement, part: LayerMeasurement, numbers: Iterator[float]
    ) -> dict[str, Any]:
        row: dict[str, Any] = {
            "step": measured.step,
            "time": measured.time,
            "layer": part.layer,
            "rank": self._rank,
        }
        source = part.source
        if isinstance(source, DrawnSample):
            found = measure_sample(source)
            bits, state = BITS, found.state
            row |= found.numbers
        else:
            bits, state = source.histogram.bits, source.histogram.state.cpu().numpy()
            row |= dict(zip(part.numbers, numbers, strict=False))
            row |= {name: int(row[name]) for name in _INTEGERS}
            if measured.hill and row["k"]:
                row["alpha_quarter"] = hill_at(state[:-2], bits, row["k"] // 4)
                row["alpha_fourfold"] = hill_at(state[:-2], bits, row["k"] * 4)
        # A fused step that meets a NaN or an infinity leaves the gradient scaled. A histogram in
        # other units than its neighbours' would mislead; the tail index has no units.
        if self._histograms and not (measured.may_be_scaled and row["n_nonfinite"]):
            row["histogram"] = encode(
                state[:-2], bits=bits, n_zero=int(state[-2]), n_nonfinite=int(state[-1])
            )
        return row

    def _smoothed(self, row: Row) -> float:
        """`htga.tail.smooth` of the reciprocals, on Python floats."""
        if row["status"] == TailStatus.OK:
            low, high = ALPHA_RANGE
            value, before = min(max(row["alpha_hat"], low), high), self._alpha_bar
            mean = 1 / (SMOOTHING / before + (1 - SMOOTHING) / value)
            self._alpha_bar = value if math.isnan(before) else mean
        return self._alpha_bar


def _numbers(source: Measurement | TailState | ShardedMeasurement) -> dict[str, Tensor]:
    found = {name: getattr(source, name, None) for name in wire.SCALARS}
    return {name: number for name, number in found.items() if number is not None}


def _nonfinite_event(n_nonfinite: int, layers: Sequence[str], norms: Sequence[float]) -> str:
    """The event of a gradient that is no longer finite."""
    bad = [name for name, norm in zip(layers, norms, strict=True) if not math.isfinite(norm)]
    where = f"first in {bad[0]}" if bad else "of an unknown layer"
    event = wire.Event(
        kind="nonfinite",
        level="warning",
        title=f"gradient not finite, {where}",
        text=f"{n_nonfinite} entries are NaN or infinite, in {len(bad)} of {len(layers)} layers",
    )
    return dumps(event).decode()
