"""Values that a loop logs, of any library and on any device, as numbers."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping
from functools import partial
from typing import Any

from torch import Tensor, strided

from htga.telemetry.guard import Guard, WarnOnce
from htga.telemetry.readout import Readout
from htga_client.sender.queue import Item
from htga_client.wire.row_encoder import Row
from htga_client.wire.text import shown


class MetricValues:
    """Reads the metrics of rows; what is no number is left out alone.

    Args:
        warn_once: Says what is left out.
        guard: Catches what goes wrong on the sender's thread.
    """

    def __init__(self, warn_once: WarnOnce, guard: Guard) -> None:
        self._warn_once = warn_once
        self._guard = guard

    def readable(self, metrics: Any) -> dict[str, Any]:
        """The metrics that can be read from what is no mapping, or from one that raises."""
        found: dict[str, Any] = {}
        self._warn_once("metrics", f"metrics must be a mapping, got {shown(metrics)}")
        with contextlib.suppress(Exception):
            for name in metrics.keys():  # noqa: SIM118  a list has no names
                with contextlib.suppress(Exception):
                    found[name] = metrics[name]
        return found

    def read(self, row: dict[str, Any]) -> Item:
        """The row with floats as metrics, or, if some are on an accelerator, what completes it."""
        numbers = row["metrics"]
        away: dict[str, Tensor] = {}
        for name in [name for name, value in numbers.items() if type(value) is not float]:
            value = numbers.pop(name)
            try:
                if isinstance(value, Tensor) and value.device.type != "cpu":
                    away[name] = _one_number(value)
                else:
                    numbers[name] = self._float(name, _plain(value))
            except Exception:  # noqa: BLE001  it may be any object
                self._leave_out(name, value)
        return self._read_later(row, away) if away else row

    def _float(self, name: str, plain: Any) -> float:
        number = float(plain)
        if isinstance(plain, int) and int(number) != plain:
            self._warn_once(
                f"rounded {name}",
                f"metric {shown(name)} is {shown(plain)} and is rounded to {number!r}, "
                "because metrics are 64-bit floats",
            )
        return number

    def _leave_out(self, name: Any, value: Any) -> None:
        is_away = isinstance(value, Tensor) and value.device.type != "cpu"  # to show it is to wait
        what = f"a {tuple(value.shape)} tensor on {value.device}" if is_away else shown(value)
        self._warn_once(
            f"metric {shown(name)}",
            f"metric {shown(name)} is not a number but {what}; it is left out, "
            "the others are logged",
        )

    def _read_later(self, row: dict[str, Any], away: Mapping[str, Tensor]) -> Item:
        """A function that completes the row, on the sender's thread."""
        try:
            readout = Readout([value.reshape(()) for value in away.values()])
        except Exception:  # noqa: BLE001  each kind of tensor has its own
            for name, value in away.items():
                self._leave_out(name, value)
            return row
        return partial(self._completed, row, tuple(away), readout)

    def _completed(self, row: dict[str, Any], names: tuple[str, ...], readout: Readout) -> Row:
        with self._guard:
            read = dict(zip(names, readout.numbers(), strict=True))
            return row | {"metrics": row["metrics"] | read}
        return row


def _plain(value: Any) -> Any:
    """A number of any library as one of Python's."""
    if hasattr(value, "filled"):
        value = value.filled(math.nan)  # a masked entry of NumPy is not measured
    read = getattr(value, "item", None)
    plain = read() if callable(read) else value
    if isinstance(plain, (str, bytes)):
        raise TypeError("text is not a number, even if it spells one")
    return plain


def _one_number(tensor: Tensor) -> Tensor:
    """A tensor that can be read later, once its device has computed it."""
    if tensor.numel() != 1 or tensor.is_meta or tensor.is_complex() or tensor.layout != strided:
        raise TypeError("not one real number")
    return tensor
