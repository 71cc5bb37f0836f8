"""Writers: the processes that send rows of a run. Functions of a connection."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

import sqlalchemy as sa

from htga_client.wire import Gap
from htga_server.runs.lookup import key_of
from htga_server.storage.tables import gaps, runs, writers

# Built once, because building a statement takes longer than executing it.
_WRITERS = sa.select(writers).where(
    sa.tuple_(writers.c.run_key, writers.c.writer).in_(sa.bindparam("which", expanding=True))
)


class Writer(NamedTuple):
    """A process that sends rows.

    Attributes:
        attempt: The attempt of the run that it belongs to.
        next_seq: The sequence number that it must send next.
        batch_first, batch_digest: First number and digest of the last stored batch. They tell a
            batch that is sent again from another one with the same numbers.
    """

    attempt: int
    next_seq: int
    batch_first: int | None
    batch_digest: bytes | None


def find_writers(
    connection: sa.Connection, which: Sequence[tuple[int, str]]
) -> dict[tuple[int, str], Writer]:
    """Return those writers that are known already, by run and name."""
    if not which:
        return {}
    return {
        (row.run_key, row.writer): Writer(
            row.attempt, row.next_seq, row.batch_first, row.batch_digest
        )
        for row in connection.execute(_WRITERS, {"which": which})
    }


def get_or_add(
    connection: sa.Connection, run_key: int, writer: str, start: str | None = None, *, limit: int
) -> Writer | None:
    """Return a writer of a run; add it if it is new, or return None if there are `limit` others.

    A new writer joins the attempt of those with its `start`. If there are none, or it has no
    start, it begins the next attempt, from 1 on, and the run is running again.
    """
    found = find_writers(connection, [(run_key, writer)])
    if found:
        return found[run_key, writer]
    last, number = connection.execute(
        sa.select(sa.func.max(writers.c.attempt), sa.func.count()).where(
            writers.c.run_key == run_key
        )
    ).one()
    if number >= limit:
        return None
    attempt = attempt_of_start(connection, run_key, start)
    if attempt is None:
        attempt = (last or 0) + 1
        connection.execute(
            sa.update(runs)
            .where(runs.c.run_key == run_key)
            .values(attempt=attempt, state="running", finished=None)
        )
    add(connection, run_key, writer, attempt, start)
    return Writer(attempt, 0, None, None)


def full_runs(connection: sa.Connection, run_keys: Collection[int], limit: int) -> set[int]:
    """Return those of the runs that have `limit` writers or more."""
    if not run_keys:
        return set()
    counted = (
        sa.select(writers.c.run_key)
        .where(writers.c.run_key.in_(run_keys))
        .group_by(writers.c.run_key)
        .having(sa.func.count() >= limit)
    )
    return set(connection.scalars(counted))


def no_more(limit: int) -> str:
    """Return what a writer is told that is one too many."""
    return f"a run has at most {limit} writers; the rows of others belong to its latest attempt"


def declared_gaps(connection: sa.Connection, run_id: str) -> tuple[Gap, ...]:
    """Return the ranges of rows that the writers of a run declared as lost.

    Raises:
        NotFound: No such run exists.
    """
    rows = connection.execute(
        sa.select(gaps.c.writer, gaps.c.first_seq, gaps.c.end_seq)
        .where(gaps.c.run_key == key_of(connection, run_id))
        .order_by(gaps.c.writer, gaps.c.first_seq)
    )
    return tuple(Gap(writer=w, first_seq=first, end_seq=end) for w, first, end in rows)


def add(
    connection: sa.Connection, run_key: int, writer: str, attempt: int, start: str | None
) -> None:
    """Add a writer."""
    connection.execute(
        sa.insert(writers).values(
            run_key=run_key, writer=writer, attempt=attempt, next_seq=0, start=start
        )
    )


def attempt_of_start(connection: sa.Connection, run_key: int, start: str | None) -> int | None:
    """Return the attempt of the writers of a run that have this start; None without any."""
    if start is None:
        return None
    return connection.scalar(
        sa.select(writers.c.attempt)
        .where(writers.c.run_key == run_key, writers.c.start == start)
        .limit(1)
    )


def belongs(connection: sa.Connection, run_key: int, writer: str | None, start: str | None) -> bool:
    """Return whether the run has this writer, or one of the same start."""
    is_known = writer is not None and bool(find_writers(connection, [(run_key, writer)]))
    return is_known or attempt_of_start(connection, run_key, start) is not None
