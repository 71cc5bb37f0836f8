"""The collector's alert rules, through its API."""

from __future__ import annotations

from dataclasses import asdict

from htga_client.wire import Firings, NewRule, Rule, Rules, Trial
from htga_dashboard.source.http import ApiClient, quote_path


class RulesApi:
    """Reads and changes the alert rules of a collector.

    Args:
        api: The collector's API.
    """

    def __init__(self, api: ApiClient) -> None:
        self._api = api

    async def all(self) -> tuple[Rule, ...]:
        """Every rule, oldest first."""
        return (await self._api.get(Rules, "/rules")).items

    async def save(self, rule: NewRule, rule_id: str | None = None) -> Rule:
        """Create a rule, or replace the one with the id `rule_id`."""
        method, path = ("PUT", f"/rules/{quote_path(rule_id)}") if rule_id else ("POST", "/rules")
        answer = await self._api.request(method, path, json=asdict(rule))
        return self._api.read(Rule, path, answer)

    async def delete(self, rule_id: str) -> None:
        """Delete a rule."""
        await self._api.request("DELETE", f"/rules/{quote_path(rule_id)}")

    async def firings(self, rule: NewRule) -> Firings:
        """Where the rule would have fired in the newest runs of its project."""
        path = "/rules/try"
        answer = await self._api.request("POST", path, json=asdict(Trial(rule=rule)))
        return self._api.read(Firings, path, answer)
