"""From measurements to rows, on the sender's thread."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from htga.tail import DrawnSample, TailState, TailStatus
from htga.tail.estimators.smoothing import ALPHA_RANGE
from htga.telemetry.readout import Readout
from htga.telemetry.sample_measurement import BITS, measure_counts, measure_sample
from htga.telemetry.sharded import AnyMeasurement
from htga.telemetry.sliding_variance import SlidingVariance
from htga.telemetry.updates.update_measurement import (
    PRODUCTS,
    UpdateMeasurement,
    is_same_gradient,
    share_still,
    update_numbers,
)
from htga_client import wire
from htga_client.statistics.hill import default_k
from htga_client.wire.histogram import encode
from htga_client.wire.json_codec import dumps
from htga_client.wire.row_encoder import Row

SMOOTHING = 0.95

_INTEGERS = frozenset({"k", "n", "n_zero", "n_nonfinite", "status"})


_CONTROL = (
    *("control_alpha", "control_alpha_bar", "control_stderr"),
    *("gamma", "beta", "target_alpha", "update_alpha", "norm_ratio"),
)
"""What a row tells of an optimizer that controls a tail."""

_TAIL = ("alpha_hat", "alpha_stderr", "status")
"""What a row tells of the tail of an update or of the weights."""


@dataclass(frozen=True, slots=True)
class LayerMeasurement:
    """The measurement of one layer, or of the whole model.

    Attributes:
        layer: Name of the layer; empty for the whole model.
        source: What was measured.
        n_total: Number of entries of the gradient.
        control: What the optimizer itself measures and does there, if it does.
        update: What the step changed there, if that was measured.
        rate: The learning rate there, a 0-d tensor on an accelerator; None if there is none.
    """

    layer: str
    source: AnyMeasurement
    n_total: int
    control: TailState | None = None
    update: UpdateMeasurement | None = None
    rate: float | Tensor | None = None

    @property
    def numbers(self) -> dict[str, Tensor]:
        """The measured numbers by name, 0-d each; none of a sample that is still to be measured."""
        seen = _measured(self.source, wire.SCALARS) | _numbers(self.control, _CONTROL)
        return seen | {"lr": self.rate} if isinstance(self.rate, Tensor) else seen

    @property
    def tensors(self) -> list[Tensor]:
        """All that must be read from the device, in the order in which a row is made of it."""
        update = self.update
        if update is None:
            return list(self.numbers.values())
        tails = (update.update_tail, update.weight_tail)
        read = [number for tail in tails for number in _measured(tail, _TAIL).values()]
        return [*self.numbers.values(), update.products, *read]


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
        rates: The learning rates of further groups, by the name of a metric.
    """

    step: int
    time: float
    overhead_ms: float
    parts: Sequence[LayerMeasurement]
    readout: Readout
    layers: Sequence[str]
    may_be_scaled: bool
    control_scope: wire.Scope | None
    rates: Mapping[str, float] = field(default_factory=dict)


class RowBuilder:
    """Makes rows from measurements, one step after the other.

    Args:
        histograms: Whether rows carry the histogram.
        rank: Rank of this process.

    Attributes:
        made: Number of steps that were processed, including those that failed.
        has_seen_other_gradient: Whether an optimizer has written to a gradient unnoticed.
    """

    def __init__(self, *, histograms: bool = True, rank: int = 0) -> None:
        self.made = 0
        self.has_seen_other_gradient = False
        self._is_same_gradient = True
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
        if isinstance(part.rate, float):
            row["lr"] = part.rate
        if part.update is not None:
            self._add_update(row, part.update, numbers)
        if not part.layer and measured.rates:
            row["metrics"] = row.get("metrics", {}) | dict(measured.rates)
        # A fused step that meets a NaN or an infinity leaves the gradient scaled. A histogram in
        # other units than its neighbours' would mislead; the tail index has no units.
        if self._histograms and not (measured.may_be_scaled and row["n_nonfinite"]):
            row["histogram"] = encode(
                state[:-2], bits=bits, n_zero=int(state[-2]), n_nonfinite=int(state[-1])
            )
        return row

    def _add_update(
        self, row: dict[str, Any], update: UpdateMeasurement, numbers: Iterator[float]
    ) -> None:
        products = list(islice(numbers, PRODUCTS))
        if not row["layer"]:  # which comes first
            self._is_same_gradient = is_same_gradient(products, row["grad_norm"])
            self.has_seen_other_gradient |= not self._is_same_gradient
        is_known = update.knows_gradient and self._is_same_gradient
        row |= update_numbers(products, knows_gradient=is_known)
        if not row["layer"] and (still := share_still(products)) is not None:
            row["metrics"] = {"update_still": still}
        for name, tail in (("update", update.update_tail), ("weight", update.weight_tail)):
            if tail is None:
                continue
            alpha, stderr, status = _tail_numbers(tail, numbers)
            row[f"{name}_alpha"] = row[f"{name}_stderr"] = None
            if status in {TailStatus.OK, TailStatus.LIGHT} and math.isfinite(alpha):
                row |= {f"{name}_alpha": alpha, f"{name}_stderr": stderr}

    def _smoothed(self, row: Row) -> float:
        """`htga.tail.smooth` of the reciprocals, on Python floats."""
        if row["status"] == TailStatus.OK:
            low, high = ALPHA_RANGE
            value, before = min(max(row["alpha_hat"], low), high), self._alpha_bar
            mean = 1 / (SMOOTHING / before + (1 - SMOOTHING) / value)
            self._alpha_bar = value if math.isnan(before) else mean
        return self._alpha_bar


def _measured(source: AnyMeasurement | None, names: Iterable[str]) -> dict[str, Tensor]:
    """The numbers of a measurement by name; none of a sample that is still to be measured."""
    return {} if isinstance(source, DrawnSample) else _numbers(source, names)


def _tail_numbers(source: AnyMeasurement, numbers: Iterator[float]) -> tuple[float, float, int]:
    """Tail index, standard error and status of a tail."""
    read = dict(zip(_measured(source, _TAIL), numbers, strict=False))
    if isinstance(source, DrawnSample):
        read = measure_sample(source).numbers
    elif not read:
        state = source.histogram.state.cpu().numpy()
        read = measure_counts(state, source.histogram.bits, default_k(int(state[:-2].sum())))
    return read["alpha_hat"], read["alpha_stderr"], int(read["status"])


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
