"""From measurements to rows, on another thread than the training's."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from htga.tail import Draw, Measurement, TailState, TailStatus
from htga.tail.estimators.smoothing import ALPHA_RANGE
from htga.telemetry.ladder import hill_at
from htga.telemetry.merged import Merged
from htga.telemetry.readout import Readout
from htga.telemetry.sampled import BITS, sampled
from htga.telemetry.window import Window
from htga_client import wire
from htga_client.wire import json_codec as codec
from htga_client.wire.histogram import encode
from htga_client.wire.row_encoder import Row

SMOOTHING = 0.95

_INTEGERS = frozenset({"k", "n", "n_zero", "n_nonfinite", "status"})


Source = Measurement | TailState | Merged | Draw
"""What was measured, or is still to be."""


@dataclass(frozen=True, slots=True)
class Part:
    """The whole model or one layer.

    Attributes:
        layer: Its name; empty for the whole model.
        source: What was measured of it.
    """

    layer: str
    source: Source

    @property
    def numbers(self) -> dict[str, Tensor]:
        """What was measured by name, 0-d each; nothing if that is still to be done."""
        if isinstance(self.source, Draw):
            return {}
        return _numbers(self.source)


@dataclass(frozen=True, slots=True)
class Seen:
    """What was measured at one step; the first part is the whole model.

    Attributes:
        step, time: As in `wire.ROWS`.
        overhead_ms: What that cost the training thread so far.
        parts: Of what.
        readout: The numbers of the parts in order, then the norms of `layers`.
        layers: Names of all layers, where it must still be found which of them is not finite.
        may_be_scaled: Whether a non-finite gradient is that of a scaled loss.
        hill: Whether alpha_hat is Hill's.
    """

    step: int
    time: float
    overhead_ms: float
    parts: Sequence[Part]
    readout: Readout
    layers: Sequence[str]
    may_be_scaled: bool
    hill: bool


class Report:
    """Makes rows; one step after the other.

    Args:
        histograms: Whether rows carry the histogram.
        rank: Of this process.

    Attributes:
        made: Number of steps whose rows were made, or failed to be.
    """

    def __init__(self, *, histograms: bool = True, rank: int = 0) -> None:
        self.made = 0
        self._rank = rank
        self._histograms = histograms
        self._norms = Window()
        self._alpha_bar = math.nan
        self._was_finite = True

    def rows(self, seen: Seen) -> Sequence[Row]:
        """The rows of one step; waits for the device."""
        try:
            return self._rows(seen)
        finally:
            self.made += 1

    @torch.no_grad()
    def _rows(self, seen: Seen) -> Sequence[Row]:
        numbers = iter(seen.readout.numbers())
        rows = [self._row(seen, part, numbers) for part in seen.parts]
        whole = rows[0]
        whole["overhead_ms"] = seen.overhead_ms
        whole["grad_norm_var"] = self._norms.push(whole["grad_norm"])
        if "alpha_bar" not in whole:
            whole["alpha_bar"] = self._smoothed(whole)
        is_finite = not whole["n_nonfinite"]
        if self._was_finite and not is_finite:
            whole["event"] = _offence(whole["n_nonfinite"], seen.layers, list(numbers))
        self._was_finite = is_finite
        return rows

    def _row(self, seen: Seen, part: Part, numbers: Iterator[float]) -> dict[str, Any]:
        row: dict[str, Any] = {
            "step": seen.step,
            "time": seen.time,
            "layer": part.layer,
            "rank": self._rank,
        }
        source = part.source
        if isinstance(source, Draw):
            found = sampled(source)
            bits, state = BITS, found.state
            row |= found.numbers
        else:
            bits, state = source.histogram.bits, source.histogram.state.cpu().numpy()
            row |= dict(zip(part.numbers, numbers, strict=False))
            row |= {name: int(row[name]) for name in _INTEGERS}
            if seen.hill and row["k"]:
                row["alpha_quarter"] = hill_at(state[:-2], bits, row["k"] // 4)
                row["alpha_fourfold"] = hill_at(state[:-2], bits, row["k"] * 4)
        # A fused step that meets a NaN or an infinity leaves the gradient scaled; a histogram in
        # other units than its neighbours' would mislead. The tail index has no units.
        if self._histograms and not (seen.may_be_scaled and row["n_nonfinite"]):
            row["histogram"] = encode(
                state[:-2], bits=bits, n_zero=int(state[-2]), n_nonfinite=int(state[-1])
            )
        return row

    def _smoothed(self, row: Row) -> float:
        """`htga.tail.smooth` of the reciprocals, in plain numbers."""
        if row["status"] == TailStatus.OK:
            low, high = ALPHA_RANGE
            value, before = min(max(row["alpha_hat"], low), high), self._alpha_bar
            mean = 1 / (SMOOTHING / before + (1 - SMOOTHING) / value)
            self._alpha_bar = value if math.isnan(before) else mean
        return self._alpha_bar


def _numbers(source: Measurement | TailState | Merged) -> dict[str, Tensor]:
    return {name: getattr(source, name) for name in wire.SCALARS if hasattr(source, name)}


def _offence(n_nonfinite: int, layers: Sequence[str], norms: Sequence[float]) -> str:
    """The event of a gradient that has ceased to be finite."""
    bad = [name for name, norm in zip(layers, norms, strict=True) if not math.isfinite(norm)]
    where = f"first in {bad[0]}" if bad else "of an unknown layer"
    event = wire.Event(
        kind="nonfinite",
        level="warning",
        title=f"gradient not finite, {where}",
        text=f"{n_nonfinite} entries are NaN or infinite, in {len(bad)} of {len(layers)} layers",
    )
    return codec.dumps(event).decode()
