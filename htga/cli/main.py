"""The `htga` command. Each subcommand imports what it needs when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from htga import __version__
from htga.cli import archive, levy, query, runs, status, sync, token
from htga.cli.output import fail

app = typer.Typer(
    name="htga",
    help="Telemetry of gradient tails: collector, dashboard, runs, queries.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(runs.app, name="runs")
app.add_typer(archive.app, name="archive")
app.add_typer(levy.app, name="levy")
app.add_typer(token.app, name="token")
app.command("query")(query.query)
app.command("status")(status.status)
app.command("sync")(sync.sync)
db = typer.Typer(help="The collector's database.", no_args_is_help=True)
app.add_typer(db, name="db")

Host = Annotated[str, typer.Option(help="Address to listen on.")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")]
Db = Annotated[
    str, typer.Option("--db", help="Database URL; default is SQLite in the data folder.")
]
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


@app.command()
def up(
    host: Host = "127.0.0.1",
    port: Port = 8642,
    database: Db = "",
    data: Data = Path("htga-data"),
    no_dashboard: Annotated[bool, typer.Option("--no-dashboard")] = False,
    insecure: Insecure = False,
    root_path: RootPath = "",
) -> None:
    """Start collector and dashboard in one process, on one port."""
    from htga.cli.up import open_server

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
    data: Data = Path("htga-data"),
    steps: Annotated[int, typer.Option(min=1, help="Optimizer steps to train.")] = 3000,
    exit_after: Annotated[
        bool, typer.Option("--exit", help="Stop when the training is over.")
    ] = False,
) -> None:
    """`up`, with a real training run beside it: a small network on handwritten digits."""
    from htga.cli.demo import run_demo
    from htga.cli.up import open_server

    server = open_server(host=host, port=port, database=database, data=data)
    run_demo(server, steps=steps, stay=not exit_after)


@app.command()
def dashboard(
    url: Annotated[str, typer.Option(envvar="HTGA_URL", help="The collector to show.")],
    host: Host = "127.0.0.1",
    port: Port = 8643,
    insecure: Insecure = False,
    root_path: RootPath = "",
) -> None:
    """Start only a dashboard, for a collector that runs elsewhere."""
    from htga.cli.up import open_dashboard

    server = open_dashboard(host=host, port=port, url=url, insecure=insecure, root_path=root_path)
    typer.echo(f"The dashboard of {url} is on {server.url}  (Ctrl-C stops it)")
    server.serve_forever()


@db.command()
def upgrade(database: Db = "", data: Data = Path("htga-data")) -> None:
    """Bring the database to the newest schema."""
    from htga.cli.up import settings
    from htga_server.migrate import migrate
    from htga_server.storage.database import Database

    chosen = settings(database, data)
    try:
        store = Database(chosen.url)
    except ValueError as error:
        fail(str(error))
    migrate(store)
    store.close()
    typer.echo("The database is at the newest schema.")


@db.command()
def prune(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list the runs.")] = False,
    database: Db = "",
    data: Data = Path("htga-data"),
) -> None:
    """Move the rows of old runs to the archive, by HTGA_KEEP_DAYS and HTGA_KEEP_DAYS_OF."""
    from htga.cli.prune import prune_now

    prune_now(database, data, dry_run=dry_run)


@db.command()
def backup(
    to: Annotated[Path, typer.Argument(help="File to write; it must not exist.")],
    database: Db = "",
    data: Data = Path("htga-data"),
) -> None:
    """Copy a SQLite database into one file, while collectors keep writing to it."""
    from htga.cli.up import settings
    from htga_server.storage.backup import backup as copy

    try:
        copy(settings(database, data).url, to)
    except (ValueError, OSError) as error:
        fail(str(error))
    typer.echo(f"{to} holds a checked copy of the database.")


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(__version__)


if __name__ == "__main__":
    app()
