"""Load the runs that a search finds: all of them, or only those that changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from htga_client.wire import Run
from htga_dashboard.models.config import GROUP
from htga_dashboard.models.differences import differing
from htga_dashboard.pages.runs.table import row
from htga_dashboard.source.http import SourceError
from htga_dashboard.source.source import Source

PAGE = 1000
"""Number of runs that the table loads at first, and with each click for more."""

MAX_SINGLE = 20
"""Up to this many changed runs are loaded by id; with more, all rows are loaded again."""

ANY, LATEST, COUNTS = "*", "latest", "counts"
"""Words that the browser sends among the ids of changed runs: any run may have changed; the runs
that changed last; the numbers of runs may have changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The result of a search.

    Attributes:
        q: The search.
        limit: Maximum number of runs to load.
        runs: The newest matching runs.
        matching: Number of all matching runs.
        total: Number of all runs.
        unknown: Names in the search under which no run has a value.
    """

    q: str = ""
    limit: int = PAGE
    runs: Sequence[Run] = ()
    matching: int = 0
    total: int = 0
    unknown: Sequence[str] = ()

    @property
    def shown(self) -> list[Any]:
        """Search and limit, which the browser sends back to say what is on screen."""
        return [self.q, self.limit]

    @property
    def counts(self) -> dict[str, Any]:
        """The numbers of runs, and a hint about unknown names."""
        names = ", ".join(f"“{name}”" for name in self.unknown)
        hint = f"No run has anything called {names}." if self.unknown and self.total else ""
        return {"matching": self.matching, "total": self.total, "hint": hint}

    @property
    def settings(self) -> list[str]:
        """Names of settings by which the runs can be grouped."""
        return [GROUP, *(setting.name for setting in differing(self.runs))]


async def find(source: Source, q: str, limit: int) -> Found:
    """Search all runs, and load the newest `limit` matches."""
    page = await source.search(q, limit)
    matching = total = page.total or 0
    if q:
        total = (await source.runs(limit=1, count=True)).total or 0
    return Found(
        q=q,
        limit=limit,
        runs=page.items,
        matching=matching,
        total=total,
        unknown=page.unknown,
    )


async def changes(
    source: Source, changed: Sequence[str], q: str, limit: int, shown: Sequence[Any]
) -> tuple[dict[str, Any], Found | None]:
    """The changes of rows for the browser, and the result of the search if all were loaded again.

    Args:
        source: The collector.
        changed: Ids of runs, and any of `ANY`, `LATEST` and `COUNTS`.
        q: The search.
        limit: Maximum number of runs to load.
        shown: `Found.shown` of what is on screen; if it differs, all rows are loaded again.
    """
    nothing = {"rows": [], "gone": [], "all": False}
    ids = [run_id for run_id in changed if run_id not in {LATEST, COUNTS}]
    try:
        if ANY in changed or len(changed) > MAX_SINGLE or [q, limit] != shown:
            found = await find(source, q, limit)
            rows = [row(run) for run in found.runs]
            loaded = {"rows": rows, "gone": [], "all": True, "shown": found.shown}
            return loaded | found.counts, found
        if LATEST in changed:
            latest = await source.runs(limit=MAX_SINGLE, sort="-updated")
            ids += [run.id for run in latest.items if run.id not in ids]
        runs = await source.runs_by_id(ids, q) if ids else []
        known = {run.id for run in runs}
        gone = [run_id for run_id in ids if run_id not in known]
        changed_rows = {"rows": [row(run) for run in runs], "gone": gone, "all": False}
        return changed_rows | ((await find(source, q, 1)).counts if COUNTS in changed else {}), None
    except SourceError as error:
        # Keep what is on screen; mention the error only if a new search failed.
        return nothing | ({"hint": str(error)} if [q, limit] != shown else {}), None
