"""The layers of a run."""

from __future__ import annotations

import sqlalchemy as sa

from htga_client.wire import Layer
from htga_server.runs.lookup import key_of
from htga_server.storage.tables import names, tracks


def listing(connection: sa.Connection, run_id: str) -> tuple[Layer, ...]:
    """List the layers of a run.

    Raises:
        NotFound: No such run exists.
    """
    key = key_of(connection, run_id)
    own = sa.and_(
        names.c.run_key == tracks.c.run_key,
        names.c.kind == tracks.c.kind,
        names.c.name_id == tracks.c.name_id,
    )
    rows = connection.execute(
        sa.select(names.c.name, tracks.c.rank, tracks.c.first_step, tracks.c.last_step)
        .join(names, own)
        .where(tracks.c.run_key == key, tracks.c.kind == "layer")
        .order_by(tracks.c.name_id, tracks.c.rank)
    )
    return tuple(
        Layer(name=name, rank=rank, first_step=first, last_step=last)
        for name, rank, first, last in rows
    )
