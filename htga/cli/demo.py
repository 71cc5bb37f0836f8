"""A training run that streams to a server in the same process."""

from __future__ import annotations

import contextlib
import threading
from itertools import islice
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from htga_server.http.server import Server

ACCURACY_EVERY = 25


def run_demo(server: Server, *, steps: int, stay: bool) -> None:
    """Serve, train for `steps` steps, and with `stay` keep serving until Ctrl-C."""
    with server.background():
        typer.echo(f"HTGA is on {server.url}")
        with contextlib.suppress(KeyboardInterrupt):
            page = train(server.url, steps)
            if stay:
                typer.echo(f"The run is on {page}  (Ctrl-C stops)")
                threading.Event().wait()


def train(url: str, steps: int) -> str:
    """Train a small network on handwritten digits with HTGA; returns the address of the run."""
    import torch
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from torch.nn import functional

    from htga import HTGA, telemetry
    from htga.experiments import digits

    torch.manual_seed(0)
    # Leave cores to the collector and the browser.
    torch.set_num_threads(max(1, torch.get_num_threads() // 2))
    data, model = digits.load(), digits.network()
    config = {"lr": 0.02, "momentum": 0.9, "batch": 64, "preset": "guard"}
    base = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9)
    optimizer = HTGA(base, preset="guard")
    run = telemetry.attach(
        optimizer, url=url, project="digits", tags=("demo",), config=config, model=model
    )
    typer.echo(f"Watch the run on {run.url}")
    columns = (
        TextColumn("training"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("loss {task.fields[loss]:.3f}  accuracy {task.fields[accuracy]:.1%}"),
        TextColumn("alpha_bar {task.fields[alpha_bar]:.2f}  beta {task.fields[beta]:.3f}"),
    )
    nan = float("nan")
    with run, Progress(*columns) as progress:
        task = progress.add_task("", total=steps, loss=nan, accuracy=nan, alpha_bar=nan, beta=nan)
        for step, (x, y) in enumerate(islice(digits.batches(data, 64), steps)):
            optimizer.zero_grad()
            loss = functional.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            measured = {"loss": loss.item()}
            if step % ACCURACY_EVERY == 0 or step == steps - 1:
                measured["accuracy"] = digits.accuracy(model, data)
            run.log(measured)
            if (tail := optimizer.tail) is not None:
                measured |= {"alpha_bar": float(tail.control_alpha_bar), "beta": float(tail.beta)}
            progress.tasks[task].fields.update(measured)
            progress.advance(task)
    return run.url
