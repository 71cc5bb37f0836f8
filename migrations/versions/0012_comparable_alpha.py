"""what alpha_hat is of, and the tail that a controller measures."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

COLUMNS = (
    ("n_total", sa.BigInteger()),
    ("scope", sa.BigInteger()),
    ("estimator", sa.BigInteger()),
    ("control_alpha", sa.Float(precision=53)),
    ("control_alpha_bar", sa.Float(precision=53)),
    ("control_stderr", sa.Float(precision=53)),
    ("control_scope", sa.BigInteger()),
)


def upgrade() -> None:
    for name, kind in COLUMNS:
        op.add_column("steps", sa.Column(name, kind, nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("steps") as batch_op:
        for name, _ in reversed(COLUMNS):
            batch_op.drop_column(name)
