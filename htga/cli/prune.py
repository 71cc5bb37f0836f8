"""`htga db prune`: move the rows of old runs to the archive."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from pathlib import Path

from htga.cli.formats import ago, iso
from htga.cli.output import fail, print_json, print_table, say


def prune_now(database: str, data: Path, *, dry_run: bool, as_json: bool) -> None:
    """Prune the runs that are due by the settings, or only list them."""
    from htga.cli.up import opened, settings
    from htga_server.archive.housekeeping import Housekeeping
    from htga_server.archive.retention import expired

    chosen = settings(database, data)
    if chosen.keep_days is None and not chosen.keep_days_of:
        fail("set HTGA_KEEP_DAYS or HTGA_KEEP_DAYS_OF to how many days rows are kept")
    with opened(database, data, alone=not dry_run) as store:
        due = store.read_now(partial(expired, settings=chosen, now=time.time()))
        fields = ("id", "project", "name", "rows", "updated")
        if as_json:
            print_json([iso({name: getattr(run, name) for name in fields}) for run in due])
        else:
            rows = [(run.id, run.project, run.name, run.rows, ago(run.updated)) for run in due]
            print_table(("id", "project", "name", "rows", "last row"), rows)
        if not dry_run:
            asyncio.run(Housekeeping(store, chosen).prune())
            left = store.read_now(partial(expired, settings=chosen, now=time.time()))
            say(f"{len(due) - len(left)} of {len(due)} runs are now only in the archive")
