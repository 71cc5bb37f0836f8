"""Random moments for fault tests, which a seed repeats, and how often a test strikes.

`make faults` sets HTGA_FAULTS=long, and HTGA_SEED to the seed it prints; the same seed gives the
same moments.
"""

from __future__ import annotations

import os
import random
import secrets

LONG = os.environ.get("HTGA_FAULTS") == "long"


def rounds(short: int, long: int) -> int:
    """How many rounds, by the tier."""
    return long if LONG else short


def seeded_random() -> random.Random:
    """A random generator; the output of a failed test shows its seed."""
    seed = int(os.environ.get("HTGA_SEED") or secrets.randbelow(2**32))
    print(f"HTGA_SEED={seed}")
    return random.Random(seed)
