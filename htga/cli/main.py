"""The `htga` command. Each subcommand imports what it needs when it runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from typer.main import get_command

from htga import __version__
from htga.cli import archive, levy, logs, query, runs, status, sync, token
from htga.cli.commands import group
from htga.cli.runs import DATA, Json
from htga_client.url import without_password

app = group("Telemetry of gradient tails: collector, dashboard, runs, queries.")
app.add_typer(runs.app, name="runs")
app.add_typer(archive.app, name="archive")
app.add_typer(levy.app, name="levy")
app.add_typer(token.app, name="token")
app.command("query")(query.query)
app.command("status")(status.status)
app.command("sync")(sync.sync)
db = group("The collector's database.")
app.add_typer(db, name="db")

Host = Annotated[str, typer.Option(envvar="HTGA_HOST", help="Address to listen on.")]
Port = Annotated[
    int,
    typer.Option(
        envvar="HTGA_PORT", min=0, max=65535, help="Port to listen on; 0 takes a free one."
    ),
]
Db = token.Db
Data = Annotated[
    Path, typer.Option(envvar="HTGA_DATA", help="Folder of the database and the archive.")
]
Insecure = Annotated[
    bool,
    typer.Option(
        "--insecure",
        help="Listen beyond this machine without asking for tokens.",
    ),
]
RootPath = Annotated[
    str,
    typer.Option(
        envvar="HTGA_ROOT_PATH",
        help="Path below which a proxy serves it, such as /htga.",
    ),
]


def main(arguments: Sequence[str] | None = None) -> int:
    """Execute a command line, by default the process's; returns the exit status."""
    given = None if arguments is None else list(arguments)
    return int(get_command(app).main(given, standalone_mode=False))


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def options(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", is_eager=True, callback=_print_version, help="Print the version."
        ),
    ] = False,
) -> None:
    """Telemetry of gradient tails: collector, dashboard, runs, queries."""


@app.command()
def up(
    host: Host = "127.0.0.1",
    port: Port = 8642,
    database: Db = "",
    data: Data = DATA,
    no_dashboard: Annotated[
        bool, typer.Option("--no-dashboard", help="Only the collector, without pages.")
    ] = False,
    insecure: Insecure = False,
    root_path: RootPath = "",
    log_level: logs.Level = "warning",
    log_format: logs.Format = "text",
) -> None:
    """Start collector and dashboard in one process, on one port."""
    from htga.cli.up import open_server

    logs.configure(log_level, log_format)
    server = open_server(
        host=host,
        port=port,
        database=database,
        data=data,
        dashboard=not no_dashboard,
        insecure=insecure,
        root_path=root_path,
    )
    typer.echo(f"HTGA is on {server.url}  (Ctrl-C stops it)")
    server.serve_forever()


@app.command()
def demo(
    host: Host = "127.0.0.1",
    port: Port = 8642,
    database: Db = "",
    data: Data = DATA,
    steps: Annotated[int, typer.Option(min=1, help="Optimizer steps to train.")] = 3000,
    exit_after: Annotated[
        bool, typer.Option("--exit", help="Stop when the training is over.")
    ] = False,
    log_level: logs.Level = "warning",
    log_format: logs.Format = "text",
) -> None:
    """`up`, with a real training run beside it: a small network on handwritten digits."""
    from htga.cli.demo import run_demo
    from htga.cli.up import open_server

    logs.configure(log_level, log_format)
    server = open_server(host=host, port=port, database=database, data=data)
    run_demo(server, steps=steps, stay=not exit_after)


@app.command()
def dashboard(
    url: Annotated[str, typer.Option(envvar="HTGA_URL", help="The collector to show.")],
    host: Host = "127.0.0.1",
    port: Port = 8643,
    insecure: Insecure = False,
    root_path: RootPath = "",
    log_level: logs.Level = "warning",
    log_format: logs.Format = "text",
) -> None:
    """Start only a dashboard, for a collector that runs elsewhere."""
    from htga.cli.up import open_dashboard

    logs.configure(log_level, log_format)
    server = open_dashboard(host=host, port=port, url=url, insecure=insecure, root_path=root_path)
    typer.echo(f"The dashboard of {without_password(url)} is on {server.url}  (Ctrl-C stops it)")
    server.serve_forever()


@db.command()
def upgrade(database: Db = "", data: Data = DATA) -> None:
    """Bring the database to the newest schema; several processes may do so at once."""
    from htga.cli.up import opened

    with opened(database, data):
        typer.echo("The database is at the newest schema.")


@db.command()
def prune(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list the runs.")] = False,
    database: Db = "",
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Move the rows of old runs to the archive, by HTGA_KEEP_DAYS and HTGA_KEEP_DAYS_OF."""
    from htga.cli.prune import prune_now

    prune_now(database, data, dry_run=dry_run, as_json=as_json)


@db.command()
def backup(
    to: Annotated[Path, typer.Argument(help="File to write; it must not exist.")],
    database: Db = "",
    data: Data = DATA,
) -> None:
    """Copy a SQLite database into one file, while collectors keep writing to it."""
    from htga.cli.up import settings
    from htga_server.storage.backup import backup as copy

    copy(settings(database, data).url, to)
    typer.echo(f"{to} holds a checked copy of the database.")


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(__version__)


if __name__ == "__main__":
    app()
