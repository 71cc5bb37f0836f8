"""Numbers formatted for people."""

from __future__ import annotations

import math


def significant(value: float | None, digits: int = 4) -> str:
    """`value` with that many significant digits, or a dash for None.

    Integer digits are kept below a million: 84,310 stays 84,310.
    """
    if value is None:
        return "\N{EN DASH}"
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "\N{INFINITY}" if value > 0 else "\N{MINUS SIGN}\N{INFINITY}"
    size = abs(value)
    if size >= 1e6 or 0 < size < 1e-3:
        mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
        return f"{mantissa}e{int(exponent)}"
    return f"{value:,.0f}" if size >= 1000 else f"{value:.{digits}g}"


def step(value: int | None) -> str:
    """A step with thousands separators, or a dash for None."""
    return "\N{EN DASH}" if value is None else f"{value:,}"
