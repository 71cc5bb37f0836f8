"""`htga levy`: the theory of heavy-tailed noise, checked by simulation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from htga.cli.commands import group, needs
from htga.cli.output import fail, print_json, print_table
from htga.cli.runs import DATA, Data, Url

if TYPE_CHECKING:
    from rich.progress import Progress

    from htga.experiments.levy.chart import Chart
    from htga.experiments.levy.point import Verdict
    from htga.optim.settings import Normalize

app = group("Escapes in heavy-tailed noise, simulated.")
Seed = Annotated[int, typer.Option(min=0, help="Seed of all random numbers.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Out = Annotated[
    Path | None, typer.Option(help="Write figures (PNG, HTML) and numbers (CSV, JSON) here.")
]


@app.command("exit-time")
def exit_times(
    only: Annotated[
        list[str] | None, typer.Option(help="Run only this experiment, E1 to E8; repeatable.")
    ] = None,
    exits: Annotated[int, typer.Option(min=10, help="Exits to wait for at each point.")] = 600,
    seed: Seed = 0,
    as_json: Json = False,
    out: Out = None,
) -> None:
    """Compare mean exit times with the laws that they should follow: E1 to E8.

    Exits with status 1 if a claim does not hold.
    """
    with _needs("the simulation"):
        import torch

        from htga.experiments.levy import charts, exit_times, point, results
    chosen = _choose(only, (*(e.name for e in exit_times.experiments()), "E6"))
    experiments = [e for e in exit_times.experiments() if e.name in chosen]
    drawings = {"E2": charts.intensity, "E3": charts.barriers, "E8": charts.truncation}
    rows: list[dict[str, Any]] = []
    verdicts: list[Verdict] = []
    figures: list[Chart] = []
    work = sum(p.steps(exits) * p.paths for e in experiments for p in e.points)
    with _progress() as progress:
        task = progress.add_task("", total=work, visible=work > 0)
        for experiment in experiments:
            progress.update(task, description=f"{experiment.name}: {experiment.claim}")
            # Seeded by its name, so that other experiments change no number.
            generator = torch.Generator().manual_seed(1000 * seed + int(experiment.name[1:]))
            measured = [
                point.measure(
                    p, exits=exits, generator=generator, progress=_advance(progress, task)
                )
                for p in experiment.points
            ]
            rows += [results.point_row(experiment.name, m) for m in measured]
            verdicts += experiment.judge(measured)
            if experiment.name in drawings:
                figures.append(drawings[experiment.name](measured))
        if "E6" in chosen:
            task = progress.add_task("E6: exit times are exponential", total=None)
            generator = torch.Generator().manual_seed(1000 * seed + 6)
            times, verdict = exit_times.memoryless(paths=1000, generator=generator)
            progress.update(task, total=1, completed=1)
            verdicts.append(verdict)
            figures.append(charts.memoryless(times))
    verdicts.sort(key=lambda v: v.experiment)
    found = [results.verdict_row(v) for v in verdicts]
    report = {
        "seed": seed,
        "exits": exits,
        "verdicts": found,
        "points": rows,
    }
    if as_json:
        print_json(report)
    else:
        columns = ("experiment", "quantity", "measured", "stderr", "expected", "holds")
        print_table(columns, [[row[column] for column in columns] for row in found])
    if out is not None:
        _write(out, "exit_time", report, rows, figures)
    if failed := [v for v in verdicts if not v.holds]:
        fail(f"{len(failed)} of {len(verdicts)} claims do not hold")


@app.command()
def escape(
    target: Annotated[
        list[float] | None, typer.Option(help="Target of the beta control; repeatable.")
    ] = None,
    alpha: Annotated[
        float, typer.Option(min=0.5, max=1.95, help="Index of the stable noise.")
    ] = 1.5,
    particles: Annotated[int, typer.Option(help="Coordinates of the gradient.")] = 20_000,
    steps: Annotated[int, typer.Option(help="Number of steps.")] = 3_000,
    normalize: Annotated[str, typer.Option(help="Scaling of the weights: none, mean_one, l2.")] = (
        "none"
    ),
    recorded: Annotated[
        bool, typer.Option(help="Also with the gradient noise of a network on digits.")
    ] = True,
    run: Annotated[
        str | None,
        typer.Option(
            help="Take index and scale of the noise from this run, which has measured them "
            "(noise_alpha, noise_sigma), instead of --alpha and the digits."
        ),
    ] = None,
    seed: Seed = 0,
    as_json: Json = False,
    out: Out = None,
    url: Url = None,
    data: Data = DATA,
) -> None:
    """Simulate escapes between two wells of equal depth and different widths under control."""
    record = None if run is None else _record(run, url, data)
    with _needs("the simulation"):
        import torch

        from htga.experiments.levy import charts, results
        from htga.experiments.levy.control import controls, escape, stable_noise
    generator = torch.Generator().manual_seed(seed)
    if recorded and record is None:
        with _needs("recording a network's noise"):
            from htga.experiments.levy.recorded import gradient_noise, resampled
    found = []
    with _progress() as progress:
        if record is None:
            sources = [stable_noise(alpha, generator)]
        else:
            from htga.experiments.levy.recorded import noise_of_run

            try:
                sources = [noise_of_run(*record, steps=steps, generator=generator)]
            except ValueError as error:
                progress.stop()
                fail(f"--run {run}: {error}")
        if recorded and record is None:
            task = progress.add_task("recording the noise of a network", total=232)
            noise = gradient_noise(seed=seed, progress=_advance(progress, task))
            sources.append(resampled(noise, alpha=alpha, generator=generator))
        try:
            several = controls(target or (1.2, 1.5, 1.8, 2.5, 4.0), cast("Normalize", normalize))
            work = len(sources) * len(several) * particles * steps
            task = progress.add_task("", total=work)
            for source in sources:
                for control in several:
                    progress.update(task, description=f"{source.name} noise, {control.name}")
                    found.append(
                        escape(
                            source,
                            control,
                            particles=particles,
                            steps=steps,
                            progress=_advance(progress, task),
                        )
                    )
        except ValueError as error:
            progress.stop()
            fail(str(error))
    rows = [results.escape_row(e) for e in found]
    report = {
        "seed": seed,
        "alpha": alpha if record is None else None,
        "run": run,
        "particles": particles,
        "steps": steps,
        "normalize": normalize,
        "escapes": rows,
    }
    if as_json:
        print_json(report)
    else:
        columns = ("noise", "control", "target", "tail", "narrow", "law", "wide", "law", "mass")
        print_table(
            columns,
            [
                (
                    e.noise,
                    e.control,
                    e.target_alpha,
                    e.update_alpha,
                    f"{e.narrow:.1e}",
                    f"{e.narrow_law:.1e}",
                    f"{e.wide:.1e}",
                    f"{e.wide_law:.1e}",
                    f"{e.balance:.3f} +- {e.balance_stderr:.3f}",
                )
                for e in found
            ],
        )
        typer.echo("narrow, wide: escapes per step. mass: share in the wide well at balance.")
    if out is not None:
        _write(out, "escape", report, rows, [charts.escapes(found), charts.preference(found)])


def _record(run: str, url: str | None, data: Path) -> tuple[list[float], list[float]]:
    """The index and scale of the noise that a run has measured, in the order of its steps."""
    from htga.cli.connect import connect
    from htga.cli.find_run import find_run

    keys = ("noise_alpha", "noise_sigma")
    with connect(url, data) as client:
        found = client.series(find_run(client, run).id, keys).to_pydict()
    pairs = zip(*(found[key] for key in keys), strict=True)
    known = [pair for pair in pairs if None not in pair]
    return [alpha for alpha, _ in known], [sigma for _, sigma in known]


def _choose(only: Sequence[str] | None, names: Sequence[str]) -> set[str]:
    chosen = {name.upper() for name in only} if only else set(names)
    if unknown := chosen - set(names):
        fail(f"--only {' '.join(sorted(unknown))}: there is {', '.join(sorted(names))}")
    return chosen


def _write(
    folder: Path,
    name: str,
    report: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
    figures: Sequence[Chart],
) -> None:
    with _needs("--out"):
        from htga.cli.output import to_json
        from htga.experiments.levy.chart import write_html, write_png
        from htga.experiments.levy.results import write_csv

        folder.mkdir(parents=True, exist_ok=True)
        for figure in figures:
            write_png(figure, folder)
            write_html(figure, folder)
    (folder / f"{name}.json").write_text(to_json(report) + "\n")
    if rows:
        write_csv(rows, folder / f"{name}.csv")
    typer.echo(f"wrote {folder}", err=True)


@contextmanager
def _needs(what: str) -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        fail(f"{what} needs {needs(error)}")


def _progress() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    # On stderr, so that --json can be piped.
    return Progress(*columns, console=Console(stderr=True))


def _advance(progress: Progress, task: Any) -> Any:
    return lambda amount: progress.advance(task, amount)
