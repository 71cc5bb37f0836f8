"""Alert rules of projects. Functions of a connection."""

from __future__ import annotations

import math
import time
import uuid
from dataclasses import asdict

import sqlalchemy as sa

from htga_client.wire import NewRule, Rule
from htga_server.problems import BadRequest, NotFound, Quota
from htga_server.storage.tables import rules

MAX_RULES = 100
"""Rules in one project."""
MAX_STEPS_IN_A_ROW = 10_000
MAX_TEXT = 1024


def check(rule: NewRule) -> None:
    """Refuse a rule that makes no sense.

    Raises:
        BadRequest: Names the field and the values that it takes.
    """
    for what in ("project", "name", "key"):
        text = getattr(rule, what)
        if not 0 < len(text) <= MAX_TEXT or "\0" in text:
            raise BadRequest(f"{what} must have 1 to {MAX_TEXT} characters and no NUL")
    if not 1 <= rule.steps <= MAX_STEPS_IN_A_ROW:
        raise BadRequest(f"steps must be 1 to {MAX_STEPS_IN_A_ROW}, got {rule.steps}")
    if not math.isfinite(rule.threshold):
        raise BadRequest(f"threshold must be finite, got {rule.threshold}")
    if rule.kind == "burst" and rule.threshold <= 0:
        raise BadRequest(f"threshold of a burst must be positive, got {rule.threshold}")


def listing(
    connection: sa.Connection, project: str | None = None, *, enabled: bool | None = None
) -> tuple[Rule, ...]:
    """List the rules of a project, or all, oldest first."""
    query = sa.select(rules).order_by(rules.c.created, rules.c.id)
    if project is not None:
        query = query.where(rules.c.project == project)
    if enabled is not None:
        query = query.where(rules.c.enabled.is_(enabled))
    rows = (dict(row) for row in connection.execute(query).mappings())
    return tuple(Rule(**{k: v for k, v in row.items() if k != "created"}) for row in rows)


def create(connection: sa.Connection, rule: NewRule) -> Rule:
    """Create a rule.

    Raises:
        Quota: The project has as many as it may have.
    """
    own = sa.select(sa.func.count()).select_from(rules).where(rules.c.project == rule.project)
    if (connection.scalar(own) or 0) >= MAX_RULES:
        raise Quota(f"project {rule.project!r} has {MAX_RULES} rules; delete some", limit=MAX_RULES)
    made = Rule(id=str(uuid.uuid4()), **asdict(rule))
    connection.execute(sa.insert(rules).values(**asdict(made), created=time.time()))
    return made


def replace(
    connection: sa.Connection, rule_id: str, rule: NewRule, project: str | None = None
) -> Rule:
    """Replace a rule.

    Args:
        project: The project whose rules may be changed; None for all.

    Raises:
        NotFound: No such rule exists.
    """
    _do(connection, sa.update(rules).values(**asdict(rule)), rule_id, project)
    return Rule(id=rule_id, **asdict(rule))


def delete(connection: sa.Connection, rule_id: str, project: str | None = None) -> None:
    """Delete a rule; the events that it wrote stay.

    Raises:
        NotFound: No such rule exists.
    """
    _do(connection, sa.delete(rules), rule_id, project)


def _do(
    connection: sa.Connection, what: sa.Update | sa.Delete, rule_id: str, project: str | None
) -> None:
    which = what.where(rules.c.id == rule_id)
    if project is not None:
        which = which.where(rules.c.project == project)
    if not connection.execute(which).rowcount:
        raise NotFound(f"no rule {rule_id[:40]!r}")
