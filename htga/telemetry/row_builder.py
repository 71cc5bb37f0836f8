"""From measurements to rows, on the sender's thread."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from htga.tail import DrawnSample, Measurement, TailState, TailStatus
from htga.tail.estimators.smoothing import ALPHA_RANGE
from htga.telemetry.readout import Readout
from htga.telemetry.sample_measurement import BITS, measure_counts, measure_sample
from htga.telemetry.sharded import ShardedMeasurement
from htga.telemetry.sliding_variance import SlidingVariance
from htga_client import wire
from htga_client.statistics.hill import default_k
from htga_client.wire.histogram import encode
from htga_client.wire.json_codec import dumps
from htga_client.wire.row_encoder import Row

SMOOTHING = 0.95

_INTEGERS = frozenset({"k", "n", "n_zero", "n_nonfinite", "status"})


AnyMeasurement = Measurement | ShardedMeasurement | DrawnSample
"""A measurement of a raw gradient, or a sample that is still to be measured."""

_CONTROL = (
    *("control_alpha", "control_alpha_bar", "control_stderr"),
    *("gamma", "beta", "target_alpha", "update_alpha", "norm_ratio"),
)
"""What a row tells of an optimizer that controls a tail."""


@dataclass(frozen=True, slots=True)
class LayerMeasurement:
    """The measurement of one layer, or of the whole model.

    Attributes:
        layer: Name of the layer; empty for the whole model.
        source: What was measured.
        n_total: Number of entries of the gradient.
        control: What the optimizer itself measures and does there, if it does.
    """

    layer: str
    source: AnyMeasurement
    n_total: int
    control: TailState | None = None

    @property
    def numbers(self) -> dict[str, Tensor]:
        """The measured numbers by name, 0-d each; none of a sample that is still to be measured."""
        seen = {} if isinstance(self.source, DrawnSample) else _numbers(self.source, wire.SCALARS)
        return seen | _numbers(self.control, _CONTROL)


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
        control_scope: What the optimizer controls as one sample; None if it controls nothing.
    """

    step: int
    time: float
    overhead_ms: float
    parts: Sequence[LayerMeasurement]
    readout: Readout
    layers: Sequence[str]
    may_be_scaled: bool
    control_scope: wire.Scope | None


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
            "n_total": part.n_total,
            "scope": wire.Scope.TENSOR if part.layer else wire.Scope.GLOBAL,
        }
        if part.control is not None:
            row["control_scope"] = measured.control_scope
        source = part.source
        row |= dict(zip(part.numbers, numbers, strict=False))
        if isinstance(source, DrawnSample):
            found = measure_sample(source)
            bits, state = BITS, found.state
            row |= found.numbers
        else:
            bits, state = source.histogram.bits, source.histogram.state.cpu().numpy()
            n = int(state[:-2].sum())
            counted = measure_counts(state, bits, int(row["k"]) if "k" in row else default_k(n))
            if "k" in row:  # The order of the largest entries says more than their counts.
                counted |= {"estimator": wire.Estimator.HILL} | row
            row |= counted
            row |= {name: int(row[name]) for name in _INTEGERS}
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


def _numbers(source: Any, names: Iterable[str]) -> dict[str, Tensor]:
    found = {name: getattr(source, name, None) for name in names}
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
