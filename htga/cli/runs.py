"""`htga runs`: list, show, delete, restore."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from htga.cli.output import print_json, print_table

if TYPE_CHECKING:
    from htga_client.wire import RunState

app = typer.Typer(help="List, show, delete and restore runs.", no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Url = Annotated[
    str | None,
    typer.Option(envvar="HTGA_URL", help="The collector; by default the one on this machine."),
]
Data = Annotated[
    Path, typer.Option(envvar="HTGA_DATA", help="Data folder to read if no collector runs.")
]
DATA = Path("htga-data")


@app.command("ls")
def list_runs(
    project: Annotated[str | None, typer.Option(help="Only of this project.")] = None,
    state: Annotated[str | None, typer.Option(help="Only in this state.")] = None,
    query: Annotated[str | None, typer.Option("-q", help="Only with this text.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Maximum number of runs.")] = 100,
    as_json: Json = False,
    url: Url = None,
    data: Data = DATA,
) -> None:
    """List runs, newest first."""
    from htga.cli.connect import connect

    with connect(url, data) as client:
        found = client.runs(
            project=project, state=cast("RunState | None", state), q=query, limit=limit
        )
    if as_json:
        print_json([asdict(run) for run in found])
        return
    columns = ("id", "project", "name", "state", "step", "alpha_bar", "started")
    print_table(
        columns,
        [
            (
                run.id,
                run.project,
                run.name,
                run.state,
                run.last_step,
                run.summary.get("alpha_bar"),
                dt.datetime.fromtimestamp(run.created).astimezone().isoformat(" ", "seconds"),
            )
            for run in found
        ],
    )


@app.command()
def show(
    run_id: str,
    as_json: Json = False,
    url: Url = None,
    data: Data = DATA,
) -> None:
    """Show a run: its settings and the latest value of everything it measured."""
    from htga.cli.connect import connect

    with connect(url, data) as client:
        run = asdict(client.run(run_id))
    if as_json:
        print_json(run)
        return
    nested = ("config", "environment", "summary")
    flat = [(key, value) for key, value in run.items() if key not in nested]
    flat += [(f"{part}.{key}", value) for part in nested for key, value in run[part].items()]
    print_table(("field", "value"), flat)


@app.command("rm")
def remove(
    run_id: str,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    url: Url = None,
    data: Data = DATA,
) -> None:
    """Delete a run, its rows and its archive; `htga runs restore` can undo it for a day."""
    from htga.cli.connect import connect

    with connect(url, data, writes=True) as client:
        run = client.run(run_id)
        if not yes:
            typer.confirm(f"Delete run {run.name!r} ({run.id}) and all its rows?", abort=True)
        client.delete(run_id)
    typer.echo(f"deleted {run_id}; `htga runs restore {run_id}` brings it back within a day")


@app.command()
def restore(run_id: str, url: Url = None, data: Data = DATA) -> None:
    """Restore a run that was deleted within the last day."""
    from htga.cli.connect import connect

    with connect(url, data, writes=True) as client:
        run = client.restore(run_id)
    typer.echo(f"run {run.name!r} ({run.id}) is back")
