"""`htga status`: how a collector is doing."""

from __future__ import annotations

from dataclasses import asdict

from htga.cli.formats import duration, size
from htga.cli.output import print_json, print_table
from htga.cli.runs import DATA, Data, Json, Url

_SHOWN = {
    "uptime_s": ("uptime", duration),
    "database_bytes": ("database size", size),
    "last_write_s": ("since the last row", duration),
    "disk_free": ("disk free", size),
}
"""Word and format for what people do not read as a plain number."""


def status(as_json: Json = False, url: Url = None, data: Data = DATA) -> None:
    """Show runs, rows per second, queue, commit times, size of the database, free disk."""
    from htga.cli.connect import connect

    with connect(url, data) as client:
        found = asdict(client.status())
    if as_json:
        print_json(found)
        return
    flat = {f"commit_ms.{name}": value for name, value in found.pop("commit_ms").items()}
    rows = []
    for name, value in (found | flat).items():
        shown, form = _SHOWN.get(name, (name, None))
        rows.append((shown, value if form is None or value is None else form(value)))
    print_table(("what", "value"), rows)
