"""say in columns of their own which runs are being purged or pruned.

A time of 0.0 in `deleted` or `pruned` said so before.
"""

import time

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

COLUMNS = (("purging", "deleted"), ("pruning", "pruned"))
COMMENTS = {
    "cells": ("htga_server.pyramid", "htga_server.timeseries.rollup"),
    "packs": ("htga_server.packs", "htga_server.timeseries.histogram_blocks"),
}


def upgrade() -> None:
    for flag, moment in COLUMNS:
        op.add_column(
            "runs", sa.Column(flag, sa.Boolean(), server_default=sa.false(), nullable=False)
        )
        runs = sa.table("runs", sa.column(flag), sa.column(moment))
        ongoing = runs.update().where(runs.c[moment] == 0.0)
        op.execute(ongoing.values({flag: sa.true(), moment: time.time()}))
    comment(0, 1)


def downgrade() -> None:
    comment(1, 0)
    for flag, moment in COLUMNS:
        runs = sa.table("runs", sa.column(flag), sa.column(moment))
        op.execute(runs.update().where(runs.c[flag] == sa.true()).values({moment: 0.0}))
        with op.batch_alter_table("runs") as batch_op:
            batch_op.drop_column(flag)


def comment(old: int, new: int) -> None:
    """Let the comments of tables name the modules as they are called now."""
    if op.get_bind().dialect.name != "postgresql":
        return
    for table, names in COMMENTS.items():
        found = sa.inspect(op.get_bind()).get_table_comment(table)["text"] or ""
        op.create_table_comment(table, found.replace(names[old], names[new]))
