"""Constants that the rank weights, in plain operations and as kernels, have in common."""

from __future__ import annotations

TABLE_BITS = 5
"""Mantissa bits that choose an entry of the table of weights; an entry is 3 % wide."""

MAX_TAIL_INDEX = 64
"""A tail index that no law has; a Gaussian's grows to 30 at a billion entries."""

MAX_CAPPED = 8
"""Number of coordinates a cap on shares is computed for: shares above 1/8 bind on no more."""
