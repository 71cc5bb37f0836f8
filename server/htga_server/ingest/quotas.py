"""How much the runs of a project may fill."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import sqlalchemy as sa

from htga_server.ingest.sequencing import Admitted
from htga_server.problems import NoRoom
from htga_server.storage.tables import runs

# Built once: building a statement takes longer than executing it.
_USED = (
    sa.select(runs.c.project, sa.func.sum(runs.c.bytes))
    .where(runs.c.project.in_(sa.bindparam("projects", expanding=True)))
    .group_by(runs.c.project)
)


def full(
    connection: sa.Connection, found: Iterable[sa.Row[Any]], most: int | None
) -> dict[str, tuple[int, int]]:
    """Of the runs' projects those that keep as much as they may, or more; that, and how much.

    Deleted runs count until they are purged, and pruned ones do not.
    """
    if most is None:
        return {}
    used = connection.execute(_USED, {"projects": list({row.project for row in found})})
    return {project: (most, int(size)) for project, size in used if size >= most}


def check(one: Admitted, full: Mapping[str, tuple[int, int]]) -> None:
    """Refuse new rows of a project that is full; what is stored already is acknowledged.

    Raises:
        NoRoom: It is full.
    """
    if one.run.project in full and one.skipped < one.checked.sent:
        most, size = full[one.run.project]
        raise NoRoom(
            f"project {one.run.project[:80]!r} keeps {size} bytes of the {most} that it may; delete"
            " or prune runs, or raise HTGA_BYTES_PER_PROJECT",
            limit=most,
            actual=size,
        )
