"""Where in the memory of the device the kernels of a step leave numbers for each other."""

from __future__ import annotations

import triton.language as tl

# The mean excess; of the largest magnitudes, where their ranks begin, and from where the table
# aims at that; and what the weights, and the squares of the weighted entries, add up to.
M1, FIRST, LOG_KNOWN, LOG_CORNER, CORNER, BEYOND, START, FLOOR, TOTAL, SQUARES = (
    tl.constexpr(i) for i in range(10)
)
NOTES = 10
"""How many these are."""
