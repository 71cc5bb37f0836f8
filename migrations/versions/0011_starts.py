"""let the writers of one start share an attempt."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("writers", sa.Column("start", sa.String(64)))


def downgrade() -> None:
    with op.batch_alter_table("writers") as batch_op:
        batch_op.drop_column("start")
