"""Routes of alert rules."""

from __future__ import annotations

from functools import partial

from fastapi import APIRouter

from htga_client.wire import Firings, NewRule, Rule, Rules, Trial
from htga_server.alerts import rules, webhook
from htga_server.alerts.backtest import backtest
from htga_server.api.deps import DatabaseDep, SettingsDep, SnapshotsDep
from htga_server.api.permissions import ADMIN, READ, GrantDep, effective_project
from htga_server.settings import Settings

router = APIRouter(prefix="/rules", tags=["rules"])


@router.get("", dependencies=[READ])
async def listing(db: DatabaseDep, allowed: GrantDep, project: str | None = None) -> Rules:
    """List the rules of a project, or all."""
    project = effective_project(allowed, project)
    return Rules(items=await db.read(partial(rules.listing, project=project)))


@router.post("", status_code=201, dependencies=[ADMIN])
async def create(rule: NewRule, db: DatabaseDep, settings: SettingsDep, allowed: GrantDep) -> Rule:
    """Create a rule; it applies from now on."""
    _check(rule, settings)
    effective_project(allowed, rule.project)
    return await db.write(partial(rules.create, rule=rule))


@router.post("/try", dependencies=[READ])
async def try_out(
    trial: Trial, snapshots: SnapshotsDep, settings: SettingsDep, allowed: GrantDep
) -> Firings:
    """Show where a rule would have fired in stored runs; nothing is written."""
    rules.check(trial.rule)
    effective_project(allowed, trial.rule.project)
    return await snapshots.read(partial(backtest, trial=trial, seconds=settings.query_seconds))


@router.put("/{rule_id}", dependencies=[ADMIN])
async def replace(
    rule_id: str, rule: NewRule, db: DatabaseDep, settings: SettingsDep, allowed: GrantDep
) -> Rule:
    """Replace a rule."""
    _check(rule, settings)
    effective_project(allowed, rule.project)
    change = partial(rules.replace, rule_id=rule_id, rule=rule, project=allowed.project)
    return await db.write(change)


@router.delete("/{rule_id}", status_code=204, dependencies=[ADMIN])
async def delete(rule_id: str, db: DatabaseDep, allowed: GrantDep) -> None:
    """Delete a rule; the events that it wrote stay."""
    await db.write(partial(rules.delete, rule_id=rule_id, project=allowed.project))


def _check(rule: NewRule, settings: Settings) -> None:
    rules.check(rule)
    if rule.webhook is not None:
        webhook.address(rule.webhook, settings.webhook_hosts)
