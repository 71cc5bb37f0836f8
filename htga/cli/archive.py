"""`htga archive`: finished runs as Parquet."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from htga.cli.commands import group
from htga.cli.find_run import find_run
from htga.cli.formats import iso, size
from htga.cli.output import fail, print_json, print_table
from htga.cli.runs import DATA, Data, Json, Url

app = group("Finished runs as Parquet.")

Names = Annotated[
    list[str] | None,
    typer.Argument(metavar="RUN...", help="Runs: ids, beginnings of ids, or names."),
]


@app.command()
def create(
    names: Names = None,
    everything: Annotated[bool, typer.Option("--all", help="All finished runs.")] = False,
    as_json: Json = False,
    url: Url = None,
    data: Data = DATA,
) -> None:
    """Write finished runs to the archive."""
    from htga.cli.connect import connect

    if not names and not everything:
        fail("name the runs to archive, or pass --all")
    made = []
    with connect(url, data, writes=True) as client:
        chosen = [find_run(client, name) for name in names or ()] or [
            run
            for state in ("finished", "failed")
            for run in client.runs(state=state)
            if not run.archived
        ]
        for run in chosen:
            archive = client.archive(run.id)
            made.append(archive)
            if not as_json:
                kept = size(sum(int(file["bytes"]) for file in archive.files.values()))
                typer.echo(f"archived {run.id}: {archive.rows['steps']:,} steps, {kept}")
    if as_json:
        print_json([iso(asdict(archive)) for archive in made])


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
        print_json([iso(asdict(run)) for run in found])
    else:
        print_table(("id", "project", "name"), [(run.id, run.project, run.name) for run in found])


@app.command()
def verify(
    names: Names = None,
    everything: Annotated[bool, typer.Option("--all", help="All archived runs.")] = False,
    as_json: Json = False,
    url: Url = None,
    data: Data = DATA,
) -> None:
    """Read the files of archived runs, and say which are not what was archived."""
    from htga.cli.connect import connect

    if not names and not everything:
        fail("name the runs to verify, or pass --all")
    faults = {}
    with connect(url, data) as client:
        chosen = [find_run(client, name) for name in names or ()] or [
            run for run in client.runs() if run.archived
        ]
        for run in chosen:
            faults[run.id] = client.archive_faults(run.id)
            if not as_json:
                typer.echo("\n".join(faults[run.id]) or f"run {run.id} is what was archived")
    if as_json:
        print_json([{"run_id": run_id, "faults": found} for run_id, found in faults.items()])
    if damaged := sum(map(bool, faults.values())):
        fail(f"{damaged} of {len(faults)} archived runs are damaged; restore them from a backup")


@app.command()
def restore(
    names: Names = None,
    as_json: Json = False,
    url: Url = None,
    data: Data = DATA,
) -> None:
    """Put the rows of runs that are in the archive alone back into the database."""
    from htga.cli.connect import connect

    if not names:
        fail("name the runs to restore")
    restored = []
    with connect(url, data, writes=True) as client:
        for name in names:
            run = client.restore_rows(find_run(client, name).id)
            restored.append(run)
            if not as_json:
                typer.echo(f"restored {run.id}: its rows are in the database again")
    if as_json:
        print_json([iso(asdict(run)) for run in restored])
