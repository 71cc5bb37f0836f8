"""The processes that send rows of a run. Functions of a connection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import sqlalchemy as sa

from htga_client.wire import Gap
from htga_server.problems import Quota
from htga_server.runs.lookup import key_of
from htga_server.storage.tables import gaps, runs, writers

# Built once: building a statement takes longer than executing it.
_WRITERS = sa.select(writers).where(
    sa.tuple_(writers.c.run_key, writers.c.writer).in_(sa.bindparam("which", expanding=True))
)


class Writer(NamedTuple):
    """What is known of a process that sends rows.

    Attributes:
        attempt: Its number in the run.
        next_seq: The sequence number expected of it next.
        batch_first, batch_digest: Of the last batch stored, for telling a repetition from a clash.
    """

    attempt: int
    next_seq: int
    batch_first: int | None
    batch_digest: bytes | None


def known(
    connection: sa.Connection, which: Sequence[tuple[int, str]]
) -> dict[tuple[int, str], Writer]:
    """Those of some writers, by run and name, that have been seen before."""
    if not which:
        return {}
    return {
        (row.run_key, row.writer): Writer(
            row.attempt, row.next_seq, row.batch_first, row.batch_digest
        )
        for row in connection.execute(_WRITERS, {"which": which})
    }


def take_up(connection: sa.Connection, run_key: int, writer: str, *, most: int) -> Writer:
    """A writer of a run.

    A writer seen for the first time takes up the run again: it gets the next attempt, and the run
    is running. The very first writer of a run that nobody has written to gets attempt 1.

    Raises:
        Quota: The run has `most` writers already.
    """
    found = known(connection, [(run_key, writer)])
    if found:
        return found[run_key, writer]
    last, number = connection.execute(
        sa.select(sa.func.max(writers.c.attempt), sa.func.count()).where(
            writers.c.run_key == run_key
        )
    ).one()
    if number >= most:
        raise Quota(f"a run has at most {most} writers", limit=most, actual=number + 1)
    attempt = (last or 0) + 1
    connection.execute(
        sa.update(runs)
        .where(runs.c.run_key == run_key)
        .values(attempt=attempt, state="running", finished=None)
    )
    begin(connection, run_key, writer, attempt)
    return Writer(attempt, 0, None, None)


def declared_gaps(connection: sa.Connection, run_id: str) -> tuple[Gap, ...]:
    """What the writers of a run have lost and said so.

    Raises:
        NotFound: There is no such run.
    """
    rows = connection.execute(
        sa.select(gaps.c.writer, gaps.c.first_seq, gaps.c.end_seq)
        .where(gaps.c.run_key == key_of(connection, run_id))
        .order_by(gaps.c.writer, gaps.c.first_seq)
    )
    return tuple(Gap(writer=w, first_seq=first, end_seq=end) for w, first, end in rows)


def begin(connection: sa.Connection, run_key: int, writer: str, attempt: int) -> None:
    """Note a writer that is new."""
    connection.execute(
        sa.insert(writers).values(run_key=run_key, writer=writer, attempt=attempt, next_seq=0)
    )


def is_known(connection: sa.Connection, run_key: int, writer: str | None) -> bool:
    """Whether a writer has written to a run, or said that it will."""
    return writer is not None and bool(known(connection, [(run_key, writer)]))
