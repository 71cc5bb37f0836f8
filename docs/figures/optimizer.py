"""Draw docs/images/gamma-and-beta.png: what each actuator does to the tail of a real gradient.

    python docs/figures/optimizer.py

The small network of `htga.experiments.digits` is trained twice by SGD with momentum, from the same
weights and on the same batches, with every step's gradient and update measured by HTGA itself:
once with the proposal's gamma alone, once with beta, both with the preset "amplify" but for what
`main` says. Takes about a minute.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import matplotlib as mpl
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch.nn import functional

from htga import HTGA
from htga.experiments import digits

mpl.use("Agg")

IMAGE = Path(__file__).parents[1] / "images" / "gamma-and-beta.png"
STEPS = 400
TARGET = 1.8
GRADIENT, UPDATE, AIM, ACTUATOR = "#7f8ea3", "#d1495b", "#1b998b", "#2e4057"


@dataclass(frozen=True, slots=True)
class Trace:
    """Numbers of every step."""

    alpha_hat: list[float]
    update_alpha: list[float]
    actuator: list[float]


def main() -> None:
    """Train twice and draw."""
    common: dict[str, Any] = {"preset": "amplify", "target_alpha": TARGET, "scope": "global"}
    gamma = trained(actuator="gamma", gain=0.1, direction="as_written", **common)
    beta = trained(actuator="beta", beta_bounds=(-0.5, 0.5), **common)

    figure = Figure(figsize=(10, 5.4), layout="constrained")
    grid = figure.subplots(2, 2, sharex=True, height_ratios=[2, 1])
    draw_index(grid[0, 0], gamma, "gamma: the tail index stays what it was")
    draw_index(grid[0, 1], beta, "beta: the tail index of the update is on target")
    draw_actuator(grid[1, 0], gamma, "gamma", neutral=1.0)
    draw_actuator(grid[1, 1], beta, "beta", neutral=0.0)
    grid[0, 0].set_ylabel("tail index (Hill)")
    grid[0, 1].legend(frameon=False, loc="upper right")
    figure.savefig(IMAGE, dpi=110, metadata={"Software": None})
    worst = max(abs(alpha / TARGET - 1) for alpha in beta.update_alpha)
    print(f"{IMAGE}: beta leaves the update at most {worst:.1e} off the target")


def trained(**arguments: Any) -> Trace:
    """Train with these arguments of HTGA and keep what it saw."""
    torch.manual_seed(0)
    data, model = digits.load(), digits.network()
    optimizer = HTGA(torch.optim.SGD(model.parameters(), lr=0.03, momentum=0.9), **arguments)
    trace = Trace([], [], [])
    for x, y in islice(digits.batches(data, 64), STEPS):
        optimizer.zero_grad()
        functional.cross_entropy(model(x), y).backward()
        optimizer.step()
        tail = optimizer.tail
        if tail is not None:
            trace.alpha_hat.append(float(tail.control_alpha))
            trace.update_alpha.append(float(tail.update_alpha))
            trace.actuator.append(float(getattr(tail, arguments["actuator"])))
    return trace


def draw_index(axes: Axes, trace: Trace, title: str) -> None:
    """The index of gradient and update, and the target."""
    axes.plot(trace.alpha_hat, color=GRADIENT, lw=2.5, label="gradient")
    axes.plot(trace.update_alpha, color=UPDATE, lw=1, label="update")
    axes.axhline(TARGET, color=AIM, ls="--", lw=1, label="target")
    axes.set_title(title, fontsize=11)
    tidy(axes)


def draw_actuator(axes: Axes, trace: Trace, name: str, *, neutral: float) -> None:
    """What the controller set."""
    axes.axhline(neutral, color=GRADIENT, lw=0.8)
    axes.plot(trace.actuator, color=ACTUATOR, lw=1)
    axes.set_ylabel(name)
    axes.set_xlabel("step")
    tidy(axes)


def tidy(axes: Axes) -> None:
    """Without a box."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25, lw=0.5)


if __name__ == "__main__":
    main()
