"""What tests of a power law against other laws say, in words."""

from __future__ import annotations

from collections.abc import Sequence

from htga_client.statistics.which_law import LawTest
from htga_dashboard.models.number_format import significant

DECIDED = 0.05
"""The p below which one of two laws is said to fit better."""

LEAST = 0.001
"""The p below which its digits say nothing."""


def law_verdicts(tests: Sequence[LawTest]) -> str:
    """Whether a power law fits better than each other law, or cannot be told from it."""
    parts = [f"{test.law}: {_verdict(test)}" for test in tests]
    return f"power law against {'; against '.join(parts)}" if parts else ""


def _verdict(test: LawTest) -> str:
    p = f"p < {LEAST:g}" if test.p < LEAST else f"p = {significant(test.p, 2)}"
    if test.p >= DECIDED:
        return f"cannot be told, {p}"
    return f"{'better' if test.z > 0 else 'worse'}, {p}"
