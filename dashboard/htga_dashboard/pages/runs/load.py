"""The runs that a search finds, for the first page and for what changes after it."""

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
"""Runs that the table loads at first, and each time that more are asked for."""

MAX_SINGLE = 20
"""Up to this many changed runs are fetched by id; with more, the table is loaded again."""

ANY, LATEST, COUNTS = "*", "latest", "counts"
"""What the browser sends among the ids of changed runs: any run may have changed; the runs that
changed last; a run came or went, so the numbers of runs have changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a search finds.

    Attributes:
        q: The search.
        limit: Runs to load at most.
        runs: The newest runs that match.
        matching: Number of all runs that match.
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
        """Search and limit, as the browser sends them back: they tell what is on screen."""
        return [self.q, self.limit]

    @property
    def counts(self) -> dict[str, Any]:
        """The numbers of runs, and what the search names in vain."""
        names = ", ".join(f"“{name}”" for name in self.unknown)
        hint = f"No run has anything called {names}." if self.unknown and self.total else ""
        return {"matching": self.matching, "total": self.total, "hint": hint}

    @property
    def settings(self) -> list[str]:
        """Names of settings by which the runs can be put into groups."""
        return [GROUP, *(setting.name for setting in differing(self.runs))]


async def find(source: Source, q: str, limit: int) -> Found:
    """Search all runs, and load the newest `limit` of those that match."""
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
    """What the browser does to its rows, and the runs where all of them were loaded again.

    Args:
        source: The collector.
        changed: Ids of runs, and `ANY`, `LATEST` or `COUNTS`.
        q: The search.
        limit: Runs to load at most.
        shown: `Found.shown` of what is on screen; another search loads all runs again.
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
        runs = await source.several(ids, q) if ids else []
        known = {run.id for run in runs}
        gone = [run_id for run_id in ids if run_id not in known]
        changed_rows = {"rows": [row(run) for run in runs], "gone": gone, "all": False}
        return changed_rows | ((await find(source, q, 1)).counts if COUNTS in changed else {}), None
    except SourceError as error:
        # What is on screen stays; only a search that could not be answered is worth a word.
        return nothing | ({"hint": str(error)} if [q, limit] != shown else {}), None
