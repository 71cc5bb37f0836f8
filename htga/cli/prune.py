"""`htga db prune`: move the rows of old runs to the archive."""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from functools import partial
from pathlib import Path

import typer

from htga.cli.output import fail, print_table


def prune_now(database: str, data: Path, *, dry_run: bool) -> None:
    """Prune the runs that are due by the settings, or only list them."""
    from htga.cli.up import settings
    from htga_server.archive.housekeeping import Housekeeping
    from htga_server.archive.retention import expired
    from htga_server.migrate import migrate
    from htga_server.storage.database import Database

    chosen = settings(database, data)
    if chosen.keep_days is None and not chosen.keep_days_of:
        fail("set HTGA_KEEP_DAYS or HTGA_KEEP_DAYS_OF to how many days rows are kept")
    try:
        store = Database(chosen.url)
        if not dry_run:
            store.claim()
    except ValueError as error:
        fail(str(error))
    try:
        migrate(store)
        due = store.read_now(partial(expired, settings=chosen, now=time.time()))
        rows = [(run.id, run.project, run.name, run.rows, _day(run.updated)) for run in due]
        print_table(("id", "project", "name", "rows", "last row"), rows)
        if not dry_run:
            asyncio.run(Housekeeping(store, chosen).prune())
            left = store.read_now(partial(expired, settings=chosen, now=time.time()))
            typer.echo(f"{len(due) - len(left)} of {len(due)} runs are now only in the archive")
    finally:
        store.close()


def _day(when: float) -> str:
    return dt.datetime.fromtimestamp(when, dt.UTC).strftime("%Y-%m-%d")
