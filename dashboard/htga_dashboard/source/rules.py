"""The collector's alert rules: read, kept, tried and deleted through its API."""

from __future__ import annotations

from dataclasses import asdict

from htga_client.wire import Firings, NewRule, Rule, Rules, Trial
from htga_dashboard.source.http import Exchange, segment


class RuleBook:
    """What is watched in the runs of a collector.

    Args:
        exchange: Asks that collector.
    """

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    async def all(self) -> tuple[Rule, ...]:
        """Every rule, oldest first."""
        return (await self._exchange.get(Rules, "/rules")).items

    async def save(self, rule: NewRule, rule_id: str | None = None) -> Rule:
        """Keep a new rule, or put it in the place of the one called `rule_id`."""
        method, path = ("PUT", f"/rules/{segment(rule_id)}") if rule_id else ("POST", "/rules")
        answer = await self._exchange.ask(method, path, json=asdict(rule))
        return self._exchange.read(Rule, path, answer)

    async def delete(self, rule_id: str) -> None:
        """Watch it no longer."""
        await self._exchange.ask("DELETE", f"/rules/{segment(rule_id)}")

    async def firings(self, rule: NewRule) -> Firings:
        """Where a rule would have fired in the newest runs of its project."""
        path = "/rules/try"
        answer = await self._exchange.ask("POST", path, json=asdict(Trial(rule=rule)))
        return self._exchange.read(Firings, path, answer)
