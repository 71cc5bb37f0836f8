"""runs whose rows are in the archive alone."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("runs", sa.Column("pruned", sa.Float(precision=53), nullable=True))


def downgrade() -> None:
    # The rows stay in the archive; what this column said is that they are nowhere else.
    op.drop_column("runs", "pruned")
