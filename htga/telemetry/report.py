"""From measurements to rows, on another thread than the training's."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from htga.tail import LogHistogram
from htga.telemetry.ladder import hill_at
from htga.telemetry.readout import Readout
from htga.telemetry.window import Window
from htga_client import codec, wire
from htga_client.histogram import encode
from htga_client.rows import Row

_INTEGERS = frozenset({"k", "n", "n_zero", "n_nonfinite", "status"})


@dataclass(frozen=True, slots=True)
class Part:
    """What was measured of the whole model or of one layer.

    Attributes:
        layer: Its name; empty for the whole model.
        names: Of the numbers that the step's `Readout` holds for it, in order.
        histogram: Counts of the magnitudes.
    """

    layer: str
    names: tuple[str, ...]
    histogram: LogHistogram


@dataclass(frozen=True, slots=True)
class Seen:
    """What was measured at one step; the first part is the whole model.

    Attributes:
        step, time: As in `wire.ROWS`.
        overhead_ms: What that cost the training thread so far.
        parts: Of what.
        readout: The numbers of all parts, then the norms of `layers`.
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
    """

    def __init__(self, *, histograms: bool = True) -> None:
        self._histograms = histograms
        self._norms = Window()
        self._was_finite = True

    def rows(self, seen: Seen) -> Sequence[Row]:
        """The rows of one step; waits for the device."""
        numbers = iter(seen.readout.numbers())
        rows = [self._row(seen, part, numbers) for part in seen.parts]
        whole = rows[0]
        whole["grad_norm_var"] = self._norms.push(whole["grad_norm"])
        whole["overhead_ms"] = seen.overhead_ms
        is_finite = not whole["n_nonfinite"]
        if self._was_finite and not is_finite:
            whole["event"] = _offence(whole["n_nonfinite"], seen.layers, list(numbers))
        self._was_finite = is_finite
        return rows

    def _row(self, seen: Seen, part: Part, numbers: Iterator[float]) -> dict[str, Any]:
        row: dict[str, Any] = {"step": seen.step, "time": seen.time, "layer": part.layer}
        for name in part.names:
            number = next(numbers)
            row[name] = int(number) if name in _INTEGERS else number
        bits, state = part.histogram.bits, part.histogram.state.cpu().numpy()
        counts = state[:-2]
        if seen.hill and row["k"]:
            row["alpha_quarter"] = hill_at(counts, bits, row["k"] // 4)
            row["alpha_fourfold"] = hill_at(counts, bits, row["k"] * 4)
        # A fused step that meets a NaN or an infinity leaves the gradient scaled; a histogram in
        # other units than its neighbours' would mislead. The tail index has no units.
        if self._histograms and not (seen.may_be_scaled and row["n_nonfinite"]):
            filled = np.flatnonzero(counts)
            first, last = (int(filled[0]), int(filled[-1])) if filled.size else (0, -1)
            row["histogram"] = encode(
                counts[first : last + 1].tolist(),
                bits=bits,
                first=first,
                n_zero=int(state[-2]),
                n_nonfinite=int(state[-1]),
            )
        return row


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
