"""Charts of the results: pure functions from numbers to charts."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

from htga.experiments.levy.chart import Chart, Curve
from htga.experiments.levy.control import WELLS, Escape
from htga.experiments.levy.point import Measured
from htga.experiments.levy.verdicts import curves
from htga.levy import (
    gaussian_exit_time,
    gibbs_share,
    imkeller_pavlyukevich_exit_time,
    refuted_proposal_exit_time,
    truncated_exit_order,
    two_well_share,
)


def intensity(measured: Sequence[Measured]) -> Chart:
    """E2: mean exit time over intensity."""
    found = []
    for colour, (name, points) in enumerate(curves(measured)):
        alpha = float(name.removeprefix("alpha="))
        x = [m.point.x for m in points]
        law = [imkeller_pavlyukevich_exit_time(alpha, scale, -1, 1) for scale in x]
        found += [marks(f"simulated, {name}", points, colour)]
        found += [Curve(name=f"law, {name}", x=x, y=law, style="line", colour=colour)]
    return Chart(
        name="intensity",
        title="A power of the intensity: slope -alpha",
        x_label="intensity of the noise",
        y_label="mean exit time",
        curves=found,
        log="xy",
    )


def barriers(measured: Sequence[Measured]) -> Chart:
    """E3: mean exit time over barrier height, and what the proposal would have."""
    heights = [0.25 + 1.75 * i / 40 for i in range(41)]
    stable, gaussian = (points for _, points in curves(measured))
    # The proposal gives an order only: its curve begins where the first simulated point is.
    level = stable[0].time.mean / refuted_proposal_exit_time(1.5, 0.04, 0.25)
    proposal = [level * refuted_proposal_exit_time(1.5, 0.04, height) for height in heights]
    shown = [(h, y) for h, y in zip(heights, proposal, strict=True) if y < 1e6]
    shown.append((0.25 + 0.04**1.5 * math.log(1e6 / stable[0].time.mean), 1e6))
    law = imkeller_pavlyukevich_exit_time(1.5, 0.04, -1, 1)
    exact = [gaussian_exit_time(0.55, curvature=2 * height) for height in heights]
    return Chart(
        name="barriers",
        title="Barriers hold Gaussian noise, not heavy tails",
        x_label="height of the barrier (width 1)",
        y_label="mean exit time",
        curves=[
            marks("simulated, alpha=1.5, intensity 0.04", stable, 0),
            Curve(name="law", x=heights, y=[law] * len(heights), style="line"),
            Curve(
                name="the proposal's exp(barrier / intensity^alpha)",
                x=[h for h, _ in sorted(shown)],
                y=[y for _, y in sorted(shown)],
                style="dots",
                colour=3,
            ),
            marks("simulated, alpha=2, intensity 0.55", gaussian, 1),
            Curve(name="exact, alpha=2", x=heights, y=exact, style="line", colour=1),
        ],
        log="y",
        y_range=(1, 1e6),
    )


def truncation(measured: Sequence[Measured]) -> Chart:
    """E8: mean exit time over intensity for jumps that are cut, and the predicted slopes."""
    found = []
    for colour, (name, points) in enumerate(curves(measured)):
        order = truncated_exit_order(1.5, float(name.removeprefix("b=")), 1)
        # Theory gives the order only: the line begins at the first point.
        x = [m.point.x for m in points]
        y = [points[0].time.mean * (scale / x[0]) ** -order for scale in x]
        found += [marks(f"simulated, {name}", points, colour)]
        found += [Curve(name=f"slope {-order:g}", x=x, y=y, style="line", colour=colour)]
    return Chart(
        name="truncation",
        title="Clipped jumps must add up: width 1, jumps of at most b",
        x_label="intensity of the noise",
        y_label="mean exit time",
        curves=found,
        log="xy",
    )


def memoryless(times: Tensor) -> Chart:
    """E6: share of particles still inside, over time."""
    n = len(times)
    x = (times / times.mean()).tolist()
    grid = [5 * i / 50 for i in range(51)]
    return Chart(
        name="memoryless",
        title="Exit times are exponential",
        x_label="time over its mean",
        y_label="share still inside",
        curves=[
            Curve(name="simulated", x=x[:-1:5], y=[1 - (i + 1) / n for i in range(0, n - 1, 5)]),
            Curve(name="exp(-t)", x=grid, y=[math.exp(-t) for t in grid], style="line", colour=1),
        ],
        log="y",
    )


def escapes(results: Sequence[Escape]) -> Chart:
    """Rates of escape from both wells against the tail index of the driving noise."""
    found = []
    names = list(dict.fromkeys(e.noise for e in results))
    for i, name in enumerate(names):
        own = sorted((e for e in results if e.noise == name), key=lambda e: e.update_alpha)
        for j, well in enumerate(("narrow", "wide")):
            some = [e for e in own if getattr(e, f"{well}_count")]
            rates = [getattr(e, well) for e in some]
            colour = 2 * i + j
            found.append(
                Curve(
                    name=f"{name} noise, out of the {well} well",
                    x=[e.update_alpha for e in some],
                    y=rates,
                    error=[
                        rate / math.sqrt(getattr(e, f"{well}_count"))
                        for rate, e in zip(rates, some, strict=True)
                    ],
                    colour=colour,
                )
            )
            law = [(e.update_alpha, getattr(e, f"{well}_law")) for e in own]
            if all(math.isfinite(rate) for _, rate in law):
                x, y = [list(column) for column in zip(*law, strict=True)]
                found.append(Curve(name="single jumps", x=x, y=y, style="line", colour=colour))
    return Chart(
        name="escapes",
        title="Lighter tails, fewer escapes",
        x_label="tail index of the update",
        y_label="escapes per particle and step",
        curves=found,
        log="y",
    )


def preference(results: Sequence[Escape]) -> Chart:
    """Share in the wide well at balance, against the tail index of the driving noise."""
    found = []
    for colour, name in enumerate(dict.fromkeys(e.noise for e in results)):
        own = [e for e in results if e.noise == name and math.isfinite(e.balance)]
        found.append(
            Curve(
                name=f"{name} noise",
                x=[e.update_alpha for e in own],
                y=[e.balance for e in own],
                error=[e.balance_stderr for e in own],
                colour=colour,
            )
        )
    grid = [1 + i / 10 for i in range(32)]
    gibbs = gibbs_share(WELLS.left, WELLS.right)
    law = sorted(
        (e.update_alpha, e.narrow_law / (e.narrow_law + e.wide_law))
        for e in results
        if math.isfinite(e.narrow_law)
    )
    return Chart(
        name="preference",
        title="Where the mass goes: share in the wide well",
        x_label="tail index of the update",
        y_label="share at which as many escape either way",
        curves=[
            *found,
            Curve(
                name="single jumps of that index",
                x=grid,
                y=[two_well_share(a, WELLS.left, WELLS.right) for a in grid],
                style="line",
                colour=5,
            ),
            Curve(
                name="single jumps, stable noise, ranks as they are",
                x=[x for x, _ in law],
                y=[y for _, y in law],
                style="line",
            ),
            Curve(name="Gaussian noise", x=grid, y=[gibbs] * len(grid), style="line", colour=3),
        ],
    )


def marks(name: str, points: Sequence[Measured], colour: int) -> Curve:
    """Simulated means with their errors; points without an exit are left out."""
    some = [m for m in points if m.time.exits]
    return Curve(
        name=name,
        x=[m.point.x for m in some],
        y=[m.time.mean for m in some],
        error=[m.time.stderr for m in some],
        colour=colour,
    )
