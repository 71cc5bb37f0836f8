"""Changes of runs by people, through the collector's API."""

from __future__ import annotations

from dataclasses import asdict

from htga_client.wire import Run, RunPatch
from htga_dashboard.source.http import ApiClient, quote_path


class RunEdits:
    """Changes the runs of a collector.

    Args:
        api: The collector's API.
    """

    def __init__(self, api: ApiClient) -> None:
        self._api = api

    async def change(self, run_id: str, patch: RunPatch) -> Run:
        """Change a run's name, group, tags or notes; returns the changed run."""
        changes = {name: value for name, value in asdict(patch).items() if value is not None}
        path = f"/runs/{quote_path(run_id)}"
        return self._api.read(Run, path, await self._api.request("PATCH", path, json=changes))

    async def delete(self, run_id: str) -> None:
        """Delete a run; it can be restored for a day."""
        await self._api.request("DELETE", f"/runs/{quote_path(run_id)}")

    async def restore(self, run_id: str) -> None:
        """Undo the deletion of a run."""
        await self._api.request("POST", f"/runs/{quote_path(run_id)}/restore")

    async def archive(self, run_id: str) -> None:
        """Write a run that has ended to the archive."""
        await self._api.request("POST", f"/runs/{quote_path(run_id)}/archive")
