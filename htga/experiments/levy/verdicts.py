"""Verdicts on the laws, from measured exit times."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import groupby

from htga.experiments.levy.point import Measured, Verdict, log_log_slope
from htga.levy import truncated_exit_order

Judge = Callable[[Sequence[Measured]], list[Verdict]]


def ratios(name: str, low: float, high: float) -> Judge:
    """A judge: each measured mean over its law must be between `low` and `high`."""

    def judge(measured: Sequence[Measured]) -> list[Verdict]:
        return [
            Verdict(
                experiment=name,
                quantity=f"mean over law, {m.point.curve}, at {m.point.x:g}",
                measured=m.ratio,
                stderr=m.ratio / math.sqrt(max(1, m.time.exits)),
                expected=1,
                low=low,
                high=high,
            )
            for m in measured
        ]

    return judge


def free_flight(measured: Sequence[Measured]) -> list[Verdict]:
    """E1: means are late by the exits that happen unseen within a step."""
    return ratios("E1", 0.97, 1.05)(measured)


def slopes(measured: Sequence[Measured]) -> list[Verdict]:
    """E2: the slope is -alpha in log-log, and the level is the law's where the noise is small."""
    verdicts = []
    for curve, points in curves(measured):
        alpha = float(curve.removeprefix("alpha="))
        slope, stderr = log_log_slope(points)
        verdicts.append(
            Verdict(
                experiment="E2",
                quantity=f"slope, {curve}",
                measured=slope,
                stderr=stderr,
                expected=-alpha,
                low=-alpha - 0.1,
                high=-alpha + 0.1,
            )
        )
    return verdicts + ratios("E2b", 0.85, 1.1)([m for m in measured if m.point.x <= 0.04])


def barrier_effect(measured: Sequence[Measured]) -> list[Verdict]:
    """E3: barriers have no effect on stable noise, and Kramers' effect on Gaussian noise."""
    verdicts = []
    for curve, points in curves(measured):
        times = [m.time for m in points]
        # Stable: the largest mean over the smallest. Gaussian: in the order of the barriers.
        stable = curve == "alpha=1.5"
        means = sorted(time.mean for time in times) if stable else [time.mean for time in times]
        factor = means[-1] / means[0]
        law = points[-1].point.expected or math.nan
        expected = law / (points[0].point.expected or math.nan)
        low, high = (1.0, 1.1) if stable else (0.9 * expected, 1.1 * expected)
        verdicts.append(
            Verdict(
                experiment="E3",
                quantity=f"{'spread' if stable else 'growth'} over barriers, {curve}",
                measured=factor,
                stderr=factor * math.hypot(*(1 / math.sqrt(times[i].exits) for i in (0, -1))),
                expected=expected,
                low=low,
                high=high,
            )
        )
    return verdicts


def orders(measured: Sequence[Measured]) -> list[Verdict]:
    """E8: the power of the intensity. For jumps below 1 theory gives only a limit."""
    verdicts = []
    for curve, points in curves(measured):
        bound = float(curve.removeprefix("b="))
        order = -truncated_exit_order(1.5, bound, 1)
        slope, stderr = log_log_slope(points)
        low, high = (order - 0.2, order + 0.2) if bound > 1 else (-math.inf, -2.5)
        verdicts.append(
            Verdict(
                experiment="E8",
                quantity=f"slope, {curve}",
                measured=slope,
                stderr=stderr,
                expected=order,
                low=low,
                high=high,
            )
        )
    return verdicts


def curves(measured: Sequence[Measured]) -> list[tuple[str, list[Measured]]]:
    """The points of each curve, in order."""
    return [(curve, list(points)) for curve, points in groupby(measured, lambda m: m.point.curve)]
