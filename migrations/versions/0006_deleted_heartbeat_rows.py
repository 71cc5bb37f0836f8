"""runs that are deleted for now, their heartbeats, and how many rows each has.

Rows that a run was sent were not counted before; what is stored of it stands for them.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

ROWS = """UPDATE runs SET rows =
    (SELECT count(*) FROM steps WHERE steps.run_key = runs.run_key)
    + (SELECT count(*) FROM (SELECT DISTINCT rank, step, attempt FROM metrics AS m
        WHERE m.run_key = runs.run_key AND NOT EXISTS (SELECT 1 FROM steps AS s
            WHERE s.run_key = m.run_key AND s.rank = m.rank AND s.step = m.step
                AND s.attempt = m.attempt)) AS alone)"""


def upgrade() -> None:
    op.add_column("runs", sa.Column("rows", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("runs", sa.Column("heartbeat", sa.Float(precision=53), nullable=True))
    op.add_column("runs", sa.Column("deleted", sa.Float(precision=53), nullable=True))
    op.execute(ROWS)


def downgrade() -> None:
    # What was deleted for now comes back: nothing of it is lost.
    for column in ("deleted", "heartbeat", "rows"):
        op.drop_column("runs", column)
