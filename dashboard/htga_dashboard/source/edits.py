"""What people do to runs, through the collector's API."""

from __future__ import annotations

from dataclasses import asdict

from htga_client.wire import Run, RunPatch
from htga_dashboard.source.http import Exchange, segment


class Edits:
    """Changes the runs of a collector.

    Args:
        exchange: Asks that collector.
    """

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    async def change(self, run_id: str, patch: RunPatch) -> Run:
        """Change a run's name, group, tags or notes; gives the run as it is then."""
        said = {name: value for name, value in asdict(patch).items() if value is not None}
        path = f"/runs/{segment(run_id)}"
        return self._exchange.read(Run, path, await self._exchange.ask("PATCH", path, json=said))

    async def delete(self, run_id: str) -> None:
        """Delete a run; for a day it can be restored."""
        await self._exchange.ask("DELETE", f"/runs/{segment(run_id)}")

    async def restore(self, run_id: str) -> None:
        """Undo the deletion of a run."""
        await self._exchange.ask("POST", f"/runs/{segment(run_id)}/restore")

    async def archive(self, run_id: str) -> None:
        """Write a run that has ended to the archive."""
        await self._exchange.ask("POST", f"/runs/{segment(run_id)}/archive")
