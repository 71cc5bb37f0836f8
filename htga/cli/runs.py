"""`htga runs`: list, show, delete, restore."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from htga.cli.commands import group
from htga.cli.find_run import RunName, find_run, is_id
from htga.cli.formats import ago, as_utf8, iso, moment
from htga.cli.output import fail, print_json, print_table
from htga_client.wire import flat_config

if TYPE_CHECKING:
    from htga_client.wire import RunState

app = group("List, show, delete and restore runs.")
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
    query: Annotated[
        str | None,
        typer.Option(
            "-q",
            "--query",
            help="Only what this search finds, in the grammar of the page's: "
            "maple state:running lr<0.01 -tag:old",
        ),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Maximum number of runs.")] = 100,
    as_json: Json = False,
    url: Url = None,
    data: Data = DATA,
) -> None:
    """List runs, newest first."""
    from htga.cli.connect import connect

    with connect(url, data) as client:
        found = client.runs(
            project=project and as_utf8(project),
            state=cast("RunState | None", state),
            q=query and as_utf8(query),
            limit=limit,
        )
    if as_json:
        print_json([iso(asdict(run)) for run in found])
        return
    columns = ("id", "project", "name", "state", "last step", "alpha_bar", "started")
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
                ago(run.created),
            )
            for run in found
        ],
    )


@app.command()
def show(
    run_name: RunName,
    as_json: Json = False,
    url: Url = None,
    data: Data = DATA,
) -> None:
    """Show a run: its settings and the latest value of everything it measured."""
    from htga.cli.connect import connect

    with connect(url, data) as client:
        run = asdict(find_run(client, run_name))
    if as_json:
        print_json(iso(run))
        return
    moments = {key: moment(run[key]) for key in ("created", "updated", "finished")}
    nested = [key for key, value in run.items() if isinstance(value, dict)]
    rows = [(key, value) for key, value in (run | moments).items() if key not in nested]
    for part in nested:
        rows += [(f"{part}.{path}", value) for path, value in flat_config.leaves(run[part])]
    print_table(("field", "value"), rows)


@app.command("rm")
def remove(
    run_name: RunName,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    url: Url = None,
    data: Data = DATA,
) -> None:
    """Delete a run, its rows and its archive; `htga runs restore` can undo it for a day."""
    from htga.cli.connect import connect

    with connect(url, data, writes=True) as client:
        run = find_run(client, run_name)
        if not yes:
            typer.confirm(f"Delete run {run.name!r} ({run.id}) and all its rows?", abort=True)
        client.delete(run.id)
    typer.echo(f"deleted {run.id}; `htga runs restore {run.id}` brings it back within a day")


@app.command()
def restore(
    run_id: Annotated[str, typer.Argument(help="The whole id, as `htga runs rm` printed it.")],
    url: Url = None,
    data: Data = DATA,
) -> None:
    """Restore a run that was deleted within the last day."""
    from htga.cli.connect import connect

    if not is_id(run_id):
        fail(f"{run_id!r} is no id: a deleted run is in no list, so name its whole id")
    with connect(url, data, writes=True) as client:
        run = client.restore(run_id)
    typer.echo(f"run {run.name!r} ({run.id}) is back")
