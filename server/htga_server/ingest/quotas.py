"""The quota of bytes that the runs of a project may fill."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import sqlalchemy as sa

from htga_server.ingest.sequencing import SequencedBatch
from htga_server.problems import NoRoom
from htga_server.storage.tables import runs

# Built once, because building a statement takes longer than executing it.
_USED = (
    sa.select(runs.c.project, sa.func.sum(runs.c.bytes))
    .where(runs.c.project.in_(sa.bindparam("projects", expanding=True)))
    .group_by(runs.c.project)
)


def full_projects(
    connection: sa.Connection, found: Iterable[sa.Row[Any]], limit: int | None
) -> dict[str, tuple[int, int]]:
    """Return those projects of the runs that are full: by name, the limit and the bytes used.

    Deleted runs count until they are purged; pruned ones do not count.
    """
    if limit is None:
        return {}
    used = connection.execute(_USED, {"projects": list({row.project for row in found})})
    return {project: (limit, int(size)) for project, size in used if size >= limit}


def check(one: SequencedBatch, full_projects: Mapping[str, tuple[int, int]]) -> None:
    """Refuse new rows of a full project; rows that are stored already are acknowledged.

    Raises:
        NoRoom: The project is full.
    """
    if one.run.project in full_projects and one.skipped < one.checked.sent:
        limit, size = full_projects[one.run.project]
        raise NoRoom(
            f"project {one.run.project[:80]!r} keeps {size} bytes of the {limit} that it may;"
            " delete or prune runs, or raise HTGA_BYTES_PER_PROJECT",
            limit=limit,
            actual=size,
        )
