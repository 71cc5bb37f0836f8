"""Two methods compared over the same seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from htga_client.statistics.paired_tests import interval
from htga_client.statistics.resampling import bootstrap_interval, sign_flip_p


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Differences between paired values.

    Attributes:
        mean: Mean of the differences.
        low, high: Their 95 % interval by Student's t.
        bootstrap: The same by the percentile bootstrap.
        p: Two-sided p-value of no difference, paired t-test.
        p_sign_flip: The same by flipping signs, which supposes no distribution. With five pairs it
            is never below 0.0625.
        n: Number of pairs.
        same: Whether no pair differs at all.
    """

    mean: float
    low: float
    high: float
    bootstrap: tuple[float, float]
    p: float
    p_sign_flip: float
    n: int
    same: bool


def compare(values: Sequence[float], baseline: Sequence[float]) -> Comparison:
    """Compare paired values, the first of one with the first of the other.

    Raises:
        ValueError: There are fewer than two pairs, or the lengths differ.
    """
    differences = [a - b for a, b in zip(values, baseline, strict=False)]
    found = interval(differences)
    if len(values) != len(baseline) or found is None or found.half is None or found.p is None:
        raise ValueError(
            f"values and baseline must be as many, at least 2; got {len(values)} and "
            f"{len(baseline)}"
        )
    return Comparison(
        mean=found.mean,
        low=found.mean - found.half,
        high=found.mean + found.half,
        bootstrap=bootstrap_interval(differences),
        p=found.p,
        p_sign_flip=sign_flip_p(differences),
        n=len(differences),
        same=not any(differences),
    )
