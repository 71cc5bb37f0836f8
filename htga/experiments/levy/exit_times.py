"""The experiments E1 to E8: exit times against the laws that they should follow."""

from __future__ import annotations

import math

import torch
from scipy.stats import kstest

from htga.experiments.levy.point import Experiment, Point, Verdict
from htga.experiments.levy.verdicts import barrier_effect, free_flight, orders, ratios, slopes
from htga.levy import (
    Ball,
    DoubleWell,
    Interval,
    Isotropic,
    Quadratic,
    Stable,
    Truncated,
    first_exits,
    gaussian_exit_time,
    getoor_exit_time,
    imkeller_pavlyukevich_exit_time,
    monitored_width,
)


def experiments() -> list[Experiment]:
    """The experiments on exit times; `memoryless` is E6."""
    return [
        Experiment("E1", "free flight follows Getoor's constant", getoor(), free_flight),
        Experiment("E2", "the exit time is a power of the intensity", scaling(), slopes),
        Experiment("E3", "barriers do not matter below alpha = 2", barriers(), barrier_effect),
        Experiment("E4", "widths matter", widths(), ratios("E4", 0.9, 1.1)),
        Experiment("E5", "the law holds for a double well", double_well(), ratios("E5", 0.75, 1.1)),
        Experiment("E7", "Gaussian exits follow Kramers", gaussian(), ratios("E7", 0.93, 1.07)),
        Experiment("E8", "truncated jumps must add up", truncated(), orders),
    ]


def getoor() -> list[Point]:
    """E1: exits without drift from (-1, 1) and from the unit disc."""
    line = [
        Point(
            curve="interval",
            x=alpha,
            potential=Quadratic(0),
            noise=Stable(alpha),
            domain=Interval(-1, 1),
            expected=getoor_exit_time(alpha),
            h=h,
            # The delay is proportional to h**(1/alpha), and each particle must exit many times.
            precision=6e-3 / h,
            paths=500,
        )
        for alpha, h in ((1.2, 1e-3), (1.5, 1e-3), (1.8, 5e-4))
    ]
    disc = Point(
        curve="disc, isotropic noise",
        x=1.5,
        potential=Quadratic(0),
        noise=Isotropic(1.5),
        domain=Ball(1),
        start=(0.0, 0.0),
        expected=getoor_exit_time(1.5, dim=2),
        h=1e-3,
        precision=6,
        paths=500,
    )
    return [*line, disc]


def scaling() -> list[Point]:
    """E2: exits from (-1, 1) against x**2 / 2, at several intensities."""
    scales = {
        1.2: (0.01, 0.02, 0.04, 0.08),
        1.5: (0.02, 0.04, 0.08, 0.12),
        1.8: (0.03, 0.045, 0.0675, 0.1),
    }
    return [
        Point(
            curve=f"alpha={alpha}",
            x=scale,
            potential=Quadratic(),
            noise=Stable(alpha, scale),
            domain=Interval(-1, 1),
            expected=imkeller_pavlyukevich_exit_time(alpha, scale, -1, 1),
        )
        for alpha, several in scales.items()
        for scale in several
    ]


def barriers() -> list[Point]:
    """E3: four barriers, the highest eight times the lowest, in stable and in Gaussian noise."""
    curvatures = (0.5, 1.0, 2.0, 4.0)
    stable = [
        Point(
            curve="alpha=1.5",
            x=curvature / 2,
            potential=Quadratic(curvature),
            noise=Stable(1.5, 0.04),
            domain=Interval(-1, 1),
            expected=imkeller_pavlyukevich_exit_time(1.5, 0.04, -1, 1),
            h=0.05,
            precision=8,
        )
        for curvature in curvatures
    ]
    return stable + [
        gaussian_point("alpha=2", curvature / 2, 0.55, curvature, h=2e-3)
        for curvature in curvatures
    ]


def widths() -> list[Point]:
    """E4: exits from (-B, 1)."""
    return [
        Point(
            curve="alpha=1.5",
            x=width,
            potential=Quadratic(),
            noise=Stable(1.5, 0.04),
            domain=Interval(-width, 1),
            expected=imkeller_pavlyukevich_exit_time(1.5, 0.04, -width, 1),
        )
        for width in (0.5, 1.0, 2.0)
    ]


def double_well() -> list[Point]:
    """E5: exits from the left well over the saddle."""
    return [
        Point(
            curve="alpha=1.5",
            x=scale,
            potential=DoubleWell(),
            noise=Stable(1.5, scale),
            domain=Interval(-math.inf, 0),
            start=-1,
            expected=imkeller_pavlyukevich_exit_time(1.5, scale, -math.inf, 1),
            h=0.05,
            tamed=True,
            precision=4,
        )
        for scale in (0.02, 0.04)
    ]


def gaussian() -> list[Point]:
    """E7: exits at alpha = 2 from (-1, 1) against x**2 / 2."""
    return [gaussian_point("alpha=2", scale, scale, 1.0, h=4e-3) for scale in (0.35, 0.4, 0.5)]


def gaussian_point(curve: str, x: float, scale: float, curvature: float, *, h: float) -> Point:
    """A Brownian exit from (-1, 1), with a width that corrects for steps of `h`."""
    edge = monitored_width(1, scale, h)
    return Point(
        curve=curve,
        x=x,
        potential=Quadratic(curvature),
        noise=Stable(2, scale),
        domain=Interval(-edge, edge),
        expected=gaussian_exit_time(scale, curvature=curvature),
        h=h,
        precision=2,
        paths=200,
    )


def truncated() -> list[Point]:
    """E8: exits from (-1, 1) with jumps of at most b: one is enough, or two are needed."""
    return [
        Point(
            curve=f"b={bound}",
            x=scale,
            potential=Quadratic(),
            noise=Truncated(1.5, bound, scale),
            domain=Interval(-1, 1),
            expected=None,
            h=0.05,
        )
        for bound, scales in {
            1.5: (0.04, 0.056, 0.08),
            0.75: (0.08, 0.113, 0.16),
            0.6: (0.08, 0.113, 0.16),
        }.items()
        for scale in scales
    ]


def memoryless(*, paths: int, generator: torch.Generator) -> tuple[torch.Tensor, Verdict]:
    """E6: exit times over their mean against the exponential law, by Kolmogorov and Smirnov.

    The mean is the sample's own, which makes the p-value larger than with a known mean.

    Returns:
        The exit times, sorted, and the verdict on the p-value.
    """
    times = (
        first_exits(
            Quadratic(),
            Stable(1.5, 0.08),
            Interval(-1, 1),
            h=0.05,
            paths=paths,
            generator=generator,
        )
        .sort()
        .values
    )
    p = float(kstest((times / times.mean()).tolist(), "expon").pvalue)
    verdict = Verdict(
        experiment="E6",
        quantity="p-value, exponential",
        measured=p,
        stderr=math.nan,
        expected=0.5,
        low=1e-3,
        high=1,
    )
    return times, verdict
