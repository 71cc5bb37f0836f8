"""status, alpha at other tail sizes, norm ratio, and the cost of measuring."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

REALS = ("alpha_quarter", "alpha_fourfold", "norm_ratio", "overhead_ms")


def upgrade() -> None:
    op.add_column("steps", sa.Column("status", sa.BigInteger(), nullable=True))
    for name in REALS:
        op.add_column("steps", sa.Column(name, sa.Float(precision=53), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("steps") as batch_op:
        for name in (*reversed(REALS), "status"):
            batch_op.drop_column(name)
