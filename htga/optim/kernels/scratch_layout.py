"""Slots of the device buffer through which the kernels of a step pass numbers on."""

from __future__ import annotations

import triton.language as tl

# The mean excess; where the exact ranks begin, and from where the table interpolates towards them;
# the sums of the weights and of the squares of the weighted entries.
M1, FIRST, LOG_KNOWN, LOG_CORNER, CORNER, BEYOND, START, FLOOR, TOTAL, SQUARES = (
    tl.constexpr(i) for i in range(10)
)
SCRATCH_SIZE = 10
"""Number of slots."""
