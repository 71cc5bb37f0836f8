"""`htga archive`: finished runs as Parquet."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from htga.cli.output import fail, print_json, print_table
from htga.cli.runs import DATA, Data, Json, Url

app = typer.Typer(help="Write finished runs to Parquet.", no_args_is_help=True)


@app.command()
def create(
    run_ids: Annotated[list[str] | None, typer.Argument(help="Runs to archive.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All finished runs.")] = False,
    as_json: Json = False,
    url: Url = None,
    data: Data = DATA,
) -> None:
    """Write finished runs to the archive."""
    from htga.cli.connect import connect

    if not run_ids and not everything:
        fail("name the runs to archive, or pass --all")
    made = []
    with connect(url, data, writes=True) as client:
        chosen = run_ids or [
            run.id
            for state in ("finished", "failed")
            for run in client.runs(state=state)
            if not run.archived
        ]
        for run_id in chosen:
            archive = client.archive(run_id)
            made.append(archive)
            if not as_json:
                size = sum(int(file["bytes"]) for file in archive.files.values())
                typer.echo(f"archived {run_id}: {archive.rows['steps']} steps, {size} bytes")
    if as_json:
        print_json([asdict(archive) for archive in made])


@app.command("ls")
def list_archived(
    as_json: Json = False,
    url: Url = None,
    data: Data = DATA,
) -> None:
    """List the archived runs."""
    from htga.cli.connect import connect

    with connect(url, data) as client:
        found = [run for run in client.runs() if run.archived]
    if as_json:
        print_json([asdict(run) for run in found])
    else:
        print_table(("id", "project", "name"), [(run.id, run.project, run.name) for run in found])
