"""How often a fault test strikes, and at random moments that can be had again.

`make faults` sets HTGA_FAULTS=long, and HTGA_SEED to the seed it prints; the same seed gives the
same moments.
"""

from __future__ import annotations

import os
import random
import secrets

LONG = os.environ.get("HTGA_FAULTS") == "long"


def rounds(short: int, long: int) -> int:
    """How many times, by the tier."""
    return long if LONG else short


def dice() -> random.Random:
    """A source of chance, whose seed a failed test shows."""
    seed = int(os.environ.get("HTGA_SEED") or secrets.randbelow(2**32))
    print(f"HTGA_SEED={seed}")
    return random.Random(seed)
