"""runs and their rows."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "metrics",
        sa.Column("run_key", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("metric_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("rank", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("step", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("attempt", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("time", sa.Float(precision=53), nullable=False),
        sa.Column("value", sa.Float(precision=53), nullable=True),
        sa.PrimaryKeyConstraint(
            "run_key", "metric_id", "rank", "step", "attempt", name=op.f("pk_metrics")
        ),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "names",
        sa.Column("run_key", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(length=6), nullable=False),
        sa.Column("name_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("run_key", "kind", "name_id", name=op.f("pk_names")),
        comment="names of a run's layers (kind 'layer') and of its metrics (kind 'metric')",
    )
    op.create_table(
        "runs",
        sa.Column(
            "run_key",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("project", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("run_group", sa.Text(), nullable=False),
        sa.Column("tags", sa.JSON(), nullable=False),
        sa.Column("config", sa.JSON(), nullable=False),
        sa.Column("notes", sa.Text(), nullable=False),
        sa.Column("environment", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("created", sa.Float(precision=53), nullable=False),
        sa.Column("updated", sa.Float(precision=53), nullable=True),
        sa.Column("finished", sa.Float(precision=53), nullable=True),
        sa.Column("archived", sa.Boolean(), nullable=False),
        sa.Column("last_step", sa.BigInteger(), nullable=True),
        sa.Column("summary", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("run_key", name=op.f("pk_runs")),
        sa.UniqueConstraint("id", name=op.f("uq_runs_id")),
    )
    with op.batch_alter_table("runs", schema=None) as batch_op:
        batch_op.create_index("ix_runs_project_run_key", ["project", "run_key"], unique=False)

    op.create_table(
        "steps",
        sa.Column("run_key", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("layer_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("rank", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("step", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("attempt", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("time", sa.Float(precision=53), nullable=False),
        sa.Column("alpha_hat", sa.Float(precision=53), nullable=True),
        sa.Column("alpha_bar", sa.Float(precision=53), nullable=True),
        sa.Column("alpha_stderr", sa.Float(precision=53), nullable=True),
        sa.Column("xi", sa.Float(precision=53), nullable=True),
        sa.Column("k", sa.BigInteger(), nullable=True),
        sa.Column("n", sa.BigInteger(), nullable=True),
        sa.Column("gamma", sa.Float(precision=53), nullable=True),
        sa.Column("beta", sa.Float(precision=53), nullable=True),
        sa.Column("target_alpha", sa.Float(precision=53), nullable=True),
        sa.Column("update_alpha", sa.Float(precision=53), nullable=True),
        sa.Column("grad_norm", sa.Float(precision=53), nullable=True),
        sa.Column("grad_norm_var", sa.Float(precision=53), nullable=True),
        sa.Column("n_zero", sa.BigInteger(), nullable=True),
        sa.Column("n_nonfinite", sa.BigInteger(), nullable=True),
        sa.Column("histogram", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint(
            "run_key", "layer_id", "rank", "step", "attempt", name=op.f("pk_steps")
        ),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "writers",
        sa.Column("run_key", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("writer", sa.String(length=36), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("next_seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("run_key", "writer", name=op.f("pk_writers")),
        comment="one row per sending process: its attempt, and the next sequence number expected",
    )


def downgrade() -> None:
    op.drop_table("writers")
    op.drop_table("steps")
    with op.batch_alter_table("runs", schema=None) as batch_op:
        batch_op.drop_index("ix_runs_project_run_key")

    op.drop_table("runs")
    op.drop_table("names")
    op.drop_table("metrics")
