"""`htga status`: how a collector is doing."""

from __future__ import annotations

from dataclasses import asdict

from htga.cli.output import print_json, print_table
from htga.cli.runs import DATA, Data, Json, Url


def status(as_json: Json = False, url: Url = None, data: Data = DATA) -> None:
    """Show runs, rows per second, queue, commit times, size of the database, free disk."""
    from htga.cli.connect import connect

    with connect(url, data) as client:
        found = asdict(client.status())
    if as_json:
        print_json(found)
        return
    flat = {f"commit_ms.{name}": value for name, value in found.pop("commit_ms").items()}
    print_table(("what", "value"), list((found | flat).items()))
